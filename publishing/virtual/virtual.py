"""The members and rules of a virtual channel, and a preview of their changes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db import transaction

from channels_app.access import acts, revision
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, channel_for, permissions, private_members
from channels_app.audit import log
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Channel, ChannelKind
from hub.errors import conflict, forbidden, unprocessable
from publishing.index import builds, virtual_names
from publishing.index.virtual_names import Owners, Place, Plan
from publishing.labels import names as label_names
from publishing.models import NameAct, NameRule, VirtualMember
from publishing.models.virtual import GLOB_MAX_CHARACTERS
from publishing.wording import QUOTE_MAX_CHARACTERS

MEMBERS_MAX = 20
RULES_MAX = 500
SHOWN_MAX = 100
GLOB = re.compile(r"[a-z0-9_.*?\[\]!-]+\Z")


class MemberText(NamedTuple):
    """A member by its names. The label is empty for the channel itself."""

    channel: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.channel}/label/{self.label}" if self.label else self.channel


class RuleText(NamedTuple):
    """A rule by the name of its channel, which is empty for names that no member may bring."""

    names: str
    act: str
    channel: str = ""

    def __str__(self) -> str:
        return f"{self.names} {NameAct(self.act).label} {self.channel}" if self.channel else f"{self.names} reserved"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The members in their order, and the rules, as a request states them."""

    members: Sequence[MemberText] = ()
    rules: Sequence[RuleText] = ()

    def cleaned(self) -> "Wanted":
        """Return each member and rule once, the label `main` as the channel itself, and the rules sorted."""
        members = dict.fromkeys(each._replace(label="") if each.label == MAIN_LABEL else each for each in self.members)
        return Wanted(list(members), sorted(set(self.rules)))


class NameChange(NamedTuple):
    """A name that another member brings than before; empty: none."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Names whose member changes: how many come, go, and change their member, and the first 100 of all."""

    added: int = 0
    removed: int = 0
    moved: int = 0
    first: list[NameChange] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.added + self.removed + self.moved


def stated(channel: Channel) -> Wanted:
    """Return the saved members and rules."""
    plan = virtual_names.of(channel)
    return Wanted(
        [MemberText(each.member.name, each.label) for each in plan.members],
        [RuleText(rule.names, rule.act, rule.member.name if rule.member else "") for rule in plan.rules],
    ).cleaned()


def preview(*, actor: Actor, channel: Channel, wanted: Wanted) -> Preview:
    """Return the names whose member `wanted` changes.

    Raise HubError as change() does, and 403 without the right to read every member.
    """
    if Permission.READ not in permissions(actor, channel):
        raise forbidden(
            "members_unreadable",
            f"You can't read every member of '{channel}', so names are not shown. Save without a preview.",
        )
    plan = _plan(actor, channel, wanted.cleaned())
    places = {(each.member_id, each.label): str(each) for each in (*virtual_names.of(channel).members, *plan.members)}
    return _difference(virtual_names.brought(channel), plan.owners(), places)


def _difference(before: Owners, after: Owners, places: dict[Place, str]) -> Preview:
    def shown(owners: Owners, name: str) -> str:
        return places[owners[name]] if name in owners else ""

    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    added, removed = sum(name not in before for name in changed), sum(name not in after for name in changed)
    first = [NameChange(name, shown(before, name), shown(after, name)) for name in changed[:SHOWN_MAX]]
    return Preview(added, removed, len(changed) - added - removed, first)


@transaction.atomic
def change(*, actor: Actor, channel: Channel, wanted: Wanted) -> Channel:
    """Replace the members and rules. The next builds of the index show the change.

    Raise HubError 403 for a new member that the actor can't read, and 409 if the channel is not virtual. Raise HubError
    422 for members and rules that no virtual channel can have.
    """
    locked = acts.lock_channel(Action.VIRTUAL_CHANGE, actor, channel)
    virtual_names.lock(locked)
    before, wanted = stated(locked), wanted.cleaned()
    plan = _plan(actor, locked, wanted)
    detail = _detail(before, wanted)
    if not detail:
        return locked
    is_new = any(member.pk is None for member in plan.members)
    for member in plan.members:
        member.save()
    builds.enqueue(virtual_names.refresh(locked, plan=plan))
    has_left = _loses_private_member(locked, plan)
    locked.virtual_members.exclude(pk__in=[member.pk for member in plan.members]).delete()
    locked.name_rules.all().delete()
    NameRule.objects.bulk_create(plan.rules)
    if has_left:
        builds.enqueue(virtual_names.mark_all([locked], hides=True))
    else:
        builds.schedule_build(locked, builds.WHOLE_CHANNEL, [])
    log.record(Action.VIRTUAL_CHANGE, by=actor, channel=locked, target=locked.name, detail=detail)
    if is_new:
        revision.bump()
    return locked


def _loses_private_member(channel: Channel, plan: Plan) -> bool:
    return private_members(channel).exclude(pk__in=[member.member_id for member in plan.members]).exists()


def _plan(actor: Actor, channel: Channel, wanted: Wanted) -> Plan:
    """Return the members and rules as rows, those of known members saved ones. Raise HubError for bad ones."""
    _check_kind(channel)
    _check_number("members", len(wanted.members), MEMBERS_MAX)
    _check_number("rules", len(wanted.rules), RULES_MAX)
    saved = virtual_names.of(channel)
    known = {member.member.name: member.member for member in saved.members}
    known |= {rule.member.name: rule.member for rule in saved.rules if rule.member}
    rows = {(member.member.name, member.label): member for member in saved.members}
    members = [rows.get(each) or _new_member(actor, channel, each) for each in wanted.members]
    for position, member in enumerate(members, start=1):
        member.position = position
    known |= {member.member.name: member.member for member in members}
    return Plan(members, [_rule(actor, channel, rule, known) for rule in wanted.rules])


def _check_kind(channel: Channel) -> None:
    if channel.kind != ChannelKind.VIRTUAL:
        raise conflict(
            "not_virtual",
            f"'{channel}' has packages of its own, so it has no member channels. Create a virtual channel.",
        )


def _check_number(noun: str, found: int, most: int) -> None:
    if found > most:
        raise unprocessable(f"too_many_{noun}", f"Found {found:,} {noun}; a virtual channel has at most {most:,}.")


def _new_member(actor: Actor, channel: Channel, wanted: MemberText) -> VirtualMember:
    member = channel_for(actor, wanted.channel, Permission.READ)
    if member.kind == ChannelKind.VIRTUAL:
        raise unprocessable(
            "bad_member", f"'{member}' is a virtual channel, which can't be a member. Add its members instead."
        )
    label = wanted.label and label_names.checked(wanted.label)
    if label and not member.labels.filter(name=label).exists():
        raise unprocessable("bad_member", f"'{member}' has no label '{label}'. Choose a label that it has, or none.")
    return VirtualMember(channel=channel, member=member, label=label)


def _rule(actor: Actor, channel: Channel, wanted: RuleText, known: dict[str, Channel]) -> NameRule:
    if len(wanted.names) > GLOB_MAX_CHARACTERS or not GLOB.match(wanted.names):
        raise unprocessable(
            "bad_rule",
            f"{wanted.names[:QUOTE_MAX_CHARACTERS]!r} matches no package name. Expected a name, or a pattern such as "
            "'acme-*'.",
        )
    if wanted.act not in NameAct.values or (wanted.act == NameAct.NEVER_FROM and not wanted.channel):
        raise unprocessable("bad_rule", f"The rule of '{wanted.names}' needs a channel. Name one, or use 'only from'.")
    member = known.get(wanted.channel)
    if member is None and wanted.channel:
        member = channel_for(actor, wanted.channel, Permission.READ)
    return NameRule(channel=channel, names=wanted.names, act=wanted.act, member=member)


def _detail(before: Wanted, after: Wanted) -> dict[str, dict[str, list[str]]]:
    """Return `members` and `rules`, if they differ, with the texts before and after."""
    return {
        noun: {"from": [str(each) for each in was], "to": [str(each) for each in now]}
        for noun, was, now in (("members", before.members, after.members), ("rules", before.rules, after.rules))
        if list(was) != list(now)
    }
