"""Teams: people who are members of channels together. Whoever makes one manages it, and it is never without a manager.

Administrators manage every team, and alone bind one to a provider's group. Nobody else learns of a team by its pages
but its own people.
"""

import re
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from channels_app import audit, limits, mail_addresses, user_limits, user_names
from channels_app.access import Actor
from channels_app.models import Member, Team, TeamMember, User
from hub.errors import bad_request, conflict, forbidden, not_found

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")
NAME_MAX_CHARACTERS = 100


@transaction.atomic
def create(*, user: User, name: str, description: str = "") -> Team:
    """Make a team, managed by `user`."""
    _check_name(name)
    user_limits.hold(user)
    user_limits.check(user, "teams", _made_by(user), "teams", "Delete one")
    team = Team.objects.create(name=name, description=description)
    TeamMember.objects.create(team=team, user=user, is_manager=True)
    _record("team.create", user, team)
    return team


@transaction.atomic
def update(*, user: User, team: Team, name: str, description: str, group: str) -> Team:
    """`group`: `PROVIDER:GROUP`, whose people are in the team; empty for none. Those of another group before it go."""
    locked = hold(user, team)
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
    _record("team.update", user, locked, {"fields": changed | {"before": before}})
    return locked


@transaction.atomic
def delete(*, user: User, team: Team) -> None:
    """End the team, and with it what its people may do by it alone."""
    locked = hold(user, team)
    for member in Member.objects.filter(team=locked).select_related("channel"):
        detail = {"role": member.role, "team": locked.name}
        target = f"team {locked}"
        audit.record("member.remove", by=Actor(user=user), channel=member.channel, target=target, detail=detail)
    _record("team.delete", user, locked)
    locked.delete()


def add(*, user: User, team: Team, who: str) -> TeamMember:
    """Put somebody into the team unasked, by exact user name or verified e-mail address: for administrators.

    Everybody else invites: invitations.py.
    """
    limits.hit("invitation-by-account", f"user {user.pk}", "additions to teams by you")
    with transaction.atomic():
        locked = hold(user, team)
        if not user.is_superuser:
            raise forbidden("invited_first", "Nobody is put into a team unasked: send an invitation, to be accepted.")
        person = _person(who)
        if TeamMember.objects.filter(team=locked, user=person).exists():
            raise conflict("in_team", f"{person} is in the team '{locked}' already.")
        member = TeamMember.objects.create(team=locked, user=person)
        _record("team.add", user, locked, {"user": person.username})
    return member


@transaction.atomic
def set_manager(*, user: User, team: Team, username: str, is_manager: bool) -> TeamMember:
    member = _in(hold(user, team), username)
    if member.is_manager == is_manager:
        return member
    if not is_manager:
        _check_a_manager_stays(member)
    member.is_manager = is_manager
    member.save(update_fields=["is_manager"])
    _record("team.manager", user, member.team, {"user": username, "is_manager": is_manager})
    return member


@transaction.atomic
def remove(*, user: User, team: Team, username: str) -> None:
    """Take somebody out of the team, and with it what they may do by it; oneself, too."""
    held = hold(user, team, by_manager=user.username != username)
    member = _in(held, username)
    if member.is_by_group:
        raise conflict(
            "by_group",
            f"{username} is in '{held}' by the group '{held.group}' and would come back at the next sign-in. "
            "End it there, where the group is kept.",
        )
    _check_a_manager_stays(member)
    _record("team.remove", user, held, {"user": username})
    member.delete()


@transaction.atomic
def follow_groups(*, user: User, provider: str, groups: Iterable[str]) -> None:
    """Put `user`, who just signed in by `provider`, into the teams of these groups, and out of those of its others.

    A team's group is `PROVIDER:GROUP`: what one provider says moves nobody in a team of another's.
    """
    User.objects.select_for_update().get(pk=user.pk)  # two sign-ins at once come one after the other
    teams = Team.objects.filter(group__in=[f"{provider}:{group}" for group in groups])
    others = TeamMember.objects.filter(team__group__startswith=f"{provider}:").exclude(team__in=teams)
    for member in others.filter(user=user, is_by_group=True).select_related("team", "user"):
        _take_out(user, member)
    for team in teams.exclude(people__user=user):
        TeamMember.objects.create(team=team, user=user, is_by_group=True)
        _record("team.add", user, team, {"user": user.username, "group": team.group})


def is_last_manager(member: TeamMember) -> bool:
    """Whether no other manager is left who can sign in."""
    managers = TeamMember.objects.filter(team=member.team, is_manager=True, user__is_active=True)
    return member.is_manager and not managers.exclude(pk=member.pk).exists()


def manages(user: User, team: Team) -> bool:
    return user.is_superuser or TeamMember.objects.filter(team=team, user=user, is_manager=True).exists()


def _made_by(user: User) -> int:
    """How many teams have `user` as their first manager: whoever makes somebody a manager takes nothing from them."""
    earlier = TeamMember.objects.filter(team=OuterRef("team"), is_manager=True, pk__lt=OuterRef("pk"))
    return TeamMember.objects.filter(~Exists(earlier), user=user, is_manager=True).count()


def hold(user: User, team: Team, *, by_manager: bool = True) -> Team:
    """The team as it is now, locked until the transaction ends, and the right of `user` asked again."""
    locked = Team.objects.select_for_update().filter(pk=team.pk).first()
    if locked is None:
        raise not_found("no_such_team", f"There is no team '{team}' any more.")
    if by_manager and not manages(user, locked):
        raise forbidden("managers_only", f"Only managers of the team '{locked}' may do that; you are none.")
    return locked


def _check_may_bind(user: User, group: str) -> None:
    """A group's name is its provider's: everybody in it would be in the team, unasked. To end that, a manager may."""
    if group and not user.is_superuser:
        raise forbidden(
            "administrators_only",
            f"Only an administrator makes '{group[:100]}' a team's group: all of its people would be in the team "
            "unasked. Ask one, or leave the field empty.",
        )


def _end_group(user: User, team: Team) -> None:
    """Take out who is in the team by its group; who does so stays, since that could be the last manager."""
    by_group = TeamMember.objects.filter(team=team, is_by_group=True).select_related("team", "user")
    by_group.filter(user=user).update(is_by_group=False)
    for member in by_group:
        _take_out(user, member)


def _take_out(user: User, member: TeamMember) -> None:
    _record("team.remove", user, member.team, {"user": member.user.username, "group": member.team.group})
    member.delete()


def _in(team: Team, username: str) -> TeamMember:
    member = TeamMember.objects.filter(team=team, user__username=username).select_related("user", "team").first()
    if member is None:
        raise not_found("not_in_team", f"{username[:150] or 'Nobody'} is not in the team '{team}' (any more).")
    return member


def _person(who: str) -> User:
    # Never both: a user name can look like the address of somebody else.
    by_address = User.objects.filter(pk__in=mail_addresses.verified(who).values("user"))
    person = (by_address if "@" in who else user_names.having(who)).filter(is_active=True).first()
    if person is None:
        raise not_found(
            "no_such_user",
            f"No user has the name, or as a verified e-mail address, '{who[:150]}'.",
        )
    return person


def is_name(name: str) -> bool:
    """Tell whether a team can have this name."""
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


def _check_a_manager_stays(member: TeamMember) -> None:
    if is_last_manager(member):
        raise conflict(
            "last_manager",
            f"{member.user} is the last manager of the team '{member.team}', and a team is never without one. "
            "Make somebody else a manager first, or delete the team.",
        )


def _record(action: str, user: User, team: Team, detail: dict[str, Any] | None = None) -> None:
    audit.record(action, by=Actor(user=user), target=team.name, detail=detail)
