"""Deletion of expired and abandoned data."""

import time
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from shutil import rmtree

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.accounts.oauth import token_families
from channels_app.audit import log, mailing
from channels_app.channels import channels, reserved_names, storage
from channels_app.models import Channel
from channels_app.people import invitations
from channels_app.quotas import quotas
from channels_app.rate_limits import counters
from channels_app.rest import idempotency
from channels_app.webhooks import queue as webhook_queue
from hub.attempts import attempt_each
from hub.locks import try_lock
from hub.storage import store
from publishing.index import merging, shards, virtual_names
from publishing.index.builds import lock_name
from publishing.models import Reservation, RetiredShard
from publishing.notices import notices
from publishing.relations import relations
from publishing.removal import removal
from publishing.trusted import exchange, publishers

ABANDONED_S = 6 * 3600


def remove_leftovers() -> None:
    """Delete everything that is due. A file that the store refuses to delete delays no other."""
    attempt_each(
        (
            removal.purge_deleted,
            _remove_retired_shards,
            _remove_abandoned_files,
            _remove_unfinished_uploads,
            _remove_deleted_channels,
            exchange.delete_expired,
            publishers.delete_expired,
            invitations.delete_expired,
            notices.delete_expired,
            relations.refresh_all,
            counters.delete_old,
            idempotency.delete_old,
            webhook_queue.delete_old,
            quotas.delete_old,
            storage.warn,
            mailing.delete_old,
            token_families.delete_old,
        )
    )


def _remove_unfinished_uploads() -> None:
    Reservation.objects.filter(expires_at__lt=timezone.now() - timedelta(seconds=ABANDONED_S)).delete()
    store().delete_unfinished(older_than_s=ABANDONED_S)


def _remove_deleted_channels() -> None:
    """Purge the deleted channels after their grace period."""
    deleted = Channel.objects.filter(deleted_at__lt=channels.purge_before())
    attempt_each(partial(_remove_deleted_channel, channel) for channel in deleted)


def _remove_deleted_channel(channel: Channel) -> None:
    """Purge a channel, but not during a build of its index.

    A build that ends after the purge would leave files for the next channel of that name.
    """
    with ExitStack() as locks:
        held = [locks.enter_context(try_lock(lock_name(index.pk))) for index in channel.indexes.all()]
        if all(held) and _is_past_restoring(channel):
            _remove_channel(channel)


@transaction.atomic
def _is_past_restoring(channel: Channel) -> bool:
    """Tell whether the grace period is over. The row lock waits for a restore in progress; no later one can begin."""
    over = Channel.objects.select_for_update().filter(pk=channel.pk, deleted_at__lt=channels.purge_before())
    return over.first() is not None


def _remove_channel(channel: Channel) -> None:
    """Delete the files, outside a transaction, then the rows. The name stays reserved for the last owners."""
    for key in list(store().list(f"{channel.name}/")):
        store().delete(key)
    with transaction.atomic():
        quotas.mark_outdated(channel)
        reserved_names.reserve(channel)
        virtual_names.leave_all(channel)
        channel.delete()
        log.record(Action.CHANNEL_PURGE, target=channel.name)


def _remove_retired_shards() -> None:
    """Delete retired shards after HUB_RETIRED_SHARD_DAYS: clients no longer have an index that names them."""
    long_ago = timezone.now() - timedelta(days=settings.HUB_RETIRED_SHARD_DAYS)
    retired = RetiredShard.objects.filter(retired_at__lt=long_ago).select_related("index__channel")
    merging.delete_retired(long_ago)
    attempt_each(partial(_remove_retired_shard, shard) for shard in retired.iterator())


def _remove_retired_shard(shard: RetiredShard) -> None:
    store().delete(f"{shard.index.folder}/{shards.shard_file(shard.sha256)}")
    shard.delete()


def _remove_abandoned_files() -> None:
    """Delete temporary files and folders of killed processes."""
    for path in Path(settings.UPLOAD_DIR).iterdir():
        if time.time() - path.stat().st_mtime > ABANDONED_S:
            rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
