"""Marks of stale indexes and names, in the transaction of a change.

Each label has an index of its own in each subdir of its files. A change of a name marks the channel's own index and
those of the labels that have the name.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from channels_app.models import Channel, Label
from publishing.models import IndexedName, SubdirIndex

# Old versions of SQLite accept at most 999 values in a query.
NAMES_AT_ONCE = 500
# An index of a deleted label gets empty, and is removed later.
IN_USE = Q(label="") | Exists(Label.objects.filter(channel=OuterRef("channel"), name=OuterRef("label")))

# SQL instead of the ORM: a single statement is atomic among concurrent changes.
MARK_INDEX = """INSERT INTO publishing_subdirindex AS mine
(channel_id, subdir, label, requested_revision, requested_at, built_revision, builds, etag, current_etag)
VALUES (%s, %s, %s, 1, %s, 0, 0, '', '')
ON CONFLICT (channel_id, subdir) DO UPDATE SET requested_revision = mine.requested_revision + 1,
requested_at = CASE WHEN mine.requested_revision > mine.built_revision THEN mine.requested_at
ELSE excluded.requested_at END
RETURNING *"""
# Locks the row of the channel's own index, and tells later changes that labels have indexes of this subdir.
MARK_LABELED = """INSERT INTO publishing_subdirindex
(channel_id, subdir, label, requested_revision, requested_at, built_revision, builds, etag, current_etag, has_labels)
VALUES (%s, %s, '', 1, %s, 0, 0, '', '', TRUE)
ON CONFLICT (channel_id, subdir) DO UPDATE SET has_labels = TRUE"""
MARK_NAMES = """INSERT INTO publishing_indexedname AS mine (index_id, name, changed, removes, shard_sha256)
VALUES (%s, %s, %s, %s, '')
ON CONFLICT (index_id, name) DO UPDATE SET changed = excluded.changed, removes = mine.removes OR excluded.removes"""


@transaction.atomic(savepoint=False)
def mark_stale(
    channel: Channel, subdir: str, names: Iterable[str], *, removes: bool = False, label: str = ""
) -> SubdirIndex:
    """Mark the index stale for `names`, in the transaction of the change.

    `removes`: the change takes artifacts out of the index. Such names are built before others.
    """
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    [index] = SubdirIndex.objects.raw(MARK_INDEX, [channel.pk, SubdirIndex.place(label, subdir), label, now])
    index.channel = channel
    with connection.cursor() as cursor:
        cursor.executemany(MARK_NAMES, [(index.pk, name, index.requested_revision, removes) for name in names])
    return index


def lock_for_labels(channel: Channel, subdir: str) -> None:
    """Lock the channel's own index of the subdir, and note that labels have indexes there."""
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(MARK_LABELED, [channel.pk, subdir, now])


def is_in_use(index: SubdirIndex) -> bool:
    """Tell whether the index is that of the channel, or of a label that still exists."""
    return not index.label or Label.objects.filter(channel=index.channel_id, name=index.label).exists()


def names_by_label(index: SubdirIndex, names: Sequence[str]) -> dict[str, list[str]]:
    """Return label → those of `names` that its index of this subdir has; without names, all labels."""
    indexes = SubdirIndex.objects.filter(channel=index.channel, subdir__endswith=f"/{index.subdir}")
    found: dict[str, list[str]] = {} if names else {label: [] for label in indexes.values_list("label", flat=True)}
    for start in range(0, len(names), NAMES_AT_ONCE):
        indexed = IndexedName.objects.filter(index__in=indexes, name__in=names[start : start + NAMES_AT_ONCE])
        for label, name in indexed.values_list("index__label", "name"):
            found.setdefault(label, []).append(name)
    return found


@transaction.atomic
def mark_others(index: SubdirIndex, names: Sequence[str]) -> None:
    """Mark the other indexes of the same subdir stale that have one of the names: of the channel, and of labels."""
    place = Q(index__subdir=index.platform) | Q(index__subdir__endswith=f"/{index.platform}")
    others = IndexedName.objects.filter(place, index__channel=index.channel, name__in=names).exclude(index=index)
    found: dict[str, list[str]] = defaultdict(list)
    for label, name in others.values_list("index__label", "name"):
        found[label].append(name)
    for label in sorted(found):
        mark_stale(index.channel, index.platform, found[label], removes=True, label=label)
