"""Handing over: an account ends only if no channel loses its last owner, and no team its last manager.

The user's channels and teams are handed over to another user in one transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from channels_app.access import users
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import Channel, Member, Role, Team, TeamMember, User
from channels_app.people import members
from channels_app.quotas import quotas
from hub.errors import bad_request, conflict

COMMAND = "manage.py"
# The flags of an administrator, the most important first; `is_staff` gives access to the administration's site.
ADMINISTRATOR = ("is_superuser", "is_staff")


@dataclass(frozen=True, slots=True)
class SoleOwnership:
    """Channels and teams without another owner or manager. `is_hub`: the hub would lose its last administrator."""

    channels: list[Channel]
    teams: list[Team]
    is_hub: bool

    def sentences(self) -> list[str]:
        found = [f"The channel '{channel}' would have no owner{_deleted(channel)}." for channel in self.channels]
        found += [f"The team '{team}' would have no manager." for team in self.teams]
        return found + ["The hub would have no administrator."] * self.is_hub


def sole_ownership(users: Collection[User]) -> SoleOwnership:
    """Return the channels and teams that would have no active owner or manager if all these accounts ended."""
    ids = [user.pk for user in users]
    is_hub = any(_is_last(users, rights) for rights in (ADMINISTRATOR, ADMINISTRATOR[:1]))
    return SoleOwnership(list(_channels(ids)), list(_teams(ids)), is_hub)


def check_may_end(users: Collection[User]) -> None:
    """Raise HubError 409 with the list if a channel or team would be left without an owner or manager.

    The channels and teams stay locked until the transaction ends.
    """
    owned = Member.objects.filter(user__in=users, role=Role.OWNER).values("channel")
    list(Channel.objects.select_for_update(no_key=True).filter(pk__in=owned).order_by("pk").values_list("pk"))
    managed = TeamMember.objects.filter(user__in=users, is_manager=True).values("team")
    list(Team.objects.select_for_update().filter(pk__in=managed).order_by("pk").values_list("pk"))
    if sentences := sole_ownership(users).sentences():
        raise conflict("left_alone", f"{' '.join(sentences)} Hand them over first; nothing was changed.")


@transaction.atomic
def hand_over(*, by: User | None, user: User, username: str, deactivate: bool) -> SoleOwnership:
    """Make the named user owner and manager of all that only `user` owns or manages. Return these channels and teams.

    `by` is None for a command. `user` becomes a maintainer and stays in the teams, or is deactivated.
    """
    heir = users.user_named(username)
    if heir == user:
        raise bad_request("hand_over_to_self", f"'{user}' can't be their own successor. Enter another user name.")
    found = sole_ownership([user])
    for channel in found.channels:
        _hand_channel(by, user, heir, channel)
    for team in found.teams:
        _hand_team(by, heir, team)
    if deactivate:
        check_may_end([user])
        User.objects.filter(pk=user.pk).update(is_active=False)
        _record(Action.USER_CHANGE, by, user.username, changes={"is_active": {"from": "True", "to": "False"}})
    return found


def in_words(handed: SoleOwnership, username: str) -> str:
    """Return the message that lists the channels and teams that were handed over."""
    names = [f"the channel {channel}" for channel in handed.channels] + [f"the team {team}" for team in handed.teams]
    return f"Handed over to {username}: {', '.join(names)}." if names else "There was nothing to hand over."


def _is_last(users: Collection[User], rights: Sequence[str]) -> bool:
    """Tell whether `users` include all active users with all of these rights."""
    holders = User.objects.filter(is_active=True, **dict.fromkeys(rights, True))
    return holders.exists() and not holders.exclude(pk__in=[user.pk for user in users]).exists()


def _channels(user_ids: list[int]) -> QuerySet[Channel]:
    """Return the channels without another active owner. Deleted ones count, since an owner may restore them."""
    owners = Member.objects.filter(channel=OuterRef("pk"), role=Role.OWNER)
    others = owners.filter(user__is_active=True).exclude(user__in=user_ids)
    return Channel.objects.defer("logo").filter(Exists(owners.filter(user__in=user_ids)), ~Exists(others))


def _teams(user_ids: list[int]) -> QuerySet[Team]:
    managers = TeamMember.objects.filter(team=OuterRef("pk"), is_manager=True)
    others = managers.filter(user__is_active=True).exclude(user__in=user_ids)
    return Team.objects.filter(Exists(managers.filter(user__in=user_ids)), ~Exists(others))


def _hand_channel(by: User | None, user: User, heir: User, channel: Channel) -> None:
    locked = Channel.objects.select_for_update(no_key=True).defer("logo").get(pk=channel.pk)
    owner = members.named(locked, heir.username) or Member(channel=locked, user=heir)
    members.make_owner(owner)
    Member.objects.filter(channel=locked, user=user).update(role=Role.MAINTAINER)
    quotas.mark_outdated(locked, user)
    _record(Action.CHANNEL_TRANSFER, by, heir.username, channel=locked, before=user.username)


def _hand_team(by: User | None, heir: User, team: Team) -> None:
    locked = Team.objects.select_for_update().get(pk=team.pk)
    TeamMember.objects.update_or_create(team=locked, user=heir, defaults={"is_manager": True})
    _record(Action.TEAM_MANAGER, by, locked.name, user=heir.username, is_manager=True)


def _record(action: Action, by: User | None, target: str, *, channel: Channel | None = None, **detail: Any) -> None:
    made_by = {} if by else {"by": COMMAND}
    log.record(action, by=Actor(user=by), channel=channel, target=target, detail=detail | made_by)


def _deleted(channel: Channel) -> str:
    return ", and it is deleted but can be restored" if channel.deleted_at else ""
