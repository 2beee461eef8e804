"""Comparison of the member that brings each name of a virtual channel with its members and rules.

Names that seem to differ are compared again under the lock of the channel's names. Builds of members then wait in
`WaitingBuild`. Names that no build has taken in yet are no differences.
"""

from collections.abc import Iterator, Sequence

from django.db import transaction
from django.db.models import F

from channels_app.models import Channel
from publishing.index import builds, merging, virtual_names
from publishing.index.marks import NAMES_AT_ONCE
from publishing.index.virtual_names import Owners, Plan
from publishing.models import IndexedName, WaitingBuild
from publishing.verification.differences import Difference, DifferenceKind


def check(channel: Channel) -> Iterator[Difference]:
    if not merging.is_virtual(channel):
        return
    suspects = _differing(virtual_names.brought(channel), virtual_names.of(channel).owners())
    for start in range(0, len(suspects), NAMES_AT_ONCE):
        yield from _confirmed(channel, suspects[start : start + NAMES_AT_ONCE])


def take_again(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    """Take the names from the members that should bring them, and mark their indexes stale."""
    names = [difference.name for difference in differences]
    for start in range(0, len(names), NAMES_AT_ONCE):
        with transaction.atomic():
            virtual_names.lock(channel)
            builds.enqueue(virtual_names.refresh(channel, names[start : start + NAMES_AT_ONCE]))
    return []


@transaction.atomic
def _confirmed(channel: Channel, names: Sequence[str]) -> list[Difference]:
    virtual_names.lock(channel)
    plan = virtual_names.of(channel)
    before, after = virtual_names.brought(channel, names), plan.owners(names)
    # In this order: a build that ends meanwhile can't take in its names, and waits.
    unbuilt = _unbuilt(plan, names)
    if WaitingBuild.objects.filter(channel=channel).exists():
        return []
    texts = {(member.member_id, member.label): str(member) for member in plan.members}
    return [
        Difference(
            DifferenceKind.MEMBER,
            f"{channel}/",
            f"{name}: It comes from {texts.get(before[name], 'a former member') if name in before else 'no member'}, "
            f"expected {texts[after[name]] if name in after else 'no member'}. --repair takes it from there.",
            name,
        )
        for name in _differing(before, after)
        if name not in unbuilt
    ]


def _differing(before: Owners, after: Owners) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _unbuilt(plan: Plan, names: Sequence[str]) -> set[str]:
    """Return those of the names that changed in a member since its last build."""
    members = [member.member_id for member in plan.members]
    changed = IndexedName.objects.filter(index__channel__in=members, name__in=names, changed__gt=F("made"))
    return set(changed.values_list("name", flat=True))
