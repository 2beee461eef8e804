"""Tests of the pages of teams: their contents for each user, and their forms."""

import re

import pytest
from django.test import Client
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Channel, Invitation, Role, Team, TeamMember, User
from tests.builders import make_channel, make_team, make_team_member, make_user
from tests.pages import events, messages, signed_in, text

pytestmark = pytest.mark.django_db

TEAMS, TEAM = "/teams", "/teams/mappers"


@pytest.fixture
def team(olga: User, max_: User) -> Team:
    """Return a team of Olga's with Max as a member."""
    return make_team("mappers", max_, manager=olga, description="Who draw")


@pytest.fixture
def manager(olga: User, team: Team) -> Client:
    return signed_in(olga)


def listed(client: Client) -> list[str]:
    return re.findall(r'<a class="name" href="/teams/([^"]+)">', text(client.get(TEAMS)))


@pytest.mark.parametrize("path", [TEAMS, TEAM])
@pytest.mark.parametrize("method", ["get", "post"])
def test_signed_out_one_is_led_to_signing_in(team: Team, path: str, method: str) -> None:
    response = getattr(Client(), method)(path)
    assert response.headers["Location"] == f"/accounts/login/?next={path}"


def test_one_sees_the_teams_that_one_is_in_and_administrators_all(
    team: Team, max_: User, sam: User, admin_user: User
) -> None:
    make_team("divers", sam)
    assert listed(signed_in(max_)) == ["mappers"]
    assert listed(signed_in(sam)) == ["divers"]
    assert listed(signed_in(admin_user)) == ["divers", "mappers"]
    assert "2 people · Who draw" in text(signed_in(max_).get(TEAMS))
    assert "You are not in a team yet" in text(signed_in(make_user("new")).get(TEAMS))


@pytest.mark.parametrize("path", [TEAM, "/teams/nowhere"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_team_of_others_is_answered_as_one_that_is_not_there(team: Team, sam: User, path: str, method: str) -> None:
    response = getattr(signed_in(sam), method)(path, headers={"accept": "text/html"})
    assert response.status_code == 404
    assert "mappers" not in response.content.decode().replace(path, "")


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
@pytest.mark.parametrize("path", [TEAMS, TEAM])
def test_team_pages_by_other_methods_get_405(manager: Client, path: str, method: str) -> None:
    assert getattr(manager, method)(path).status_code == 405


def test_team_is_created_by_the_form(sam: User) -> None:
    response = signed_in(sam).post(TEAMS, {"name": "divers", "description": "Below"})
    assert response.headers["Location"] == "/teams/divers"
    assert messages(response) == ["Team divers created. You are its manager."]
    assert TeamMember.objects.get().is_manager


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "This field is required."),
        ("Big", "'Big' can't name a team; expected up to 100 lower-case letters"),
        ("mappers", "There is a team 'mappers' already; choose another name."),
    ],
)
def test_a_team_that_cannot_be_made_says_why(team: Team, sam: User, name: str, sentence: str) -> None:
    response = signed_in(sam).post(TEAMS, {"name": name})
    assert response.status_code == 200
    assert escape(sentence) in text(response)


def test_adding_a_user_or_address_sends_an_invitation(manager: Client, sam: User) -> None:
    for who in ("sam", "nobody", "sam@example.org"):
        response = manager.post(TEAM, {"action": "add", "who": who})
        assert messages(response)[-1] == f"{who} is invited, and is in the team once the invitation is accepted."
    page = text(manager.get(TEAM))
    assert "Pending invitations" in page
    assert page.count("invited by olga, until") == 3
    withdrawn = manager.post(TEAM, {"action": "withdraw", "who": "sam@example.org"})
    assert messages(withdrawn)[-1] == "The invitation of sam@example.org is withdrawn."
    accepting = signed_in(sam)
    first = Invitation.objects.get(invitee_name="sam")
    answer = accepting.post("/account/invitations", {"action": "accept", "invitation": str(first.pk)})
    assert (answer.headers["Location"], messages(answer)) == (TEAM, ["You are in the team mappers now."])
    assert [action for action, _, _ in events()] == [*["team.invite"] * 3, "team.withdraw", "team.add"]


def test_people_are_added_made_managers_and_removed(team: Team, sam: User, admin_user: User) -> None:
    manager = signed_in(admin_user)
    for form in (
        {"action": "add", "who": "sam"},
        {"action": "manager", "username": "sam"},
        {"action": "no-manager", "username": "sam"},
        {"action": "remove", "username": "sam"},
    ):
        response = manager.post(TEAM, form)
        assert response.headers["Location"] == TEAM
    assert messages(response) == [
        "sam is in the team now.",
        "sam is now a manager of the team.",
        "sam is no longer a manager of the team.",
        "sam was removed from the team and loses the rights that came from it.",
    ]
    assert [action for action, _, _ in events()] == ["team.add", "team.manager", "team.manager", "team.remove"]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"action": "add", "who": " "}, "'' is not a user name; expected one, or an e-mail address."),
        ({"action": "add", "who": "a@b"}, "'a@b' is not an e-mail address."),
        (
            {"action": "update", "team-name": "mappers", "team-group": "a:b"},
            "Only an administrator can set a team's group, here 'a:b'",
        ),
        ({"action": "add", "who": "max"}, "max is in the team 'mappers' already."),
        ({"action": "manager", "username": "sam"}, "sam is not in the team 'mappers'."),
        ({"action": "manager", "username": "s\0"}, "s is not in the team 'mappers'."),
        ({"action": "no-manager", "username": "olga"}, "olga is the last manager of the team 'mappers'"),
        ({"action": "remove", "username": "olga"}, "olga is the last manager of the team 'mappers'"),
        ({"action": "update", "team-name": "Big"}, "'Big' can't name a team"),
        ({"action": "delete", "delete-confirm": "mapper"}, "That is 'mapper'; expected the team's name, 'mappers'."),
        ({"action": "dance"}, "Unknown action"),
        ({}, "Unknown action"),
    ],
)
def test_team_form_with_bad_input_shows_the_error(manager: Client, form: dict[str, str], sentence: str) -> None:
    assert escape(sentence) in text(manager.post(TEAM, form, follow=True))
    assert events() == []


def test_a_team_is_renamed(manager: Client) -> None:
    form = {"action": "update", "team-name": "painters", "team-description": "Maps", "team-group": ""}
    response = manager.post(TEAM, form)
    assert response.headers["Location"] == "/teams/painters"
    assert Team.objects.values_list("name", "description", "group").get() == ("painters", "Maps", "")


def test_a_team_is_deleted_once_its_name_is_typed(manager: Client, team: Team, channel: Channel) -> None:
    make_team_member(channel, team)
    page = text(manager.get(TEAM))
    assert "Its 2 people and their API keys immediately lose the access" in page
    assert "in <strong>demo</strong>." in page
    response = manager.post(TEAM, {"action": "delete", "delete-confirm": "mappers"})
    assert (response.headers["Location"], messages(response)) == (TEAMS, ["The team mappers is deleted."])
    assert not Team.objects.exists()


def test_team_member_sees_no_forms_but_can_leave(team: Team, max_: User) -> None:
    client = signed_in(max_)
    page = text(client.get(TEAM))
    assert re.findall(r'name="action" value="([^"]+)"', page) == []
    assert "?remove=max" in page
    assert "?remove=olga" not in page
    assert "Leave mappers?" in text(client.get(f"{TEAM}?remove=max"))
    refused = client.post(TEAM, {"action": "add", "who": "olga"}, follow=True)
    assert escape("Only managers of the team 'mappers' may do that; you are not a manager.") in text(refused)
    response = client.post(TEAM, {"action": "remove", "username": "max"})
    assert response.headers["Location"] == TEAMS
    assert client.get(TEAM).status_code == 404


def test_removing_is_asked_once_more(manager: Client) -> None:
    assert "Remove max?" in text(manager.get(f"{TEAM}?remove=max"))
    assert "?</h2>" not in text(manager.get(f"{TEAM}?remove=nobody%00"))


def test_people_by_group_are_marked_and_have_no_button(manager: Client, team: Team, sam: User) -> None:
    Team.objects.update(group="acme")
    TeamMember.objects.create(team=team, user=sam, is_by_group=True)
    page = text(manager.get(TEAM))
    assert "through the group acme, since" in page
    assert "?remove=sam" not in page


def test_team_page_lists_readable_channels_only(team: Team, max_: User, channel: Channel) -> None:
    make_team_member(channel, team, Role.CONTRIBUTOR)
    gone = make_channel("gone", deleted_at=channel.created_at)
    make_team_member(gone, team)
    page = text(signed_in(max_).get(TEAM))
    assert '<a class="name" href="/channels/demo">demo</a></div><span class="pill">Contributor</span>' in page
    assert "gone" not in page


def test_team_page_has_the_title_of_the_team(manager: Client) -> None:
    assert "<h1>mappers</h1>" in manager.get(TEAM).content.decode()


def test_team_page_escapes_names_and_descriptions(olga: User) -> None:
    make_team("<b>&", manager=olga, description="<i>", group="<u>")
    page = text(signed_in(olga).get("/teams/%3Cb%3E&"))
    assert not re.search("<b>|<i>|<u>", page)
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize("count", [2, 20])
def test_a_team_costs_as_many_queries_for_20_people_as_for_2(
    manager: Client, team: Team, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for n in range(count):
        TeamMember.objects.create(team=team, user=make_user(f"person-{n}"))
        make_team_member(make_channel(f"channel-{n}"), team)
        make_team(f"team-{n}", User.objects.get(username="olga"))
    with django_assert_max_num_queries(10):
        assert text(manager.get(TEAM)).count("?remove=person") == count
    with django_assert_max_num_queries(6):
        assert len(listed(manager)) == count + 1
