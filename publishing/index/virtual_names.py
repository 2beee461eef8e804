"""The member from which a virtual channel takes each name.

A name belongs to the first member that ever published it and that no rule excludes. A yanked name stays with its
member, because the next member's package of this name may be a stranger's (dependency confusion). For the same reason,
each rule only excludes members, so that rules need no order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q, Subquery

from channels_app.models import Channel
from hub.locks import lock_until_commit, try_lock_until_commit
from publishing import name_globs
from publishing.index import marks
from publishing.index.marks import NAMES_AT_ONCE
from publishing.models import IndexedName, NameAct, NameRule, SubdirIndex, VirtualMember, VirtualName

# Channel id and label of a member.
Place = tuple[int, str]
Owners = dict[str, Place]


@dataclass(frozen=True)
class Plan:
    """Members in their order, and the rules of names; saved or not."""

    members: Sequence[VirtualMember]
    rules: Sequence[NameRule]

    def owners(self, names: Sequence[str] | None = None) -> Owners:
        """Return name → its member, of at most 500 `names` or of all that a member has."""
        found: Owners = {}
        for member in self.members:
            excluded = self._excluded(member.member_id)
            for name in names_of(member, names):
                if name not in found and not name_globs.matches(name, excluded):
                    found[name] = (member.member_id, member.label)
        return found

    def _excluded(self, channel_id: int) -> tuple[str, ...]:
        """Return the globs of the names that a channel may not bring."""
        return tuple(
            rule.names for rule in self.rules if (rule.member_id == channel_id) != (rule.act == NameAct.ONLY_FROM)
        )


def of(channel: Channel) -> Plan:
    """Return the saved members and rules."""
    members = channel.virtual_members.select_related("member")
    return Plan(list(members), list(channel.name_rules.select_related("member")))


def names_of(member: VirtualMember, names: Sequence[str] | None = None) -> Iterator[str]:
    """Yield every name that the member ever had in an index, of at most 500 `names` or of all.

    Indexes of a deleted label stay while it is a member (old_indexes.py).
    """
    indexed = IndexedName.objects.filter(index__channel=member.member_id, index__label=member.label)
    if names is not None:
        indexed = indexed.filter(name__in=names)
    yield from indexed.exclude(index__subdir="").values_list("name", flat=True).distinct().iterator()


def brought(channel: Channel, names: Sequence[str] | None = None) -> Owners:
    """Return the saved members of at most 500 `names`, or of all."""
    found = channel.virtual_names.all() if names is None else channel.virtual_names.filter(name__in=names)
    rows = found.values_list("name", "member__member", "member__label")
    return {name: (member, label) for name, member, label in rows.iterator()}


def lock(channel: Channel) -> None:
    """Wait for other changes of the channel's names, until the transaction ends."""
    lock_until_commit(f"virtual-{channel.pk}")


def try_lock(channel: Channel) -> bool:
    """Return whether the transaction got the same lock, without waiting for it."""
    return try_lock_until_commit(f"virtual-{channel.pk}")


def refresh(channel: Channel, names: Sequence[str] | None = None, plan: Plan | None = None) -> list[SubdirIndex]:
    """Save the member of each name that has another one now, and mark its indexes stale. The caller holds the lock.

    `plan`: by default the saved one. Its members are saved, and members that it lacks are deleted afterwards.
    """
    plan = plan or of(channel)
    before, after = brought(channel, names), plan.owners(names)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    _save(plan, channel, changed, after)
    return mark(channel, [name for name in changed if name not in before]) + mark(
        channel, [name for name in changed if name in before], removes=True
    )


def _save(plan: Plan, channel: Channel, changed: Sequence[str], after: Owners) -> None:
    pks = {(member.member_id, member.label): member.pk for member in plan.members}
    for start in range(0, len(changed), NAMES_AT_ONCE):
        batch = changed[start : start + NAMES_AT_ONCE]
        channel.virtual_names.filter(name__in=[name for name in batch if name not in after]).delete()
        VirtualName.objects.bulk_create(
            [VirtualName(channel=channel, name=name, member_id=pks[after[name]]) for name in batch if name in after],
            update_conflicts=True,
            unique_fields=["channel", "name"],
            update_fields=["member"],
        )


def mark(channel: Channel, names: Sequence[str], *, removes: bool = False) -> list[SubdirIndex]:
    """Mark the names stale in each subdir of the virtual channel or of its members that has them."""
    if not names:
        return []
    found: dict[str, list[str]] = {}
    for start in range(0, len(names), NAMES_AT_ONCE):
        for platform, name in _places(channel, names[start : start + NAMES_AT_ONCE]):
            found.setdefault(platform, []).append(name)
    return [marks.mark_stale(channel, platform, found[platform], removes=removes) for platform in sorted(found)]


def subdirs(channel: Channel) -> set[str]:
    """Return the subdirs in which a built index of a member has a name of the virtual channel."""
    places = {(member.member_id, member.label) for member in channel.virtual_members.all()}
    found = IndexedName.objects.filter(index__channel__in={pk for pk, _ in places}, changed__lte=F("made"))
    found = found.filter(name__in=channel.virtual_names.values("name")).exclude(index__subdir="")
    rows = found.values_list("index__channel", "index__label", "index__subdir").distinct()
    return {subdir.rpartition("/")[2] for channel_id, label, subdir in rows if (channel_id, label) in places}


def _places(channel: Channel, names: Sequence[str]) -> set[tuple[str, str]]:
    """Return platform and name of each index that has one of the names."""
    places = {(each.member_id, each.label) for each in channel.virtual_members.all()} | {(channel.pk, "")}
    found = IndexedName.objects.filter(index__channel__in={pk for pk, _ in places}, name__in=names)
    rows = found.exclude(index__subdir="").values_list("index__channel", "index__label", "index__subdir", "name")
    return {
        (subdir.rpartition("/")[2], name) for channel_id, label, subdir, name in rows if (channel_id, label) in places
    }


def note_names(member: VirtualMember, index: SubdirIndex, names: Sequence[str]) -> list[SubdirIndex]:
    """Mark those of the names that the member brings, and those that have another member since this build."""
    marked: list[SubdirIndex] = []
    for start in range(0, len(names), NAMES_AT_ONCE):
        batch = list(names[start : start + NAMES_AT_ONCE])
        if taken := _names_to_take(member, batch):
            marked += refresh(member.channel, taken)
        own = list(member.names.filter(name__in=batch).values_list("name", flat=True))
        removed = set(index.names.filter(name__in=own, removes=True).values_list("name", flat=True))
        for removes, some in ((False, [name for name in own if name not in removed]), (True, sorted(removed))):
            if some:
                marked.append(marks.mark_stale(member.channel, index.platform, some, removes=removes))
    return marked


def _names_to_take(member: VirtualMember, names: Sequence[str]) -> list[str]:
    """Return those of the names that no member brings, or one that comes after this one.

    Most builds have none, and so cost a public channel little that is a member of many virtual channels.
    """
    rows = member.channel.virtual_names.filter(name__in=names)
    position = VirtualMember.objects.filter(pk=member.pk).values("position")
    kept = set(rows.filter(member__position__lte=Subquery(position)).values_list("name", flat=True))
    return [name for name in names if name not in kept]


def note_deletions() -> list[SubdirIndex]:
    """Mark the virtual channels stale of which a member was deleted or restored since the last call.

    Channels whose names change at the moment are left to the next call.
    """
    is_deleted = Q(member__deleted_at__isnull=False)
    changed = VirtualMember.objects.filter(Q(is_deleted, is_served=True) | Q(~is_deleted, is_served=False))
    marked: list[SubdirIndex] = []
    for member in changed.select_related("channel", "member").order_by("channel", "pk"):
        with transaction.atomic():
            if not try_lock(member.channel):
                continue
            marked += mark(member.channel, list(member.names.values_list("name", flat=True)), removes=True)
            marked.append(marks.mark_stale(member.channel, "", []))
            VirtualMember.objects.filter(pk=member.pk).update(is_served=member.member.deleted_at is None)
    return marked


def mark_all(channels: Sequence[Channel], *, hides: bool) -> list[SubdirIndex]:
    """Mark every index of the virtual channels stale.

    `hides`: a private member left them, so clients get empty files until the next builds. The caller holds the locks.
    """
    # Files of the whole channel come last, as in other transactions that lock several indexes.
    found = SubdirIndex.objects.filter(channel__in=channels).select_related("channel").order_by("-subdir", "pk")
    marked = [marks.mark_stale(index.channel, index.platform, []) for index in found]
    if hides:
        SubdirIndex.objects.filter(channel__in=channels).update(etag="", current_etag="")
    return marked


def leave_all(channel: Channel) -> None:
    """Remove a channel that is purged from every virtual channel, in the transaction of the purge."""
    left = list(Channel.objects.filter(virtual_members__member=channel).distinct().order_by("pk"))
    for virtual in left:
        lock(virtual)
        saved = of(virtual)
        rules = [rule for rule in saved.rules if rule.member_id != channel.pk or rule.act == NameAct.ONLY_FROM]
        refresh(virtual, plan=Plan([each for each in saved.members if each.member_id != channel.pk], rules))
    mark_all(left, hides=channel.is_private)
