"""Who belongs to a channel, users and teams: adding, changing, removing, leaving.

A channel has several owners or one, never none. Only owners make or unmake owners; maintainers manage everyone else.
Rights follow from membership at every request, so a removed member's keys end with it.
Members are named by `username` or by `team`.
"""

from django.db import transaction

from channels_app import acts, audit, quotas, user_names
from channels_app.access import Actor, Permission, permissions
from channels_app.models import Channel, Member, Role, Team, TeamMember, User
from hub.errors import HubError, bad_request, conflict, forbidden, not_found


@transaction.atomic
def add(*, actor: Actor, channel: Channel, role: str, username: str = "", team: str = "") -> Member:
    """Make a user or a team a member unasked: for administrators, and for managers of the team.

    404 where there is none of that name, 409 where they are one already. Everybody else invites: invitations.py.
    """
    locked = acts.hold("member.add", actor, channel)
    check_may_give(actor, locked, role)
    if not may_add(actor, team=team):
        raise forbidden("invited_first", "Nobody is made a member unasked: send an invitation, to be accepted.")
    if existing := named(locked, username, team):
        raise is_member_already(existing)
    member = Member(channel=locked, role=role)
    if team:
        member.team = _team_named(team)
    else:
        member.user = user_named(username)
    _check_is_person(member, role)
    member.save()
    _record("member.add", actor, member, {"role": role})
    return member


@transaction.atomic
def change(*, actor: Actor, channel: Channel, role: str, username: str = "", team: str = "") -> Member:
    """Give a member another role; that of an owner unasked for administrators alone, since owners come to pay."""
    locked = acts.hold("member.change", actor, channel)
    _check_role(role)
    member = _member(locked, username, team)
    before = member.role
    if before == role:
        return member
    _check_may_touch(actor, locked, before, role)
    _check_is_person(member, role)
    if role == Role.OWNER and not may_add(actor):
        raise forbidden("invited_first", "Nobody is made an owner unasked: send an invitation, to be accepted.")
    _check_an_owner_stays(member)
    if role == Role.OWNER:
        make_owner(member)
    else:
        member.role = role
        member.save(update_fields=["role"])
    _record("member.change", actor, member, {"from": before, "to": role})
    return member


@transaction.atomic
def remove(*, actor: Actor, channel: Channel, username: str = "", team: str = "") -> None:
    """End a membership, and with it what keys may do here by it."""
    locked = acts.hold("member.remove", actor, channel)
    member = _member(locked, username, team)
    _check_may_touch(actor, locked, member.role)
    _check_an_owner_stays(member)
    _record("member.remove", actor, member, {"role": member.role})
    member.delete()


@transaction.atomic
def leave(*, actor: Actor, channel: Channel) -> None:
    """End one's own membership, whatever the role; who belongs to the channel by a team alone has to leave that."""
    locked = acts.hold("member.leave", actor, channel)
    username = actor.user.username if actor.user else ""
    teams = teams_between(locked, username)
    if teams and named(locked, username) is None:
        raise conflict(
            "member_by_team",
            f"You belong to '{locked}' by the team {' and '.join(teams)} alone; leave that to leave the channel.",
        )
    member = _member(locked, username)
    _check_an_owner_stays(member)
    _record("member.leave", actor, member, {"role": member.role})
    member.delete()


def make_owner(member: Member) -> None:
    """Make a member an owner, in a row of its own after all others: the first owner pays, and a promotion moves nobody
    there.
    """
    if member.pk:
        Member.objects.filter(pk=member.pk).delete()
    member.pk, member.role = None, Role.OWNER
    member.save(force_insert=True)


def may_add(actor: Actor, *, team: str = "") -> bool:
    """Tell whether `actor` may add members without asking them."""
    user = actor.user
    if user is None:
        return False
    managed = TeamMember.objects.filter(team__name=team, user=user, is_manager=True)
    return user.is_superuser or bool(team and managed.exists())


def is_member_already(member: Member) -> HubError:
    return conflict(
        "is_member", f"{name_of(member)} is a member already: {member.role}. Change the role in the list of members."
    )


def check_no_team_owns(team: str, channel: Channel, role: str) -> None:
    """Raise where `team`, in words, would own."""
    if team and role == Role.OWNER:
        raise bad_request(
            "no_team_owns",
            f"{team} can't own '{channel}': an owner is a person, so that somebody can be asked. "
            f"Make it a {Role.MAINTAINER}, or one of its people an owner.",
        )


def user_named(username: str) -> User:
    """The user of that name, who can still sign in; 404 where there is none."""
    user = user_names.having(username).filter(is_active=True).first()
    if user is None:
        raise not_found(
            "no_such_user",
            f"There is no user '{username[:150]}' on this hub; whoever has no account can be invited by e-mail.",
        )
    return user


def is_last_owner(member: Member) -> bool:
    """Whether no other owner is left who can sign in."""
    owners = Member.objects.filter(channel=member.channel, role=Role.OWNER, user__is_active=True)
    return member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists()


def named(channel: Channel, username: str, team: str = "") -> Member | None:
    name = {"team__name": team} if team else {"user__username": username}
    return Member.objects.filter(channel=channel, **name).select_related("user", "team", "channel").first()


def name_of(member: Member) -> str:
    return str(member.user) if member.user else f"team {member.team}"


def with_article(role: str) -> str:
    return f"an {role}" if role == Role.OWNER else f"a {role}"


def teams_between(channel: Channel, username: str) -> list[str]:
    """The names of the teams by which a user belongs to `channel`."""
    teams = Team.objects.filter(memberships__channel=channel, people__user__username=username)
    return list(teams.values_list("name", flat=True))


def check_may_give(actor: Actor, channel: Channel, role: str) -> None:
    """Raise where `role` is none, or not the actor's to give."""
    _check_role(role)
    _check_may_touch(actor, channel, role)


def _team_named(name: str) -> Team:
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise not_found("no_such_team", f"There is no team '{name[:100]}' on this hub (any more).")
    return team


def _member(channel: Channel, username: str, team: str = "") -> Member:
    member = named(channel, username, team)
    if member is None:
        raise not_found(
            "no_such_member", f"{(team or username)[:150] or 'Nobody'} is no member of '{channel}' (any more)."
        )
    return member


def _check_is_person(member: Member, role: str) -> None:
    check_no_team_owns(name_of(member) if member.team else "", member.channel, role)


def _check_role(role: str) -> None:
    if role not in Role.values:
        raise bad_request("bad_role", f"'{role[:20]}' is no role; expected one of: {', '.join(Role.values)}.")


def _check_may_touch(actor: Actor, channel: Channel, *roles: str) -> None:
    """Raise where one of `roles`, given or taken, is an owner's and the actor is none."""
    if Role.OWNER in roles and Permission.OWN not in permissions(actor, channel):
        raise forbidden("owners_only", f"Only owners of '{channel}' make or unmake owners; you are none.")


def _check_an_owner_stays(member: Member) -> None:
    if is_last_owner(member):
        raise conflict(
            "last_owner",
            f"{member.user} is the last owner of '{member.channel}', and a channel is never without one. "
            "Make somebody else an owner first, or transfer or delete the channel.",
        )
    if member.role == Role.OWNER:
        quotas.check_next_owner(member)


def _record(action: str, actor: Actor, member: Member, detail: dict[str, str]) -> None:
    if Role.OWNER in detail.values():
        quotas.forget(member.channel, member.user)
    if member.team:
        detail["team"] = member.team.name
    audit.record(action, by=actor, channel=member.channel, target=name_of(member), detail=detail)
