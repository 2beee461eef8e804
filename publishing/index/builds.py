"""Builds of a channel's index files from the database, which is the only source of truth.

A change raises the index's `requested_revision` in its own transaction and marks the package name as stale. A build
holds the index's lock. It makes the fragments of the stale names, then writes every file in one pass over all
fragments. It sets `built_revision` to the `requested_revision` that it read. If its time is over before all names are
made, the next build continues. Workers find stale indexes in the database (turns.py), so a lost message or a killed
worker leaves no index stale.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Max, Min, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from channels_app.models import Artifact, Channel, Package
from channels_app.webhooks import queue as webhook_queue
from hub.celery import wake
from hub.locks import try_lock
from hub.observability import metrics
from hub.storage import store
from publishing.index import channel_files, fragments, repodata, shards, writer
from publishing.index.repodata import Layout, Revision
from publishing.models import IndexedName, SubdirIndex

WHOLE_CHANNEL = ""
BUILD = "publishing.tasks.build_stale_indexes"
WAKE_AGAIN_AFTER_S = 1.0
# A failed build is retried after this time.
RETRY_AFTER = timedelta(seconds=15)
# The files of the whole channel are slow to build and few clients read them: at most 1/20 of a worker's time.
WHOLE_CHANNEL_SHARE = 20
WHOLE_CHANNEL_PAUSE_MAX_S = 60.0
# More names than one build has time for.
NAMES_MAX = 5000
# Old versions of SQLite accept at most 999 values in a query.
NAMES_AT_ONCE = 500

# SQL instead of the ORM: a single statement is atomic among concurrent changes.
MARK_INDEX = """INSERT INTO publishing_subdirindex AS mine
(channel_id, subdir, requested_revision, requested_at, built_revision, builds, etag, current_etag)
VALUES (%s, %s, 1, %s, 0, 0, '', '')
ON CONFLICT (channel_id, subdir) DO UPDATE SET requested_revision = mine.requested_revision + 1,
requested_at = CASE WHEN mine.requested_revision > mine.built_revision THEN mine.requested_at
ELSE excluded.requested_at END
RETURNING *"""
MARK_NAMES = """INSERT INTO publishing_indexedname AS mine (index_id, name, changed, removes, shard_sha256)
VALUES (%s, %s, %s, %s, '')
ON CONFLICT (index_id, name) DO UPDATE SET changed = excluded.changed, removes = mine.removes OR excluded.removes"""

_woken_again_at = 0.0
# Index id → time when it is due, for failed builds that the database could not record.
delayed_builds: dict[int, datetime] = {}

logger = logging.getLogger(__name__)


@transaction.atomic(savepoint=False)
def mark_stale(channel: Channel, subdir: str, names: Iterable[str], *, removes: bool = False) -> SubdirIndex:
    """Mark the index stale for `names`, in the transaction of the change.

    `removes`: the change takes artifacts out of the index. Such names are built before others.
    """
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    [index] = SubdirIndex.objects.raw(MARK_INDEX, [channel.pk, subdir, now])
    index.channel = channel
    with connection.cursor() as cursor:
        cursor.executemany(MARK_NAMES, [(index.pk, name, index.requested_revision, removes) for name in names])
    return index


def schedule_build(channel: Channel, subdir: str, names: Iterable[str], *, removes: bool = False) -> None:
    """Mark the index stale and enqueue a build after the commit, unless one was enqueued a moment ago."""
    index = mark_stale(channel, subdir, names, removes=removes)
    if index.requested_revision == index.built_revision + 1 or _may_wake_again(index):
        transaction.on_commit(partial(wake, BUILD))


def _may_wake_again(index: SubdirIndex) -> bool:
    """Tell whether the index has waited so long that the worker may have been killed.

    Each process returns True at most once in this time, so that a burst of changes doesn't enqueue a job for each.
    """
    global _woken_again_at
    now = time.monotonic()
    is_late = index.requested_at and (timezone.now() - index.requested_at).total_seconds() > WAKE_AGAIN_AFTER_S
    if not is_late or now - _woken_again_at < WAKE_AGAIN_AFTER_S:
        return False
    _woken_again_at = now
    return True


def open_channel(channel: Channel) -> list[SubdirIndex]:
    """Mark the indexes of a new channel stale, so that its folder is a valid channel before the first upload."""
    with transaction.atomic():
        return (
            []
            if channel.indexes.exists()
            else [mark_stale(channel, subdir, []) for subdir in ("noarch", WHOLE_CHANNEL)]
        )


def rebuild(index: SubdirIndex) -> None:
    """Rebuild every fragment and file of `index` from the database alone."""
    mark_stale(index.channel, index.subdir, all_names(index))
    build_until_current(index.pk)


def all_names(index: SubdirIndex) -> list[str]:
    """Return every name that the index has or should have: of artifacts, and of fragments without artifacts."""
    packages = Package.objects.filter(channel=index.channel)
    if index.subdir != WHOLE_CHANNEL:
        packages = packages.filter(artifacts__subdir=index.subdir)
    found = packages.values_list("name").union(index.names.values_list("name"), index.fragments.values_list("name"))
    return sorted(name for (name,) in found)


def build_channel(channel: Channel) -> None:
    """Build every stale index: first the subdirs, then the files of the whole channel, which are made from them."""
    for index in channel.indexes.exclude(subdir=WHOLE_CHANNEL):
        build_until_current(index.pk)
    for index in channel.indexes.filter(subdir=WHOLE_CHANNEL):
        build_until_current(index.pk)


def build_until_current(index_id: int) -> None:
    """Build the index until it is current. Return at once if another worker is building it."""
    while build_once(index_id):
        pass


def build_once(index_id: int, *, bound_s: float | None = None, on_begin: Callable[[], object] | None = None) -> bool:
    """Build the index once. Return False if it is current or another worker is building it.

    `on_begin` is called when the build begins.
    """
    try:
        with try_lock(lock_name(index_id)) as held:
            stale = SubdirIndex.objects.filter(pk=index_id, requested_revision__gt=F("built_revision"))
            if not held or not stale.update(turn_at=timezone.now()):
                return False
            if on_begin:
                on_begin()
            build(stale.select_related("channel").get(), bound_s=bound_s)
            return True
    except Exception:
        # If the lock was lost with its connection, this build may have overwritten the files of a newer one.
        if not connection.is_usable():
            connection.close()
        _postpone(index_id)
        raise


def _postpone(index_id: int) -> None:
    """Mark the index stale again and due after RETRY_AFTER. If the database fails, keep the time in this process."""
    due_at = timezone.now() + RETRY_AFTER
    try:
        _mark_stale_again(index_id)
        SubdirIndex.objects.filter(pk=index_id).update(due_at=due_at)
    except Exception as error:  # noqa: BLE001  the caller raises the exception of the build
        delayed_builds[index_id] = due_at
        logger.warning("could not record the failed build of index %s: %s", index_id, error)


def lock_name(index_id: int) -> str:
    return f"index-{index_id}"


def build(index: SubdirIndex, *, bound_s: float | None = None) -> None:
    """Build the index. The caller holds its lock. A crash at any point leaves the index stale, to be built again.

    `bound_s`: start no further names after this many seconds, but write the files. The files of the whole channel are
    written only when all names are made.
    """
    began = datetime.now(UTC)
    deadline = None if bound_s is None else time.monotonic() + bound_s
    names = _names_to_build(index, None if bound_s is None else NAMES_MAX)
    with metrics.BUILDS.labels("subdir" if index.subdir else "channel").time():
        if index.subdir == WHOLE_CHANNEL:
            _mark_made(index, channel_files.remake(index, names, deadline))
            if _names_to_build(index, 1):
                return
            made: list[str] = []
            channel_files.write_files(index)
        else:
            made = fragments.remake(index, names, deadline)
            _write_files(index)
    _finish(index, made, began)


def stale_names(index: SubdirIndex) -> QuerySet[IndexedName]:
    return index.names.filter(changed__gt=F("made"))


def _names_to_build(index: SubdirIndex, most: int | None) -> list[str]:
    """Return the stale names, those with removals first. Names that change after this build began are left out."""
    stale = stale_names(index).filter(changed__lte=index.requested_revision).order_by("-removes", "changed", "name")
    return list(stale.values_list("name", flat=True)[:most])


def _mark_made(index: SubdirIndex, names: list[str]) -> None:
    """Mark `names` as made up to the index's `requested_revision`. Names that changed since then stay stale."""
    for start in range(0, len(names), NAMES_AT_ONCE):
        batch = index.names.filter(name__in=names[start : start + NAMES_AT_ONCE], changed__lte=index.requested_revision)
        batch.update(made=F("changed"), removes=False)


@transaction.atomic
def _finish(index: SubdirIndex, names: list[str], began: datetime) -> None:
    """Record the end of a build. Locks the index's row before the rows of names, as changes do."""
    now = SubdirIndex.objects.select_for_update(no_key=True).filter(pk=index.pk).first()
    if now is None:
        return
    if now.etag != index.etag:
        # Another build ended since this one began: files and fragments may be a mix of both.
        index.names.filter(name__in=names).update(made=0)
        _mark_stale_again(index.pk)
    else:
        _mark_made(index, names)
        # Names that changed during this build, or that it left, have waited since it began.
        ended = {
            "builds": F("builds") + 1,
            "etag": secrets.token_hex(8),
            "built_at": datetime.now(UTC),
            "requested_at": began,
        }
        if not _names_to_build(index, 1):
            ended |= {"built_revision": index.requested_revision, "due_at": _due_at(index, began)}
        SubdirIndex.objects.filter(pk=index.pk).update(**ended)
        if index.subdir != WHOLE_CHANNEL:
            webhook_queue.queue_build(index.channel, index.subdir, now.builds + 1)
    if index.subdir != WHOLE_CHANNEL:
        schedule_build(index.channel, WHOLE_CHANNEL, names)


def _mark_stale_again(index_id: int) -> None:
    """Mark a current index stale, so that it is built once more. A stale index needs no change."""
    SubdirIndex.objects.filter(pk=index_id, requested_revision=F("built_revision")).update(
        requested_revision=F("requested_revision") + 1, requested_at=Now()
    )


def _due_at(index: SubdirIndex, began: datetime) -> datetime:
    """Return when the next build may begin. The pause lets a few builds serve a hundred uploads."""
    now = datetime.now(UTC)
    pause_s = settings.HUB_INDEX_PAUSE_MS / 1000
    if index.subdir == WHOLE_CHANNEL:
        took_s = (now - began).total_seconds()
        pause_s = max(pause_s, min(WHOLE_CHANNEL_SHARE * took_s, WHOLE_CHANNEL_PAUSE_MAX_S))
    return now + timedelta(seconds=pause_s)


def _write_files(index: SubdirIndex) -> None:
    """Write every file of the subdir, the shard index first: all its shards are in the store already."""
    revision_3 = revision_3_of(index)
    prefix = f"{index.channel.name}/{index.subdir}"
    store().put(f"{prefix}/{repodata.SHARD_INDEX}", shard_index(index, revision_3))
    for file_name, layout in layouts(index, revision_3).items():
        writer.write_json(index, f"{prefix}/{file_name}", layout)


def shard_index(index: SubdirIndex, revision_3: Revision | None) -> bytes:
    digests = dict(index.names.exclude(shard_sha256="").values_list("name", "shard_sha256"))
    created_at = repodata.timestamp(datetime.now(UTC))
    return shards.shard_index(index.subdir, digests, created_at=created_at, revision_3=revision_3)


def layouts(index: SubdirIndex, revision_3: Revision | None) -> dict[str, Layout]:
    """Return the layouts of a subdir's JSON files that consist of fragments, in the order of writing."""
    return {
        repodata.REPODATA: repodata.repodata_layout(index.subdir, revision_3),
        repodata.RUN_EXPORTS: repodata.run_exports_layout(index.subdir),
    }


def revision_3_of(index: SubdirIndex) -> Revision | None:
    """Return the index's summary of its revision-3 records, or None if there are none."""
    found = Artifact.objects.filter(
        channel=index.channel, subdir=index.subdir, revision=3, removal="", quarantine_reason=""
    ).aggregate(n=Count("pk"), oldest=Min("indexed_timestamp"), newest=Max("indexed_timestamp"))
    return Revision(found["n"], found["oldest"], found["newest"]) if found["n"] else None
