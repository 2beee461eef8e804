"""Tests of teams: their members, their managers, and groups of OpenID Connect."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.models import Channel, Member, Role, Team, TeamMember, User
from channels_app.people import teams
from tests.builders import make_address, make_team, make_team_member, make_user
from tests.pages import events
from tests.refusals import refused
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(olga: User, max_: User) -> Team:
    """Return a team of Olga's with Max as a member."""
    return make_team("mappers", max_, manager=olga)


def people(team: Team) -> dict[str, bool]:
    """Return user name → whether a manager."""
    return dict(TeamMember.objects.filter(team=team).values_list("user__username", "is_manager"))


def test_creator_of_a_team_is_its_manager(sam: User) -> None:
    team = teams.create(user=sam, name="divers", description="Below")
    assert people(team) == {"sam": True}
    assert events() == [("team.create", "divers", {})]


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a/b", "ä", "a\n", "a" * 101])
def test_team_with_a_bad_name_is_refused(sam: User, name: str) -> None:
    with refused(400, "bad_team_name", "can't name a team; expected up to 100 lower-case letters"):
        teams.create(user=sam, name=name)


def test_a_name_is_taken_once(sam: User, olga: User, team: Team) -> None:
    with refused(409, "team_exists", "There is a team 'mappers' already; choose another name."):
        teams.create(user=sam, name="mappers")
    other = make_team("divers", manager=olga)
    with refused(409, "team_exists", "There is a team 'mappers' already"):
        teams.update(user=olga, team=other, name="mappers", description="", group="")


def test_a_team_is_changed(admin_user: User, team: Team) -> None:
    teams.update(user=admin_user, team=team, name="painters", description="Maps", group="acme:maps")
    team.refresh_from_db()
    assert (team.name, team.description, team.group) == ("painters", "Maps", "acme:maps")
    changed = {"name": "painters", "description": "Maps", "group": "acme:maps"}
    assert events() == [("team.update", "painters", {"fields": changed | {"before": "mappers"}})]
    teams.update(user=admin_user, team=team, name="painters", description="Maps", group="acme:maps")
    assert len(events()) == 1


@pytest.mark.parametrize("who", ["sam", "SAM", "sam@example.org", "SAM@example.org"])
def test_people_are_added_by_exact_name_or_verified_address(admin_user: User, sam: User, team: Team, who: str) -> None:
    make_address(sam, "sam@example.org")
    teams.add(user=admin_user, team=team, name_or_address=who)
    assert people(team) == {"olga": True, "max": False, "sam": False}
    assert events() == [("team.add", "mappers", {"user": "sam"})]


@pytest.mark.parametrize("who", ["", "sa", "gone", "sam@example.org", "gone@example.org", "fake@example.org"])
def test_team_adds_no_unknown_or_inactive_user(admin_user: User, sam: User, team: Team, who: str) -> None:
    make_address(sam, "sam@example.org", verified=False)
    make_address(make_user("gone", is_active=False), "gone@example.org")
    make_user("fake@example.org")
    with refused(404, "no_such_user", f"No user has the user name or verified e-mail address '{who}'."):
        teams.add(user=admin_user, team=team, name_or_address=who)


@pytest.mark.parametrize("who", ["sam", "nobody", "max", "sam@example.org"])
def test_team_adds_a_user_only_by_accepting(olga: User, sam: User, team: Team, who: str) -> None:
    with refused(403, "invited_first", "People have to accept an invitation to a team first: send one."):
        teams.add(user=olga, team=team, name_or_address=who)


def test_team_member_added_again_is_refused(admin_user: User, team: Team) -> None:
    with refused(409, "in_team", "max is in the team 'mappers' already."):
        teams.add(user=admin_user, team=team, name_or_address="max")


def test_adding_has_a_limit(admin_user: User, team: Team, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"invitation-by-account": 1}
    with refused(404, "no_such_user", "No user"):
        teams.add(user=admin_user, team=team, name_or_address="ada")
    with refused(429, "too_many", "Too many additions to teams by you: more than 1"):
        teams.add(user=admin_user, team=team, name_or_address="ada")


CHANGES: dict[str, Callable[[User, Team], object]] = {
    "update": lambda user, team: teams.update(user=user, team=team, name="x", description="", group=""),
    "group": lambda user, team: teams.update(user=user, team=team, name="mappers", description="", group="admins"),
    "add": lambda user, team: teams.add(user=user, team=team, name_or_address="sam"),
    "manager": lambda user, team: teams.set_manager(user=user, team=team, username="max", is_manager=True),
    "no manager": lambda user, team: teams.set_manager(user=user, team=team, username="olga", is_manager=False),
    "remove": lambda user, team: teams.remove(user=user, team=team, username="olga"),
    "delete": lambda user, team: teams.delete(user=user, team=team),
}


@pytest.mark.parametrize("who", ["max", "sam"])
@pytest.mark.parametrize("change", CHANGES)
def test_managers_alone_change_a_team(max_: User, sam: User, team: Team, who: str, change: str) -> None:
    with refused(403, "managers_only", "Only managers of the team 'mappers' may do that; you are not a manager."):
        CHANGES[change](User.objects.get(username=who), team)
    assert Team.objects.get().name == "mappers"
    assert events() == []


@pytest.mark.parametrize("change", ["update", "group", "add", "manager", "delete"])
def test_administrators_manage_every_team(admin_user: User, sam: User, team: Team, change: str) -> None:
    CHANGES[change](admin_user, team)
    assert len(events()) == 1


def test_managers_come_and_go_but_the_last_stays(olga: User, max_: User, team: Team) -> None:
    sentence = "olga is the last manager of the team 'mappers', and a team is never without one."
    with refused(409, "last_manager", sentence):
        teams.set_manager(user=olga, team=team, username="olga", is_manager=False)
    with refused(409, "last_manager", sentence):
        teams.remove(user=olga, team=team, username="olga")
    teams.set_manager(user=olga, team=team, username="max", is_manager=True)
    teams.set_manager(user=max_, team=team, username="olga", is_manager=False)
    assert people(team) == {"olga": False, "max": True}
    assert events()[-1] == ("team.manager", "mappers", {"user": "olga", "is_manager": False})


def test_a_manager_who_cannot_sign_in_does_not_count(olga: User, team: Team) -> None:
    gone = make_user("gone", is_active=False)
    TeamMember.objects.create(team=team, user=gone, is_manager=True)
    with refused(409, "last_manager", "olga is the last manager"):
        teams.remove(user=olga, team=team, username="olga")
    teams.remove(user=olga, team=team, username="gone")
    assert people(team) == {"olga": True, "max": False}


def test_people_are_removed_and_leave(olga: User, max_: User, sam: User, team: Team) -> None:
    TeamMember.objects.create(team=team, user=sam)
    teams.remove(user=olga, team=team, username="sam")
    teams.remove(user=max_, team=team, username="max")
    assert people(team) == {"olga": True}
    assert [(action, detail) for action, _, detail in events()] == [
        ("team.remove", {"user": "sam"}),
        ("team.remove", {"user": "max"}),
    ]
    with refused(404, "not_in_team", "max is not in the team 'mappers'."):
        teams.remove(user=max_, team=team, username="max")


def test_a_deleted_team_is_removed_from_its_channels_with_an_event_in_each(
    olga: User, max_: User, team: Team, channel: Channel
) -> None:
    make_team_member(channel, team, Role.CONTRIBUTOR)
    teams.delete(user=olga, team=team)
    assert permissions(Actor(user=max_), channel) == frozenset()
    assert Member.objects.count() == 1
    assert [event[:2] for event in events()] == [("member.remove", "team mappers"), ("team.delete", "mappers")]
    assert channel.events.get().detail == {"role": "contributor", "team": "mappers"}


def test_groups_bring_people_and_take_them(olga: User, sam: User, channel: Channel) -> None:
    make_team_member(channel, make_team("mappers", manager=olga, group="acme:maps"))
    make_team("divers", manager=olga, group="acme:sea")
    make_team("groupless", manager=olga)
    teams.follow_groups(user=sam, provider="acme", groups=["maps", "sea", "sky", ""])
    assert set(sam.teams.values_list("team__name", "is_by_group")) == {("mappers", True), ("divers", True)}
    assert permissions(Actor(user=sam), channel) == {Permission.READ}
    teams.follow_groups(user=sam, provider="acme", groups=["sea"])
    assert set(sam.teams.values_list("team__name", flat=True)) == {"divers"}
    assert permissions(Actor(user=sam), channel) == frozenset()
    assert events()[-1] == ("team.remove", "mappers", {"user": "sam", "group": "acme:maps"})
    teams.follow_groups(user=sam, provider="acme", groups=["sea"])
    assert len(events()) == 3


def test_member_added_by_hand_stays_without_the_group(olga: User, max_: User) -> None:
    team = make_team("mappers", max_, manager=olga, group="acme:maps")
    teams.follow_groups(user=max_, provider="acme", groups=["maps"])
    teams.follow_groups(user=max_, provider="acme", groups=[])
    assert people(team) == {"olga": True, "max": False}
    assert events() == []


@pytest.mark.parametrize("group", ["acme:admins", "acme:maps ", "x", "evil:maps"])
def test_group_of_a_team_is_not_set_by_managers(olga: User, team: Team, group: str) -> None:
    """Check that managers can't set a group: its people would be added without consent."""
    with refused(403, "administrators_only", f"Only an administrator can set a team's group, here '{group}'"):
        teams.update(user=olga, team=team, name="mappers", description="", group=group)
    Team.objects.update(group="acme:maps")
    with refused(403, "administrators_only", "Only an administrator"):
        teams.update(user=olga, team=team, name="mappers", description="", group=group)
    teams.update(user=olga, team=team, name="painters", description="", group="acme:maps")
    teams.update(user=olga, team=team, name="painters", description="", group="")
    assert Team.objects.get().group == ""


def test_a_team_that_has_another_group_loses_the_people_of_the_old_one(admin_user: User, olga: User, sam: User) -> None:
    team = make_team("mappers", manager=olga, group="acme:maps")
    teams.follow_groups(user=sam, provider="acme", groups=["maps"])
    teams.update(user=admin_user, team=team, name="mappers", description="", group="other:maps")
    assert people(team) == {"olga": True}
    assert events()[-2] == ("team.remove", "mappers", {"user": "sam", "group": "acme:maps"})


def test_the_manager_who_changes_the_group_stays(sam: User) -> None:
    team = make_team("mappers", group="acme:maps")
    TeamMember.objects.create(team=team, user=sam, is_by_group=True, is_manager=True)
    teams.update(user=sam, team=team, name="mappers", description="", group="")
    assert people(team) == {"sam": True}
    assert not TeamMember.objects.get().is_by_group


def test_groups_of_one_provider_leave_teams_of_another_unchanged(olga: User, sam: User) -> None:
    team = make_team("mappers", manager=olga, group="acme:maps")
    teams.follow_groups(user=sam, provider="evil", groups=["maps", "acme:maps"])
    assert people(team) == {"olga": True}
    teams.follow_groups(user=sam, provider="acme", groups=["maps"])
    teams.follow_groups(user=sam, provider="evil", groups=[])
    assert people(team) == {"olga": True, "sam": False}


@pytest.mark.parametrize("by", ["olga", "sam"])
def test_member_by_a_group_is_not_removed_by_hand(olga: User, sam: User, by: str) -> None:
    team = make_team("mappers", manager=olga, group="acme:maps")
    teams.follow_groups(user=sam, provider="acme", groups=["maps"])
    with refused(409, "by_group", "sam is in 'mappers' through the group 'acme:maps' and would be added again"):
        teams.remove(user=User.objects.get(username=by), team=team, username="sam")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_concurrent_leaves_keep_one_manager(olga: User, max_: User, team: Team, tmp_path: Path, attempt: int) -> None:
    TeamMember.objects.update(is_manager=True)
    with shared_database(tmp_path):
        results = at_once(
            lambda: teams.remove(user=olga, team=team, username="olga"),
            lambda: teams.remove(user=max_, team=team, username="max"),
        )
        assert sorted(map(str, results)) == ["None", "last_manager"]
