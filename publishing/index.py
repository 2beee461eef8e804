"""Keeping the index files of a channel in step with the database, the only truth.

A change raises the index's `wanted` in its own transaction and marks the name. A build, alone under the index's lock,
makes the changed names' pieces, then writes every file in one pass over ready pieces, and raises `built` to the
`wanted` that it read. Whoever finds the lock taken leaves: the holder looks again after it let go, and the schedule
wakes what is still stale, so neither a lost message nor a killed worker leaves an index behind.
"""

import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Max, Min
from django.db.models.functions import Now
from django.utils import timezone

from channels_app.models import Artifact, Channel, Package
from hub import metrics
from hub.celery import send
from hub.locks import try_lock
from hub.storage import store
from publishing import files, pieces, repodata, summary
from publishing.models import SubdirIndex
from publishing.repodata import Layout, Revision

WHOLE_CHANNEL = ""
ASKED_AGAIN_AFTER = timedelta(seconds=1)

# As SQL: each is one statement, within which nobody else comes.
WANT = """INSERT INTO publishing_subdirindex AS mine
(channel_id, subdir, wanted, wanted_at, built, builds, etag, current_etag) VALUES (%s, %s, 1, %s, 0, 0, '', '')
ON CONFLICT (channel_id, subdir) DO UPDATE SET wanted = mine.wanted + 1,
wanted_at = CASE WHEN mine.wanted > mine.built THEN mine.wanted_at ELSE excluded.wanted_at END
RETURNING *"""
MARK = """INSERT INTO publishing_indexedname (index_id, name, changed, shard_sha256) VALUES (%s, %s, %s, '')
ON CONFLICT (index_id, name) DO UPDATE SET changed = excluded.changed"""


@transaction.atomic(savepoint=False)
def want(channel: Channel, subdir: str, names: Iterable[str]) -> SubdirIndex:
    """Wish for a new index because of `names`: in the transaction of the change; `wake` it after the commit."""
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    [index] = SubdirIndex.objects.raw(WANT, [channel.pk, subdir, now])
    index.channel = channel
    with connection.cursor() as cursor:
        cursor.executemany(MARK, [(index.pk, name, index.wanted) for name in names])
    return index


def request(channel: Channel, subdir: str, names: Iterable[str]) -> None:
    """The same, and a worker is asked after the commit, unless one was a moment ago, who builds until nothing is stale.

    Only a moment: whoever was asked may have been killed.
    """
    index = want(channel, subdir, names)
    is_stale_anew = index.wanted == index.built + 1
    if is_stale_anew or (index.wanted_at and timezone.now() - index.wanted_at > ASKED_AGAIN_AFTER):
        transaction.on_commit(partial(wake, index))


def wake(index: SubdirIndex) -> None:
    """Ask a worker to build `index`."""
    send("publishing.tasks.build_index", index.pk)


def open_channel(channel_id: int) -> None:
    """Write a new channel's empty files, so that its folder in the store is a valid channel from the first moment."""
    channel = Channel.objects.filter(pk=channel_id).first()
    if channel and not channel.indexes.exists():
        with transaction.atomic():
            indexes = [want(channel, "noarch", []), want(channel, WHOLE_CHANNEL, [])]
        for index in indexes:
            bring_up_to_date(index.pk)


def wake_stale() -> None:
    """Wake what a lost message or a killed worker left behind: stale indexes, channels without any."""
    for index in SubdirIndex.objects.filter(wanted__gt=F("built")):
        wake(index)
    for channel in Channel.objects.filter(indexes=None):
        send("publishing.tasks.open_channel", channel.pk)


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
    try:
        while index := SubdirIndex.objects.filter(pk=index_id, wanted__gt=F("built")).select_related("channel").first():
            with try_lock(lock_name(index_id)) as held:
                if not held:
                    return
                _pause_since(index.built_at)
                index.refresh_from_db()
                build(index)
    except Exception:
        # Where the lock went with a connection, this build's files may stand over those of a newer one.
        if not connection.is_usable():
            connection.close()
        _want_again(index_id)
        raise


def lock_name(index_id: int) -> str:
    return f"index-{index_id}"


def build(index: SubdirIndex) -> None:
    """One build. The caller holds the index's lock. A crash at any point leaves it stale, to be built again."""
    began = datetime.now(UTC)
    names = list(index.names.filter(changed__gt=index.built).order_by("name").values_list("name", flat=True))
    with metrics.BUILDS.labels("subdir" if index.subdir else "channel").time():
        if index.subdir == WHOLE_CHANNEL:
            summary.write_files(index, names)
        else:
            pieces.remake(index, names)
            _write_files(index)
    _finish(index, names, began)


def _finish(index: SubdirIndex, names: list[str], began: datetime) -> None:
    built = {"built": index.wanted, "builds": F("builds") + 1, "etag": secrets.token_hex(8)}
    with transaction.atomic():
        mine = SubdirIndex.objects.filter(pk=index.pk, etag=index.etag)
        # What came meanwhile came after this build began.
        if not mine.update(**built, built_at=datetime.now(UTC), wanted_at=began):
            # Another build has ended since this one began: the files may be of both.
            _want_again(index.pk)
        if index.subdir != WHOLE_CHANNEL:
            request(index.channel, WHOLE_CHANNEL, names)


def _want_again(index_id: int) -> None:
    """Have the index built once more; nothing to do where it is stale anyway."""
    SubdirIndex.objects.filter(pk=index_id, wanted=F("built")).update(wanted=F("wanted") + 1, wanted_at=Now())


def _pause_since(built_at: datetime | None) -> None:
    """Wait a moment after the last build, under the lock: a hundred uploads at once need a handful of builds."""
    if built_at:
        pause = timedelta(milliseconds=settings.HUB_INDEX_PAUSE_MS) - (datetime.now(UTC) - built_at)
        time.sleep(max(0.0, pause.total_seconds()))


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
