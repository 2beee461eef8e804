"""Tests of teams, their people and invitations by the REST API."""

import pytest

from channels_app.models import AuditEvent, Role, Team, TeamMember, User
from tests.builders import make_channel, make_team, make_team_member, make_user
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db

TEAM = "teams/mappers"


@pytest.fixture
def team(olga: User, max_: User) -> Team:
    """The team `mappers` with olga as its manager, and max."""
    return make_team("mappers", max_, manager=olga)


@pytest.fixture
def manager(team: Team, olga: User) -> Caller:
    return by_session(olga)


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def test_new_team_has_its_creator_as_manager(olga: User) -> None:
    answer = by_session(olga).post("teams", {"name": "fresh", "description": "New"})
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/api/v1/teams/fresh"
    assert (answer.json()["people"], answer.json()["is_manager"], answer.json()["group"]) == (1, True, "")
    assert code(by_session(olga).post("teams", {"name": "fresh"})) == (409, "team_exists")
    assert code(by_session(olga).post("teams", {"name": "No Name"})) == (400, "bad_team_name")


def test_list_of_teams_has_only_those_of_the_user(team: Team, max_: User, sam: User) -> None:
    make_team("others")
    assert [each["name"] for each in by_session(max_).get("teams").json()["items"]] == ["mappers"]
    assert by_session(sam).get("teams").json()["items"] == []
    administrator = by_session(make_user("admin", is_superuser=True))
    assert [each["name"] for each in administrator.get("teams").json()["items"]] == ["mappers", "others"]


def test_team_of_others_is_not_found_like_a_missing_one(team: Team, sam: User) -> None:
    caller = by_session(sam)
    for path in ("", "/members", "/members/max", "/invitations", "/channels"):
        hidden, missing = caller.get(f"teams/mappers{path}"), caller.get(f"teams/missing{path}")
        assert code(hidden) == code(missing) == (404, "no_such_team")
    assert code(caller.delete(TEAM)) == (404, "no_such_team")


def test_change_of_a_team_keeps_values_that_the_body_lacks(manager: Caller) -> None:
    assert manager.patch(TEAM, {"description": "Maps"}).json()["description"] == "Maps"
    renamed = manager.patch(TEAM, {"name": "painters"}).json()
    assert (renamed["name"], renamed["description"]) == ("painters", "Maps")
    assert code(manager.patch("teams/painters", {"group": "provider:group"})) == (403, "administrators_only")


def test_change_of_a_team_that_another_editor_changed_is_refused(manager: Caller) -> None:
    etag = {"If-Match": manager.get(TEAM).headers["ETag"]}
    assert manager.patch(TEAM, {"description": "first"}, **etag).status_code == 200
    assert code(manager.patch(TEAM, {"description": "second"}, **etag)) == (412, "changed_meanwhile")
    assert code(manager.delete(TEAM, **etag)) == (412, "changed_meanwhile")
    assert Team.objects.get().description == "first"


def test_member_of_a_team_sees_it_and_changes_only_the_own_place(team: Team, max_: User) -> None:
    caller = by_session(max_)
    people = caller.get(f"{TEAM}/members").json()["items"]
    assert {each["username"]: each["is_manager"] for each in people} == {"olga": True, "max": False}
    for answer in (
        caller.patch(TEAM, {"description": "new"}),
        caller.delete(TEAM),
        caller.post(f"{TEAM}/members", {"name_or_address": "sam"}),
        caller.patch(f"{TEAM}/members/max", {"is_manager": True}),
        caller.delete(f"{TEAM}/members/olga"),
        caller.get(f"{TEAM}/invitations"),
    ):
        assert code(answer) == (403, "managers_only")
    assert caller.delete(f"{TEAM}/members/max").status_code == 204
    assert actions() == ["team.remove"]


def test_person_is_invited_by_a_manager_and_joins_by_accepting(manager: Caller, sam: User) -> None:
    sent = manager.post(f"{TEAM}/members", {"name_or_address": "sam"})
    assert (sent.status_code, sent.json()["team"], sent.json()["role"]) == (202, "mappers", None)
    (pending,) = manager.get(f"{TEAM}/invitations").json()["items"]
    assert "link" not in pending
    accepted = by_session(sam).post(f"account/invitations/{pending['id']}/accept")
    assert accepted.json() == {"channel": None, "team": "mappers"}
    assert manager.get(f"{TEAM}/members/sam").json()["is_manager"] is False
    assert code(manager.post(f"{TEAM}/members", {"name_or_address": "sam"})) == (409, "in_team")


def test_administrator_adds_a_person_at_once(team: Team, sam: User) -> None:
    administrator = by_session(make_user("admin", is_superuser=True))
    answer = administrator.post(f"{TEAM}/members", {"name_or_address": "sam"})
    assert (answer.status_code, answer.json()["username"]) == (201, "sam")
    assert code(administrator.post(f"{TEAM}/members", {"name_or_address": "nobody"})) == (404, "no_such_user")


def test_withdrawn_invitation_to_a_team_is_gone(manager: Caller, sam: User) -> None:
    sent = manager.post(f"{TEAM}/members", {"name_or_address": "sam"}).json()
    assert manager.delete(f"{TEAM}/invitations/{sent['id']}").status_code == 204
    assert code(manager.delete(f"{TEAM}/invitations/{sent['id']}")) == (404, "not_found")


def test_change_of_a_person_that_another_manager_changed_is_refused(manager: Caller, max_: User) -> None:
    etag = {"If-Match": manager.get(f"{TEAM}/members/max").headers["ETag"]}
    assert manager.patch(f"{TEAM}/members/max", {"is_manager": True}, **etag).json()["is_manager"] is True
    assert code(manager.patch(f"{TEAM}/members/max", {"is_manager": False}, **etag)) == (412, "changed_meanwhile")
    assert code(manager.delete(f"{TEAM}/members/max", **etag)) == (412, "changed_meanwhile")
    assert TeamMember.objects.get(user=max_).is_manager


def test_last_manager_stays(manager: Caller) -> None:
    path = f"{TEAM}/members/olga"
    assert code(manager.patch(path, {"is_manager": False})) == (409, "last_manager")
    assert code(manager.delete(path)) == (409, "last_manager")
    assert code(manager.delete(f"{TEAM}/members/sam")) == (404, "not_in_team")


def test_channels_of_a_team_are_those_that_the_user_sees(team: Team, olga: User, sam: User, max_: User) -> None:
    make_team_member(make_channel("maps", owner=sam), team, Role.CONTRIBUTOR)
    make_team_member(make_channel("other", owner=sam), team)
    first = by_session(max_).get(f"{TEAM}/channels?limit=1").json()
    second = by_session(max_).get(first["next"].partition("/api/v1/")[2]).json()
    assert first["items"] == [{"name": "maps", "role": "contributor"}]
    assert second["items"] == [{"name": "other", "role": "viewer"}]


def test_deleted_team_is_gone(manager: Caller) -> None:
    assert manager.delete(TEAM).status_code == 204
    assert not Team.objects.exists()


def test_key_reads_and_changes_no_team(team: Team, olga: User) -> None:
    key = by_key(olga, "read", "manage")
    for answer in (key.get("teams"), key.get(TEAM), key.patch(TEAM, {"description": "x"}), key.delete(TEAM)):
        assert code(answer) == (403, "person_needed")
