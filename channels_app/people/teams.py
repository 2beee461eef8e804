"""Teams: groups of users that are members of channels together. A team always has a manager, at first its creator.

Administrators manage every team, and only they bind one to a provider's group. A team's pages are visible only to its
people and to administrators.
"""

import re
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from channels_app.access import mail_addresses, user_names
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import Member, Team, TeamMember, User
from channels_app.people import sole_owners
from channels_app.quotas import user_limits
from channels_app.rate_limits import counters
from hub.errors import bad_request, conflict, forbidden, not_found

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
NAME_MAX_CHARACTERS = 100


@transaction.atomic
def create(*, user: User, name: str, description: str = "") -> Team:
    """Create a team with `user` as its manager."""
    _check_name(name)
    user_limits.lock_users(user)
    user_limits.check(user, "teams", _made_by(user), "teams", "Delete one")
    team = Team.objects.create(name=name, description=description)
    TeamMember.objects.create(team=team, user=user, is_manager=True)
    _record(Action.TEAM_CREATE, user, team)
    return team


@transaction.atomic
def update(*, user: User, team: Team, name: str, description: str, group: str) -> Team:
    """Update the team. `group` is `PROVIDER:GROUP`, or empty; people of a former group are removed."""
    locked = lock_team(user, team)
    values = {"name": name, "description": description, "group": group}
    changed = {field: value for field, value in values.items() if getattr(locked, field) != value}
    if not changed:
        return locked
    if "name" in changed:
        _check_name(name)
    if "group" in changed:
        _check_may_bind(user, group)
        _end_group(user, locked)
    before = locked.name
    for field, value in changed.items():
        setattr(locked, field, value)
    locked.save(update_fields=list(changed))
    _record(Action.TEAM_UPDATE, user, locked, {"fields": changed | {"before": before}})
    return locked


@transaction.atomic
def delete(*, user: User, team: Team) -> None:
    """Delete the team; its people lose the rights that came from it."""
    locked = lock_team(user, team)
    for member in Member.objects.filter(team=locked).select_related("channel"):
        detail = {"role": member.role, "team": locked.name}
        target = f"team {locked}"
        log.record(Action.MEMBER_REMOVE, by=Actor(user=user), channel=member.channel, target=target, detail=detail)
    _record(Action.TEAM_DELETE, user, locked)
    locked.delete()


def add(*, user: User, team: Team, name_or_address: str) -> TeamMember:
    """Add a user without an invitation, by user name or verified e-mail address: for administrators.

    All others use invitations.invite_into_team.
    """
    counters.hit("invitation-by-account", f"user {user.pk}", "additions to teams by you")
    with transaction.atomic():
        locked = lock_team(user, team)
        if not user.is_superuser:
            raise forbidden("invited_first", "People have to accept an invitation to a team first: send one.")
        person = _person(name_or_address)
        if TeamMember.objects.filter(team=locked, user=person).exists():
            raise conflict("in_team", f"{person} is in the team '{locked}' already.")
        member = TeamMember.objects.create(team=locked, user=person)
        _record(Action.TEAM_ADD, user, locked, {"user": person.username})
    return member


@transaction.atomic
def set_manager(*, user: User, team: Team, username: str, is_manager: bool) -> TeamMember:
    member = _membership(lock_team(user, team), username)
    if member.is_manager == is_manager:
        return member
    if not is_manager:
        sole_owners.check_a_manager_stays(member)
    member.is_manager = is_manager
    member.save(update_fields=["is_manager"])
    _record(Action.TEAM_MANAGER, user, member.team, {"user": username, "is_manager": is_manager})
    return member


@transaction.atomic
def remove(*, user: User, team: Team, username: str) -> None:
    """Remove a user from the team, and thereby the rights that came from it. Users may remove themselves."""
    locked = lock_team(user, team, by_manager=user.username != username)
    member = _membership(locked, username)
    if member.is_by_group:
        raise conflict(
            "by_group",
            f"{username} is in '{locked}' through the group '{locked.group}' and would be added again at the next "
            "sign-in. Remove them from the group at the provider.",
        )
    sole_owners.check_a_manager_stays(member)
    _record(Action.TEAM_REMOVE, user, locked, {"user": username})
    member.delete()


@transaction.atomic
def follow_groups(*, user: User, provider: str, groups: Iterable[str]) -> None:
    """Add `user` to the teams of these groups, and remove them from the teams of the provider's other groups.

    Call it at a sign-in through `provider`. A team's group is `PROVIDER:GROUP`, so other providers' teams don't change.
    """
    User.objects.select_for_update().get(pk=user.pk)  # serializes concurrent sign-ins
    teams = Team.objects.filter(group__in=[f"{provider}:{group}" for group in groups])
    others = TeamMember.objects.filter(team__group__startswith=f"{provider}:").exclude(team__in=teams)
    for member in others.filter(user=user, is_by_group=True).select_related("team", "user"):
        _take_out(user, member)
    for team in teams.exclude(people__user=user):
        TeamMember.objects.create(team=team, user=user, is_by_group=True)
        _record(Action.TEAM_ADD, user, team, {"user": user.username, "group": team.group})


def manages(user: User, team: Team) -> bool:
    return user.is_superuser or TeamMember.objects.filter(team=team, user=user, is_manager=True).exists()


def _made_by(user: User) -> int:
    """Count the teams with `user` as their first manager. Later managers don't count: others may appoint them."""
    earlier = TeamMember.objects.filter(team=OuterRef("team"), is_manager=True, pk__lt=OuterRef("pk"))
    return TeamMember.objects.filter(~Exists(earlier), user=user, is_manager=True).count()


def lock_team(user: User, team: Team, *, by_manager: bool = True) -> Team:
    """Return the current team, locked until the transaction ends, and check the right of `user` again."""
    locked = Team.objects.select_for_update().filter(pk=team.pk).first()
    if locked is None:
        raise not_found("no_such_team", f"The team '{team}' was deleted.")
    if by_manager and not manages(user, locked):
        raise forbidden("managers_only", f"Only managers of the team '{locked}' may do that; you are not a manager.")
    return locked


def _check_may_bind(user: User, group: str) -> None:
    """Raise HubError 403 if `user` is no administrator: a group adds all its people without their consent.

    Managers may unbind a group.
    """
    if group and not user.is_superuser:
        raise forbidden(
            "administrators_only",
            f"Only an administrator can set a team's group, here '{group[:100]}'. Ask one, or leave the field empty.",
        )


def _end_group(user: User, team: Team) -> None:
    """Remove the people of the team's group, except `user`: that could be the last manager."""
    by_group = TeamMember.objects.filter(team=team, is_by_group=True).select_related("team", "user")
    by_group.filter(user=user).update(is_by_group=False)
    for member in by_group:
        _take_out(user, member)


def _take_out(user: User, member: TeamMember) -> None:
    _record(Action.TEAM_REMOVE, user, member.team, {"user": member.user.username, "group": member.team.group})
    member.delete()


def _membership(team: Team, username: str) -> TeamMember:
    member = TeamMember.objects.filter(team=team, user__username=username).select_related("user", "team").first()
    if member is None:
        raise not_found("not_in_team", f"{username[:150] or 'The user'} is not in the team '{team}'.")
    return member


def _person(name_or_address: str) -> User:
    # By address or by name, never both: a user name can look like another user's address.
    by_address = User.objects.filter(pk__in=mail_addresses.verified(name_or_address).values("user"))
    person = (
        (by_address if "@" in name_or_address else user_names.with_name(name_or_address)).filter(is_active=True).first()
    )
    if person is None:
        raise not_found(
            "no_such_user",
            f"No user has the user name or verified e-mail address '{name_or_address[:150]}'.",
        )
    return person


def is_name(name: str) -> bool:
    """Tell whether the name is valid for a team."""
    return len(name) <= NAME_MAX_CHARACTERS and bool(NAME.match(name))


def _check_name(name: str) -> None:
    if not is_name(name):
        raise bad_request(
            "bad_team_name",
            f"'{name[:60]}' can't name a team; expected up to {NAME_MAX_CHARACTERS} lower-case letters, digits, "
            "'_', '.' and '-', the first a letter or a digit.",
        )
    if Team.objects.filter(name=name).exists():
        raise conflict("team_exists", f"There is a team '{name}' already; choose another name.")


def _record(action: Action, user: User, team: Team, detail: dict[str, Any] | None = None) -> None:
    log.record(action, by=Actor(user=user), target=team.name, detail=detail)
