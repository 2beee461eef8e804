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
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, QuerySet, When
from django.db.models.functions import Now
from django.utils import timezone

from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Channel, ChannelKind, Package
from channels_app.webhooks import queue as webhook_queue
from hub.celery import wake
from hub.locks import try_lock
from hub.observability import metrics
from publishing.index import (
    channel_files,
    fragments,
    marks,
    merging,
    subdir_files,
    virtual_names,
    virtual_waits,
    writer,
)
from publishing.index.marks import NAMES_AT_ONCE
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

_woken_again_at = 0.0
# Index id → time when it is due, for failed builds that the database could not record.
delayed_builds: dict[int, datetime] = {}

logger = logging.getLogger(__name__)


def schedule_build(
    channel: Channel,
    subdir: str,
    names: Sequence[str],
    *,
    removes: bool = False,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Mark the index stale and enqueue a build after the commit, unless one was enqueued a moment ago.

    `labels`: label → names that change in its index; by default the indexes of all labels that have one of the names.
    """
    if labels:
        marks.lock_for_labels(channel, subdir)
    index = marks.mark_stale(channel, subdir, names, removes=removes)
    if labels is None:
        labels = marks.names_by_label(index, names) if index.has_labels else {}
    enqueue([index, *_mark_labels(channel, subdir, labels, removes=removes)])


def schedule_label_builds(
    channel: Channel, subdir: str, labels: Mapping[str, Sequence[str]], *, removes: bool = False
) -> None:
    """Mark only indexes of labels stale, and enqueue a build. `labels`: label → names that change in its index.

    The lock on the channel's own index makes a change of the same names in that index wait; it then finds these labels.
    """
    marks.lock_for_labels(channel, subdir)
    enqueue(_mark_labels(channel, subdir, labels, removes=removes))


def empty_label(channel: Channel, label: str) -> None:
    """Mark every name in the indexes of a deleted label stale, so that a new label of this name begins empty."""
    for index in SubdirIndex.objects.filter(channel=channel, label=label).order_by("subdir"):
        marked = marks.mark_stale(channel, index.platform, [], label=label)
        index.names.update(changed=marked.requested_revision, removes=True)


def _mark_labels(
    channel: Channel, subdir: str, labels: Mapping[str, Sequence[str]], *, removes: bool
) -> list[SubdirIndex]:
    return [marks.mark_stale(channel, subdir, labels[label], removes=removes, label=label) for label in sorted(labels)]


def enqueue(indexes: Iterable[SubdirIndex]) -> None:
    """Enqueue a build of the marked indexes after the commit, unless one was enqueued a moment ago."""
    if any(index.requested_revision == index.built_revision + 1 or _may_wake_again(index) for index in indexes):
        transaction.on_commit(partial(wake, BUILD))


def note_members() -> None:
    """Mark virtual channels stale of which a member was built, deleted or restored, and enqueue a build."""
    enqueue([*virtual_names.note_deletions(), *virtual_waits.note_waiting()])


def schedule_channel_files() -> None:
    """Mark the files of every whole channel stale, and enqueue a build after the commit."""
    rows = SubdirIndex.objects.filter(subdir=WHOLE_CHANNEL)
    # Locked in order, so that two such changes don't deadlock.
    list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    is_stale = When(requested_revision__gt=F("built_revision"), then=F("requested_at"))
    rows.update(requested_at=Case(is_stale, default=Now()), requested_revision=F("requested_revision") + 1)
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
            else [marks.mark_stale(channel, subdir, []) for subdir in ("noarch", WHOLE_CHANNEL)]
        )


def rebuild(index: SubdirIndex) -> None:
    """Rebuild every fragment and file of `index` from the database alone."""
    if merging.is_virtual(index.channel):
        with transaction.atomic():
            virtual_names.lock(index.channel)
            virtual_names.refresh(index.channel)
    marks.mark_stale(index.channel, index.platform, all_names(index), label=index.label)
    build_until_current(index.pk)


def all_names(index: SubdirIndex) -> list[str]:
    """Return every name that the index has or should have: of artifacts or members, and of fragments without any."""
    # Packages of an upstream have no artifacts: its names are those of `upstream_names`.
    packages = Package.objects.filter(channel=index.channel, channel__kind=ChannelKind.PACKAGES)
    if index.subdir != WHOLE_CHANNEL:
        packages = packages.filter(artifacts__in=fragments.artifacts_of(index))
    found = packages.values_list("name").union(
        index.names.values_list("name"),
        index.fragments.values_list("name"),
        index.upstream_names.values_list("name"),
        merging.brought_names(index).values_list("name"),
    )
    return sorted(name for (name,) in found)


def build_channel(channel: Channel) -> None:
    """Build every stale index: first the subdirs, then the files of the whole channel, which are made from them."""
    for index in channel.indexes.exclude(subdir=WHOLE_CHANNEL).order_by("pk"):
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
            remake = merging.remake if merging.is_virtual(index.channel) else fragments.remake
            made = remake(index, names, deadline)
            was_patched, index.is_patched = index.is_patched, writer.is_patched(index)
            subdir_files.write(index)
            webhook_queue.queue_events_of(index.channel)
    enqueue(virtual_waits.note_build(index, made))
    _finish(index, made, began)
    if index.subdir != WHOLE_CHANNEL and was_patched and not index.is_patched:
        subdir_files.delete_unpatched(index)


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
            "is_patched": index.is_patched,
        }
        if not _names_to_build(index, 1):
            ended |= {"built_revision": index.requested_revision, "due_at": _due_at(index, began)}
        SubdirIndex.objects.filter(pk=index.pk).update(**ended)
        if index.subdir != WHOLE_CHANNEL and marks.is_in_use(index):
            webhook_queue.queue_build(index.channel, index.platform, index.label or MAIN_LABEL, now.builds + 1)
    if index.subdir != WHOLE_CHANNEL:
        is_summed_up = not index.label and index.channel.kind == ChannelKind.PACKAGES
        schedule_build(index.channel, WHOLE_CHANNEL, names if is_summed_up else [])


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
