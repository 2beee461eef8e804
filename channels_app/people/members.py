"""Members of a channel, users and teams: add, change, remove, leave.

A channel always has an owner. Only owners add or remove owners; maintainers manage all others. Rights follow from
membership at every request, so a removed member's keys lose theirs at once. Members are named by `username` or by
`team`.
"""

from django.db import transaction

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.access.users import user_named
from channels_app.audit import log
from channels_app.models import Channel, Member, Role, Team, TeamMember
from channels_app.people import sole_owners
from channels_app.quotas import quotas
from hub.errors import HubError, bad_request, conflict, forbidden, not_found


@transaction.atomic
def add(*, actor: Actor, channel: Channel, role: str, username: str = "", team: str = "") -> Member:
    """Add a user or a team without an invitation: for administrators, and for managers of the team.

    Raise HubError 404 if there is no such user or team, and 409 if it is a member. Others use invitations.invite.
    """
    locked = acts.lock_channel(Action.MEMBER_ADD, actor, channel)
    check_may_give(actor, locked, role)
    if not may_add(actor, team=team):
        raise forbidden("invited_first", "Members have to accept an invitation first: send one.")
    if existing := named(locked, username, team):
        raise is_member_already(existing)
    member = Member(channel=locked, role=role)
    if team:
        member.team = _team_named(team)
    else:
        member.user = user_named(username)
    _check_is_person(member, role)
    member.save()
    _record(Action.MEMBER_ADD, actor, member, {"role": role})
    return member


@transaction.atomic
def change(*, actor: Actor, channel: Channel, role: str, username: str = "", team: str = "") -> Member:
    """Change a member's role. Only administrators may make an owner without an invitation.

    A channel counts against its first owner's quota, so an owner has to agree.
    """
    locked = acts.lock_channel(Action.MEMBER_CHANGE, actor, channel)
    _check_role(role)
    member = _member(locked, username, team)
    before = member.role
    if before == role:
        return member
    _check_may_touch(actor, locked, before, role)
    _check_is_person(member, role)
    if role == Role.OWNER and not may_add(actor):
        raise forbidden("invited_first", "Owners have to accept an invitation first: send one.")
    _check_may_give_up(member)
    if role == Role.OWNER:
        make_owner(member)
    else:
        member.role = role
        member.save(update_fields=["role"])
    _record(Action.MEMBER_CHANGE, actor, member, {"from": before, "to": role})
    return member


@transaction.atomic
def remove(*, actor: Actor, channel: Channel, username: str = "", team: str = "") -> None:
    """Delete a membership; the member's keys lose their rights in the channel."""
    locked = acts.lock_channel(Action.MEMBER_REMOVE, actor, channel)
    member = _member(locked, username, team)
    _check_may_touch(actor, locked, member.role)
    _check_may_give_up(member)
    _record(Action.MEMBER_REMOVE, actor, member, {"role": member.role})
    member.delete()


@transaction.atomic
def leave(*, actor: Actor, channel: Channel) -> None:
    """Delete the actor's own membership. Raise HubError 409 if the actor belongs to the channel only through a team."""
    locked = acts.lock_channel(Action.MEMBER_LEAVE, actor, channel)
    username = actor.user.username if actor.user else ""
    teams = teams_between(locked, username)
    if teams and named(locked, username) is None:
        raise conflict(
            "member_by_team",
            f"You belong to '{locked}' only through the team {' and '.join(teams)}; "
            "leave the team to leave the channel.",
        )
    member = _member(locked, username)
    _check_may_give_up(member)
    _record(Action.MEMBER_LEAVE, actor, member, {"role": member.role})
    member.delete()


def make_owner(member: Member) -> None:
    """Make a member an owner, in a new row after all others.

    The channel counts against the quota of its first owner, so a promotion must not change the first one.
    """
    if member.pk:
        Member.objects.filter(pk=member.pk).delete()
    member.pk, member.role = None, Role.OWNER
    member.save(force_insert=True)


def may_add(actor: Actor, *, team: str = "") -> bool:
    """Tell whether `actor` may add members without an invitation."""
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
    """Raise HubError 400 if `team`, in words, would become an owner."""
    if team and role == Role.OWNER:
        raise bad_request(
            "no_team_owns",
            f"{team} can't own '{channel}': only a user can be an owner. "
            f"Make the team a {Role.MAINTAINER}, or one of its people an owner.",
        )


def named(channel: Channel, username: str, team: str = "") -> Member | None:
    name = {"team__name": team} if team else {"user__username": username}
    return Member.objects.filter(channel=channel, **name).select_related("user", "team", "channel").first()


def name_of(member: Member) -> str:
    return str(member.user) if member.user else f"team {member.team}"


def with_article(role: str) -> str:
    return f"an {role}" if role == Role.OWNER else f"a {role}"


def teams_between(channel: Channel, username: str) -> list[str]:
    """Return the names of the teams through which a user belongs to `channel`."""
    teams = Team.objects.filter(memberships__channel=channel, people__user__username=username)
    return list(teams.values_list("name", flat=True))


def check_may_give(actor: Actor, channel: Channel, role: str) -> None:
    """Raise HubError if `role` does not exist, or the actor may not assign it."""
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
        raise not_found("no_such_member", f"{(team or username)[:150] or 'The user'} is not a member of '{channel}'.")
    return member


def _check_is_person(member: Member, role: str) -> None:
    check_no_team_owns(name_of(member) if member.team else "", member.channel, role)


def _check_role(role: str) -> None:
    if role not in Role.values:
        raise bad_request("bad_role", f"'{role[:20]}' is not a role; expected one of: {', '.join(Role.values)}.")


def _check_may_touch(actor: Actor, channel: Channel, *roles: str) -> None:
    """Raise HubError 403 if one of `roles`, assigned or removed, is owner and the actor is not an owner."""
    if Role.OWNER in roles and Permission.OWN not in permissions(actor, channel):
        raise forbidden("owners_only", f"Only owners of '{channel}' can add or remove owners; you are not an owner.")


def _check_may_give_up(member: Member) -> None:
    sole_owners.check_an_owner_stays(member)
    if member.role == Role.OWNER:
        quotas.check_next_owner(member)


def _record(action: Action, actor: Actor, member: Member, detail: dict[str, str]) -> None:
    if Role.OWNER in detail.values():
        quotas.mark_outdated(member.channel, member.user)
    if member.team:
        detail["team"] = member.team.name
    log.record(action, by=actor, channel=member.channel, target=name_of(member), detail=detail)
