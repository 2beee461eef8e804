"""Indexes of virtual channels, merged from ready pieces of their members.

A virtual channel has no fragments and no shards of its own. Its shard index lists the shards of its members, and its
other files are written from the members' fragments. `VirtualName` says which member's piece of a name is taken.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from channels_app.models import Channel, ChannelKind
from publishing.index.fragments import in_batches
from publishing.models import Fragment, IndexedName, MergedShard, SubdirIndex, VirtualMember, VirtualName, WaitingBuild

NAMES_AT_ONCE = 500


class Source(NamedTuple):
    """An index whose fragments a file is written from.

    With `member_id`, only those of names that this member brings to the virtual channel `channel_id`.
    """

    index_id: int
    member_id: int | None = None
    channel_id: int | None = None


def is_virtual(channel: Channel) -> bool:
    return channel.kind == ChannelKind.VIRTUAL


def sources(index: SubdirIndex) -> list[Source]:
    """Return the index itself, or the indexes of the same subdir of a virtual channel's members, in their order.

    Deleted members bring nothing, though their names stay theirs. Labels have no files of the whole channel.
    """
    if not is_virtual(index.channel):
        return [Source(index.pk)]
    members = VirtualMember.objects.filter(channel=index.channel, member__deleted_at=None)
    places = {
        (channel_id, SubdirIndex.place(label, index.subdir)): pk
        for pk, channel_id, label in members.values_list("pk", "member", "label")
        if index.subdir or not label
    }
    found = SubdirIndex.objects.filter(
        channel__in={channel_id for channel_id, _ in places}, subdir__in={subdir for _, subdir in places}
    )
    by_place = {(channel_id, subdir): pk for pk, channel_id, subdir in found.values_list("pk", "channel", "subdir")}
    return [Source(by_place[place], pk, index.channel_id) for place, pk in places.items() if place in by_place]


def fragments_of(source: Source, section: str) -> QuerySet[Fragment]:
    """Select the fragments of one section, without those of names that another member brings."""
    found = Fragment.objects.filter(index=source.index_id, section=section)
    if source.member_id is None:
        return found
    # One look-up a row by the key of names: for EXISTS, PostgreSQL without statistics took another index, and minutes.
    brought_by = VirtualName.objects.filter(channel=source.channel_id, name=OuterRef("name")).values("member")
    return found.alias(brought_by=Subquery(brought_by)).filter(brought_by=source.member_id)


def brought_names(index: SubdirIndex) -> QuerySet[IndexedName]:
    """Select the names of a virtual channel in its members' indexes of the subdir. Select none of other channels."""
    if not is_virtual(index.channel) or not index.subdir:
        return IndexedName.objects.none()
    found = IndexedName.objects.filter(index__in=[source.index_id for source in sources(index)])
    return found.filter(name__in=index.channel.virtual_names.values("name"))


def remake(index: SubdirIndex, names: list[str], deadline: float | None = None) -> list[str]:
    """Take the shards of `names` from the members. Return the names that were made before the deadline."""
    return in_batches(names, NAMES_AT_ONCE, partial(_remake, index), deadline)


def shards_of(index: SubdirIndex, names: Sequence[str]) -> dict[str, MergedShard]:
    """Return the unsaved rows of the shards that the members have now: name → shard. At most 500 names."""
    members = {source.member_id: source.index_id for source in sources(index)}
    brought: dict[int, list[str]] = defaultdict(list)
    for name, member_id in VirtualName.objects.filter(channel=index.channel, name__in=names).values_list(
        "name", "member"
    ):
        if member_id in members:
            brought[members[member_id]].append(name)
    return {
        name: MergedShard(index=index, sha256=sha256, source_id=source_id)
        for source_id, of_source in brought.items()
        for name, sha256 in IndexedName.objects.filter(index=source_id, name__in=of_source)
        .exclude(shard_sha256="")
        .values_list("name", "shard_sha256")
    }


@transaction.atomic
def _remake(index: SubdirIndex, names: Sequence[str]) -> None:
    shards = shards_of(index, names)
    rows = list(index.names.filter(name__in=names))
    before = {row.shard_sha256 for row in rows if row.shard_sha256}
    for row in rows:
        row.shard_sha256 = shards[row.name].sha256 if row.name in shards else ""
    # All of them exist: this is an update of many rows, faster than bulk_update().
    IndexedName.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["index", "name"], update_fields=["shard_sha256"]
    )
    MergedShard.objects.bulk_create(
        shards.values(),
        update_conflicts=True,
        unique_fields=["index", "sha256"],
        update_fields=["source", "retired_at"],
    )
    retired = before - {shard.sha256 for shard in shards.values()}
    index.merged_shards.filter(sha256__in=retired).update(retired_at=Now())


def delete_retired(before: datetime) -> None:
    """Delete the rows of shards that no index lists since `before`. Their files are the members'."""
    MergedShard.objects.filter(retired_at__lt=before).delete()


def differing(index: SubdirIndex, names: Sequence[str]) -> list[str]:
    """Return those of at most 500 names whose shard is not the one that the members have now."""
    stored = dict(index.names.filter(name__in=names).values_list("name", "shard_sha256"))
    expected = {name: shard.sha256 for name, shard in shards_of(index, names).items()}
    kept = set(index.merged_shards.filter(sha256__in=stored.values(), retired_at=None).values_list("sha256", flat=True))
    return [
        name
        for name in names
        if stored.get(name, "") != expected.get(name, "") or (stored.get(name) and stored[name] not in kept)
    ]


def indexes_of(index: SubdirIndex) -> list[int]:
    """Return the ids of the index and, for a virtual channel, of its members' indexes of the subdir."""
    return list({index.pk, *(source.index_id for source in sources(index))})


def are_sources_current(index: SubdirIndex) -> bool:
    """Tell whether no index waits for a build, and no build waits to be taken in, from which the files are made."""
    if WaitingBuild.objects.filter(channel=index.channel).exists():
        return False
    return not SubdirIndex.objects.filter(requested_revision__gt=F("built_revision"), pk__in=indexes_of(index)).exists()
