"""The jobs. Each finds in the database what there is to do, and is safe to run twice."""

from celery import shared_task
from celery.signals import task_failure, task_success

from publishing import failed_jobs, housekeeping
from publishing.index import turns
from publishing.trusted import issuers
from publishing.verification import verification

task_failure.connect(failed_jobs.note_failure)
task_success.connect(failed_jobs.note_success)


@shared_task
def build_stale_indexes() -> None:
    turns.work()


@shared_task
def wake_stale_indexes() -> None:
    """The schedule's: whatever message was lost, and whichever worker died."""
    turns.work()


@shared_task
def build_index(index_id: int) -> None:
    """A failed build, tried again; an earlier version sent one for each change."""
    turns.try_again(index_id)
    turns.work()


@shared_task
def open_channel(channel_id: int) -> None:
    """Of an earlier version."""
    turns.work()


@shared_task
def remove_leftovers() -> None:
    housekeeping.remove_leftovers()


@shared_task
def verify_channels() -> None:
    verification.send_due()


@shared_task
def verify_channel(channel_id: int) -> None:
    verification.verify_by_night(channel_id)


@shared_task
def refresh_issuer_keys() -> None:
    issuers.refresh_all()


@shared_task
def refresh_trust_root() -> None:
    from publishing.attestations import trust_root  # with sigstore, whose import takes a second

    trust_root.refresh()
