"""Handing over a user's channels and teams to another user, in one transaction, before the account ends."""

from typing import Any

from django.db import transaction

from channels_app.access import users
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import Channel, Member, Role, Team, TeamMember, User
from channels_app.people import members, sole_owners
from channels_app.people.sole_owners import SoleOwnership
from channels_app.quotas import quotas
from hub.errors import bad_request

COMMAND = "manage.py"


@transaction.atomic
def hand_over(*, by: User | None, user: User, username: str, deactivate: bool) -> SoleOwnership:
    """Make the named user owner and manager of all that only `user` owns or manages. Return these channels and teams.

    `by` is None for a command. `user` becomes a maintainer and stays in the teams, or is deactivated.
    """
    successor = users.user_named(username)
    if successor == user:
        raise bad_request("hand_over_to_self", f"'{user}' can't be their own successor. Enter another user name.")
    found = sole_owners.sole_ownership([user])
    for channel in found.channels:
        _hand_channel(by, user, successor, channel)
    for team in found.teams:
        _hand_team(by, successor, team)
    if deactivate:
        sole_owners.check_may_end([user])
        User.objects.filter(pk=user.pk).update(is_active=False)
        _record(Action.USER_CHANGE, by, user.username, changes={"is_active": {"from": "True", "to": "False"}})
    return found


def in_words(handed: SoleOwnership, username: str) -> str:
    """Return the message that lists the channels and teams that were handed over."""
    names = [f"the channel {channel}" for channel in handed.channels] + [f"the team {team}" for team in handed.teams]
    return f"Handed over to {username}: {', '.join(names)}." if names else "There was nothing to hand over."


def _hand_channel(by: User | None, user: User, successor: User, channel: Channel) -> None:
    locked = Channel.objects.select_for_update(no_key=True).defer("logo").get(pk=channel.pk)
    owner = members.named(locked, successor.username) or Member(channel=locked, user=successor)
    members.make_owner(owner)
    Member.objects.filter(channel=locked, user=user).update(role=Role.MAINTAINER)
    quotas.mark_outdated(locked, user)
    _record(Action.CHANNEL_TRANSFER, by, successor.username, channel=locked, before=user.username)


def _hand_team(by: User | None, successor: User, team: Team) -> None:
    locked = Team.objects.select_for_update().get(pk=team.pk)
    TeamMember.objects.update_or_create(team=locked, user=successor, defaults={"is_manager": True})
    _record(Action.TEAM_MANAGER, by, locked.name, user=successor.username, is_manager=True)


def _record(action: Action, by: User | None, target: str, *, channel: Channel | None = None, **detail: Any) -> None:
    made_by = {} if by else {"by": COMMAND}
    log.record(action, by=Actor(user=by), channel=channel, target=target, detail=detail | made_by)
