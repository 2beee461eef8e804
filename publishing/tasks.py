"""The jobs. Each takes an id, does nothing where there is nothing to do, and is safe to run twice."""

from celery import shared_task

from publishing import housekeeping, index
from publishing.trusted import issuers


@shared_task
def build_index(index_id: int) -> None:
    index.bring_up_to_date(index_id)


@shared_task
def open_channel(channel_id: int) -> None:
    index.open_channel(channel_id)


@shared_task
def wake_stale_indexes() -> None:
    index.wake_stale()


@shared_task
def remove_leftovers() -> None:
    housekeeping.remove_leftovers()


@shared_task
def refresh_issuer_keys() -> None:
    issuers.refresh_all()


@shared_task
def refresh_trust_root() -> None:
    from publishing.attestations import trust_root  # with sigstore, whose import takes a second

    trust_root.refresh()
