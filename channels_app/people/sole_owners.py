"""Sole owners: a channel always has an active owner, a team an active manager, and the hub an active administrator.

Each check locks what it reads until the transaction ends. Of two changes at once, the later sees the earlier.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from channels_app.models import Channel, Member, Role, Team, TeamMember, User
from hub.errors import conflict

# The flags of an administrator, the most important first; `is_staff` gives access to the administration's site.
ADMINISTRATOR = ("is_superuser", "is_staff")
NO_ADMINISTRATOR = "The hub would have no administrator."
MAKE_ANOTHER = f"{NO_ADMINISTRATOR} Make another user an administrator first."


@dataclass(frozen=True, slots=True)
class SoleOwnership:
    """Channels and teams without another owner or manager. `is_hub`: the hub would lose its last administrator."""

    channels: list[Channel]
    teams: list[Team]
    is_hub: bool

    def sentences(self) -> list[str]:
        found = [f"The channel '{channel}' would have no owner{_deleted(channel)}." for channel in self.channels]
        found += [f"The team '{team}' would have no manager." for team in self.teams]
        return found + [NO_ADMINISTRATOR] * self.is_hub


def sole_ownership(users: Collection[User]) -> SoleOwnership:
    """Return the channels and teams that would have no active owner or manager if all these accounts ended."""
    ids = [user.pk for user in users]
    return SoleOwnership(list(_channels(ids)), list(_teams(ids)), _are_last_administrators(ids))


def is_last_owner(member: Member) -> bool:
    return _channels([member.user_id]).filter(pk=member.channel_id).exists()


def check_an_owner_stays(member: Member) -> None:
    """Raise HubError 409 if the channel has no other active owner than `member`."""
    _lock_channels([member.channel_id])
    if is_last_owner(member):
        raise conflict(
            "last_owner",
            f"{member.user} is the last owner of '{member.channel}', and a channel is never without one. "
            "Make somebody else an owner first, or transfer or delete the channel.",
        )


def check_a_manager_stays(member: TeamMember) -> None:
    """Raise HubError 409 if the team has no other active manager than `member`."""
    _lock_teams([member.team_id])
    if _teams([member.user_id]).filter(pk=member.team_id).exists():
        raise conflict(
            "last_manager",
            f"{member.user} is the last manager of the team '{member.team}', and a team is never without one. "
            "Make somebody else a manager first, or delete the team.",
        )


def check_an_administrator_stays(user: User) -> None:
    """Raise HubError 409 if the hub has no other active administrator than `user`."""
    _lock_administrators()
    if _are_last_administrators([user.pk]):
        raise conflict("left_alone", MAKE_ANOTHER)


def check_may_end(users: Collection[User]) -> None:
    """Raise HubError 409 with the list if something would be left without an owner, manager or administrator."""
    _lock_channels(Member.objects.filter(user__in=users, role=Role.OWNER).values_list("channel", flat=True))
    _lock_teams(TeamMember.objects.filter(user__in=users, is_manager=True).values_list("team", flat=True))
    _lock_administrators()
    if sentences := sole_ownership(users).sentences():
        raise conflict("left_alone", f"{' '.join(sentences)} Hand them over first; nothing was changed.")


def _channels(user_ids: Collection[int | None]) -> QuerySet[Channel]:
    """Return the channels without another active owner. Deleted ones count, since an owner may restore them."""
    owners = Member.objects.filter(channel=OuterRef("pk"), role=Role.OWNER)
    others = owners.filter(user__is_active=True).exclude(user__in=user_ids)
    return Channel.objects.defer("logo").filter(Exists(owners.filter(user__in=user_ids)), ~Exists(others))


def _teams(user_ids: Collection[int]) -> QuerySet[Team]:
    """Return the teams without another active manager."""
    managers = TeamMember.objects.filter(team=OuterRef("pk"), is_manager=True)
    others = managers.filter(user__is_active=True).exclude(user__in=user_ids)
    return Team.objects.filter(Exists(managers.filter(user__in=user_ids)), ~Exists(others))


def _are_last_administrators(user_ids: Collection[int]) -> bool:
    """Tell whether `user_ids` include all active superusers, or all of these with access to the administration."""
    return any(_are_last(user_ids, rights) for rights in (ADMINISTRATOR, ADMINISTRATOR[:1]))


def _are_last(user_ids: Collection[int], rights: Sequence[str]) -> bool:
    holders = User.objects.filter(is_active=True, **dict.fromkeys(rights, True))
    return holders.exists() and not holders.exclude(pk__in=user_ids).exists()


def _lock_channels(ids: Iterable[int]) -> None:
    list(Channel.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))


def _lock_teams(ids: Iterable[int]) -> None:
    list(Team.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))


def _lock_administrators() -> None:
    administrators = User.objects.filter(is_active=True, is_superuser=True)
    list(administrators.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def _deleted(channel: Channel) -> str:
    return ", and it is deleted but can be restored" if channel.deleted_at else ""
