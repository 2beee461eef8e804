"""Keeping the index files of a channel in step with the database, the only truth.

A change raises the index's `wanted` in its own transaction and marks the name. A build, alone under the index's lock,
makes the stale names' pieces, then writes every file in one pass over ready pieces. It raises `built` to the `wanted`
that it read, unless its time was over before all names were made; then the next build goes on. Workers take stale
indexes from the database (turns.py), so neither a lost message nor a killed worker leaves one behind.
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
from hub import metrics
from hub.celery import wake
from hub.locks import try_lock
from hub.storage import store
from publishing import files, pieces, repodata, summary
from publishing.models import IndexedName, SubdirIndex
from publishing.repodata import Layout, Revision

WHOLE_CHANNEL = ""
BUILD = "publishing.tasks.build_stale_indexes"
ASKED_AGAIN_AFTER_S = 1.0
# A build that failed is tried again after so long.
TRIED_AGAIN_AFTER = timedelta(seconds=15)
# The files of the whole channel take their time, and few clients read them: at most a 20th of a worker's time.
WHOLE_CHANNEL_SHARE = 20
WHOLE_CHANNEL_PAUSE_MAX_S = 60.0
# More than a build has time for.
NAMES_MAX = 5000
# SQLite takes 999 values in a query where it is old.
NAMES_AT_ONCE = 500

# As SQL: each is one statement, within which nobody else comes.
WANT = """INSERT INTO publishing_subdirindex AS mine
(channel_id, subdir, wanted, wanted_at, built, builds, etag, current_etag) VALUES (%s, %s, 1, %s, 0, 0, '', '')
ON CONFLICT (channel_id, subdir) DO UPDATE SET wanted = mine.wanted + 1,
wanted_at = CASE WHEN mine.wanted > mine.built THEN mine.wanted_at ELSE excluded.wanted_at END
RETURNING *"""
MARK = """INSERT INTO publishing_indexedname AS mine (index_id, name, changed, removes, shard_sha256)
VALUES (%s, %s, %s, %s, '')
ON CONFLICT (index_id, name) DO UPDATE SET changed = excluded.changed, removes = mine.removes OR excluded.removes"""

_asked_again_at = 0.0
# Index → when it is due, of builds whose failure could not be noted in the database.
put_off: dict[int, datetime] = {}

logger = logging.getLogger(__name__)


@transaction.atomic(savepoint=False)
def want(channel: Channel, subdir: str, names: Iterable[str], *, removes: bool = False) -> SubdirIndex:
    """Wish for a new index because of `names`: in the transaction of the change.

    `removes`: something of theirs has to leave the index, which goes before what comes into one.
    """
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    [index] = SubdirIndex.objects.raw(WANT, [channel.pk, subdir, now])
    index.channel = channel
    with connection.cursor() as cursor:
        cursor.executemany(MARK, [(index.pk, name, index.wanted, removes) for name in names])
    return index


def request(channel: Channel, subdir: str, names: Iterable[str], *, removes: bool = False) -> None:
    """Mark the index stale, and wake a worker after the commit unless one is known to be awake."""
    index = want(channel, subdir, names, removes=removes)
    if index.wanted == index.built + 1 or _may_ask_again(index):
        transaction.on_commit(partial(wake, BUILD))


def _may_ask_again(index: SubdirIndex) -> bool:
    """Tell whether the index waits for so long that the worker that was woken for it may be dead.

    A process says so once in this time: while a worker is at a burst of changes, nothing comes of it.
    """
    global _asked_again_at
    now = time.monotonic()
    is_late = index.wanted_at and (timezone.now() - index.wanted_at).total_seconds() > ASKED_AGAIN_AFTER_S
    if not is_late or now - _asked_again_at < ASKED_AGAIN_AFTER_S:
        return False
    _asked_again_at = now
    return True


def open_channel(channel: Channel) -> list[SubdirIndex]:
    """Wish for a new channel's empty files, so that its folder in the store is a valid channel before any upload."""
    with transaction.atomic():
        return [] if channel.indexes.exists() else [want(channel, subdir, []) for subdir in ("noarch", WHOLE_CHANNEL)]


def rebuild(index: SubdirIndex) -> None:
    """Make every piece and file of `index` anew, from the database alone."""
    want(index.channel, index.subdir, all_names(index))
    bring_up_to_date(index.pk)


def all_names(index: SubdirIndex) -> list[str]:
    """Every name that the index has or should have: of artifacts, and of pieces that may be left of others."""
    packages = Package.objects.filter(channel=index.channel)
    if index.subdir != WHOLE_CHANNEL:
        packages = packages.filter(artifacts__subdir=index.subdir)
    found = packages.values_list("name").union(index.names.values_list("name"), index.fragments.values_list("name"))
    return sorted(name for (name,) in found)


def bring_channel_up_to_date(channel: Channel) -> None:
    """Build whatever is stale, the subdirs first: the files of the whole channel are made from them."""
    for index in channel.indexes.exclude(subdir=WHOLE_CHANNEL):
        bring_up_to_date(index.pk)
    for index in channel.indexes.filter(subdir=WHOLE_CHANNEL):
        bring_up_to_date(index.pk)


def bring_up_to_date(index_id: int) -> None:
    """Build the index until it is not stale; nothing to do where another worker is at it."""
    while build_once(index_id):
        pass


def build_once(index_id: int, *, bound_s: float | None = None, begun: Callable[[], object] | None = None) -> bool:
    """One build, and whether there was one: the index may not be stale, or another worker may be at it.

    `begun` is called when it begins.
    """
    try:
        with try_lock(lock_name(index_id)) as held:
            stale = SubdirIndex.objects.filter(pk=index_id, wanted__gt=F("built"))
            if not held or not stale.update(turn_at=timezone.now()):
                return False
            if begun:
                begun()
            build(stale.select_related("channel").get(), bound_s=bound_s)
            return True
    except Exception:
        # Where the lock went with a connection, this build's files may stand over those of a newer one.
        if not connection.is_usable():
            connection.close()
        _put_off(index_id)
        raise


def _put_off(index_id: int) -> None:
    """Have the index built once more, later; this process remembers it where the database can't, as on a full disk."""
    due_at = timezone.now() + TRIED_AGAIN_AFTER
    try:
        _want_again(index_id)
        SubdirIndex.objects.filter(pk=index_id).update(due_at=due_at)
    except Exception as trouble:  # noqa: BLE001  what the build raised is what the caller is told
        put_off[index_id] = due_at
        logger.warning("the build of index %s failed, which could not be noted: %s", index_id, trouble)


def lock_name(index_id: int) -> str:
    return f"index-{index_id}"


def build(index: SubdirIndex, *, bound_s: float | None = None) -> None:
    """One build. The caller holds the index's lock. A crash at any point leaves it stale, to be built again.

    With `bound_s` it makes no further names after so many seconds. It writes the files nevertheless; those of the whole
    channel wait until all names are made.
    """
    began = datetime.now(UTC)
    deadline = None if bound_s is None else time.monotonic() + bound_s
    names = _to_make(index, None if bound_s is None else NAMES_MAX)
    with metrics.BUILDS.labels("subdir" if index.subdir else "channel").time():
        if index.subdir == WHOLE_CHANNEL:
            _mark_made(index, summary.remake(index, names, deadline))
            if _to_make(index, 1):
                return
            made: list[str] = []
            summary.write_files(index)
        else:
            made = pieces.remake(index, names, deadline)
            _write_files(index)
    _finish(index, made, began)


def stale_names(index: SubdirIndex) -> QuerySet[IndexedName]:
    return index.names.filter(changed__gt=F("made"))


def _to_make(index: SubdirIndex, most: int | None) -> list[str]:
    """The stale names, those with something to remove first; one that changes meanwhile is the next build's."""
    stale = stale_names(index).filter(changed__lte=index.wanted).order_by("-removes", "changed", "name")
    return list(stale.values_list("name", flat=True)[:most])


def _mark_made(index: SubdirIndex, names: list[str]) -> None:
    """The names are in the files as they were at the index's `wanted`; those that changed since then stay stale."""
    for start in range(0, len(names), NAMES_AT_ONCE):
        batch = index.names.filter(name__in=names[start : start + NAMES_AT_ONCE], changed__lte=index.wanted)
        batch.update(made=F("changed"), removes=False)


@transaction.atomic
def _finish(index: SubdirIndex, names: list[str], began: datetime) -> None:
    """Lock the index's row before those of names, as changes do."""
    now = SubdirIndex.objects.select_for_update(no_key=True).filter(pk=index.pk).first()
    if now is None:
        return
    if now.etag != index.etag:
        # Another build has ended since this one began: the files and pieces may be of both.
        index.names.filter(name__in=names).update(made=0)
        _want_again(index.pk)
    else:
        _mark_made(index, names)
        # What came meanwhile came after this build began, and what is left waits for the next one.
        ended = {
            "builds": F("builds") + 1,
            "etag": secrets.token_hex(8),
            "built_at": datetime.now(UTC),
            "wanted_at": began,
        }
        if not _to_make(index, 1):
            ended |= {"built": index.wanted, "due_at": _due_at(index, began)}
        SubdirIndex.objects.filter(pk=index.pk).update(**ended)
    if index.subdir != WHOLE_CHANNEL:
        request(index.channel, WHOLE_CHANNEL, names)


def _want_again(index_id: int) -> None:
    """Have the index built once more; nothing to do where it is stale anyway."""
    SubdirIndex.objects.filter(pk=index_id, wanted=F("built")).update(wanted=F("wanted") + 1, wanted_at=Now())


def _due_at(index: SubdirIndex, began: datetime) -> datetime:
    """A moment after the last build: a hundred uploads at once need a handful of builds."""
    now = datetime.now(UTC)
    pause_s = settings.HUB_INDEX_PAUSE_MS / 1000
    if index.subdir == WHOLE_CHANNEL:
        took_s = (now - began).total_seconds()
        pause_s = max(pause_s, min(WHOLE_CHANNEL_SHARE * took_s, WHOLE_CHANNEL_PAUSE_MAX_S))
    return now + timedelta(seconds=pause_s)


def _write_files(index: SubdirIndex) -> None:
    """Write every file of the subdir, the shard index first: who sees the new one finds every shard already there."""
    revision_3 = revision_3_of(index)
    prefix = f"{index.channel.name}/{index.subdir}"
    store().put(f"{prefix}/{repodata.SHARD_INDEX}", shard_index(index, revision_3))
    for file_name, layout in layouts(index, revision_3).items():
        files.write_json(index, f"{prefix}/{file_name}", layout)


def shard_index(index: SubdirIndex, revision_3: Revision | None) -> bytes:
    shards = dict(index.names.exclude(shard_sha256="").values_list("name", "shard_sha256"))
    created_at = repodata.timestamp(datetime.now(UTC))
    return repodata.shard_index(index.subdir, shards, created_at=created_at, revision_3=revision_3)


def layouts(index: SubdirIndex, revision_3: Revision | None) -> dict[str, Layout]:
    """The JSON files of a subdir that are made of its fragments, in the order of writing."""
    return {
        repodata.REPODATA: repodata.repodata_layout(index.subdir, revision_3),
        repodata.RUN_EXPORTS: repodata.run_exports_layout(index.subdir),
    }


def revision_3_of(index: SubdirIndex) -> Revision | None:
    """What the index says of its revision-3 records; None where there are none."""
    found = Artifact.objects.filter(
        channel=index.channel, subdir=index.subdir, revision=3, removal="", set_aside_reason=""
    ).aggregate(n=Count("pk"), oldest=Min("indexed_timestamp"), newest=Max("indexed_timestamp"))
    return Revision(found["n"], found["oldest"], found["newest"]) if found["n"] else None
