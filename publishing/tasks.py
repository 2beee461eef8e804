"""Celery jobs of publishing. Each reads its work from the database and is idempotent."""

from celery import shared_task
from celery.signals import task_failure, task_success

from publishing import failed_jobs, housekeeping
from publishing.attestations import trust_root_age
from publishing.imports import runs
from publishing.index import turns
from publishing.labels import labels, old_indexes
from publishing.promotion import approvals, promotions
from publishing.retention import retention
from publishing.trusted import issuers
from publishing.upstreams import cache, sync
from publishing.verification import verification
from publishing.watches import passes

task_failure.connect(failed_jobs.note_failure)
task_success.connect(failed_jobs.note_success)


@shared_task
def build_stale_indexes() -> None:
    turns.work()


@shared_task
def wake_stale_indexes() -> None:
    """Build stale indexes by the schedule, in case a message was lost or a worker was killed."""
    turns.work()


@shared_task
def build_index(index_id: int) -> None:
    """Retry a failed build. An earlier version also enqueued this job for each change."""
    turns.retry_now(index_id)
    turns.work()


@shared_task
def open_channel(channel_id: int) -> None:
    """Run a job that an earlier version enqueued."""
    turns.work()


@shared_task
def remove_leftovers() -> None:
    housekeeping.remove_leftovers()
    approvals.refuse_expired()


@shared_task
def continue_imports() -> None:
    runs.work()


@shared_task
def finish_promotions() -> None:
    promotions.finish_abandoned()


@shared_task
def delete_expired_labels() -> None:
    labels.delete_expired()
    old_indexes.remove_old_indexes()


@shared_task
def verify_channels() -> None:
    verification.send_due()


@shared_task
def verify_channel(channel_id: int) -> None:
    verification.verify_nightly(channel_id)


@shared_task
def refresh_issuer_keys() -> None:
    issuers.refresh_all()


@shared_task
def refresh_trust_root() -> None:
    if trust_root_age.is_due():
        from publishing.attestations import trust_root  # imports sigstore, which takes a second

        trust_root.refresh()


@shared_task
def apply_retention() -> None:
    retention.send_due()


@shared_task
def apply_retention_rules(channel_id: int) -> None:
    retention.apply_nightly(channel_id)


@shared_task
def poll_upstreams() -> None:
    sync.send_due()


@shared_task
def sync_upstream(channel_id: int) -> None:
    sync.sync(channel_id)


@shared_task
def evict_cached_files() -> None:
    cache.evict()


@shared_task
def watch_prefixes() -> None:
    passes.work()
