"""Tests of members, their invitations and leaving by the REST API."""

import pytest
from pytest_django import DjangoAssertNumQueries

from channels_app.models import AuditEvent, Channel, IdempotentReply, Invitation, Member, Role, User
from tests.builders import make_address, make_channel, make_member, make_team, make_team_member, make_user
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db

MEMBERS = "channels/demo/members"
MAX = f"{MEMBERS}/users/max"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Caller:
    return by_session(olga)


@pytest.fixture
def admin(channel: Channel) -> Caller:
    return by_session(make_user("admin", is_superuser=True))


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def test_list_of_members_has_users_and_teams_by_name(channel: Channel, owner: Caller, max_: User) -> None:
    make_team_member(channel, make_team("mappers", max_), Role.VIEWER)
    found = owner.get(MEMBERS).json()["items"]
    assert [(each["kind"], each["name"], each["role"], each["people"]) for each in found] == [
        ("team", "mappers", "viewer", 1),
        ("user", "olga", "owner", None),
    ]
    assert [each["name"] for each in owner.get(f"{MEMBERS}?role=owner&search=OL").json()["items"]] == ["olga"]


def test_list_of_members_needs_as_many_queries_for_many(
    channel: Channel, owner: Caller, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        make_member(channel, make_user(f"user{number}"))
    with django_assert_max_num_queries(10):
        assert len(owner.get(f"{MEMBERS}?limit=15").json()["items"]) == 15


def test_new_member_is_invited_and_joins_by_accepting(channel: Channel, owner: Caller, max_: User) -> None:
    answer = owner.post(MEMBERS, {"username": "max", "role": "viewer"})
    assert answer.status_code == 202
    assert (answer.json()["invitee"], answer.json()["role"], answer.json()["link"]) == ("max", "viewer", None)
    (mine,) = by_session(max_).get("account/invitations").json()["items"]
    assert (mine["channel"], mine["team"], mine["invited_by"]) == ("demo", None, "olga")
    accepted = by_session(max_).post(f"account/invitations/{mine['id']}/accept")
    assert accepted.json() == {"channel": "demo", "team": None}
    assert Member.objects.get(user=max_).role == Role.VIEWER
    assert code(by_session(max_).post(f"account/invitations/{mine['id']}/accept")) == (404, "not_found")


def test_declined_invitation_can_not_be_repeated(owner: Caller, max_: User) -> None:
    sent = owner.post(MEMBERS, {"username": "max", "role": "viewer"}).json()
    assert by_session(max_).post(f"account/invitations/{sent['id']}/decline").status_code == 204
    assert owner.get("channels/demo/invitations").json()["items"] == []
    assert code(owner.post(MEMBERS, {"username": "max", "role": "viewer"})) == (409, "declined")


def test_invitation_of_another_user_is_not_found(owner: Caller, max_: User, sam: User) -> None:
    sent = owner.post(MEMBERS, {"username": "max", "role": "viewer"}).json()
    for answer in ("accept", "decline"):
        assert code(by_session(sam).post(f"account/invitations/{sent['id']}/{answer}")) == (404, "not_found")
    assert Invitation.objects.get().declined_at is None


def test_administrator_adds_a_member_at_once(admin: Caller, max_: User) -> None:
    answer = admin.post(MEMBERS, {"username": "max", "role": "contributor"})
    assert answer.status_code == 201
    assert (answer.json()["name"], answer.json()["role"]) == ("max", "contributor")


def test_manager_of_a_team_adds_it_at_once(channel: Channel, owner: Caller, olga: User) -> None:
    make_team("mappers", manager=olga)
    assert owner.post(MEMBERS, {"team": "mappers", "role": "viewer"}).status_code == 201
    assert owner.get(f"{MEMBERS}/teams/mappers").json()["kind"] == "team"
    assert owner.delete(f"{MEMBERS}/teams/mappers").status_code == 204


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"role": "viewer"}, (422, "invalid_value")),
        ({"username": "max", "team": "mappers", "role": "viewer"}, (422, "invalid_value")),
        ({"username": "max", "role": "boss"}, (422, "invalid_value")),
        ({"username": "olga", "role": "viewer"}, (409, "is_member")),
        ({"username": "not a name", "role": "viewer"}, (400, "bad_user_name")),
        ({"email": "a@b", "role": "viewer"}, (400, "bad_email")),
        ({"team": "No Team", "role": "viewer"}, (400, "bad_team_name")),
        ({"team": "mappers", "role": "owner"}, (400, "no_team_owns")),
    ],
)
def test_new_member_that_can_not_be_invited_is_refused(
    owner: Caller, max_: User, body: dict[str, str], refusal: tuple[int, str]
) -> None:
    assert code(owner.post(MEMBERS, body)) == refusal
    assert actions() == []


def test_role_is_changed_and_member_is_removed(channel: Channel, owner: Caller, max_: User) -> None:
    make_member(channel, max_)
    assert owner.patch(MAX, {"role": "maintainer"}).json()["role"] == "maintainer"
    assert owner.delete(MAX).status_code == 204
    assert code(owner.get(MAX)) == (404, "no_such_member")
    assert actions() == ["member.change", "member.remove"]


def test_new_owner_is_invited_except_by_an_administrator(
    channel: Channel, owner: Caller, admin: Caller, max_: User
) -> None:
    make_member(channel, max_)
    invited = owner.patch(MAX, {"role": "owner"})
    assert (invited.status_code, invited.json()["role"]) == (202, "owner")
    assert owner.get(MAX).json()["role"] == "viewer"
    assert admin.patch(MAX, {"role": "owner"}).json()["role"] == "owner"


def test_maintainer_can_not_touch_owners(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    caller = by_session(max_)
    assert code(caller.delete(f"{MEMBERS}/users/olga")) == (403, "owners_only")
    assert code(caller.post(MEMBERS, {"username": "eve", "role": "owner"})) == (403, "owners_only")


def test_last_owner_stays(owner: Caller) -> None:
    assert code(owner.delete(f"{MEMBERS}/users/olga")) == (409, "last_owner")
    assert code(owner.post("channels/demo/leave")) == (409, "last_owner")


def test_member_who_leaves_is_recorded(channel: Channel, max_: User) -> None:
    make_member(channel, max_)
    assert by_session(max_).post("channels/demo/leave").status_code == 204
    assert actions() == ["member.leave"]


def test_change_of_a_role_that_another_editor_changed_is_refused(channel: Channel, owner: Caller, max_: User) -> None:
    make_member(channel, max_)
    etag = {"If-Match": owner.get(MAX).headers["ETag"]}
    assert owner.patch(MAX, {"role": "contributor"}, **etag).status_code == 200
    assert code(owner.patch(MAX, {"role": "maintainer"}, **etag)) == (412, "changed_meanwhile")
    assert code(owner.patch(MAX, {"role": "owner"}, **etag)) == (412, "changed_meanwhile")
    assert code(owner.delete(MAX, **etag)) == (412, "changed_meanwhile")
    assert owner.get(MAX).json()["role"] == "contributor"


def test_link_of_an_invitation_is_shown_only_to_users_who_may_send_it(
    channel: Channel, owner: Caller, olga: User, max_: User
) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    make_address(make_user("eve"), "eve@example.org")
    for email, role in (("eve@example.org", "viewer"), ("boss@example.org", "owner")):
        assert "/invitations/" in owner.post(MEMBERS, {"email": email, "role": role}).json()["link"]
    path = "channels/demo/invitations"

    def shown(caller: Caller) -> list[bool]:
        return [bool(each["link"]) for each in caller.get(path).json()["items"]]

    assert shown(owner) == [True, True]
    assert shown(by_session(max_)) == [False, True]
    assert shown(by_key(olga, "read", "manage")) == [False, False]


def test_repeated_invitation_returns_its_link_which_is_stored_encrypted(owner: Caller) -> None:
    invited, headers = {"email": "eve@example.org", "role": "viewer"}, {"Idempotency-Key": "one"}
    first, again = (owner.post(MEMBERS, invited, **headers).json() for _ in range(2))
    assert "/invitations/" in first["link"]
    assert again == first
    assert not IdempotentReply.objects.filter(body__contains="/invitations/").exists()


def test_withdrawn_invitation_is_gone(owner: Caller, max_: User) -> None:
    sent = owner.post(MEMBERS, {"username": "max", "role": "viewer"}).json()
    path = f"channels/demo/invitations/{sent['id']}"
    assert owner.delete(path).status_code == 204
    assert code(owner.delete(path)) == (404, "not_found")
    assert by_session(max_).get("account/invitations").json()["items"] == []


def test_invitation_of_another_channel_is_not_found(owner: Caller, olga: User, sam: User) -> None:
    make_channel("sams", owner=sam)
    sent = owner.post(MEMBERS, {"username": "max", "role": "viewer"}).json()
    assert code(by_session(sam).delete(f"channels/sams/invitations/{sent['id']}")) == (404, "not_found")


def test_key_reads_members_and_changes_none(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_)
    key = by_key(olga, "read", "manage")
    assert len(key.get(MEMBERS).json()["items"]) == 2
    for answer in (
        key.post(MEMBERS, {"username": "sam", "role": "viewer"}),
        key.patch(MAX, {"role": "owner"}),
        key.delete(MAX),
        key.post("channels/demo/leave"),
        key.get("account/invitations"),
    ):
        assert code(answer) == (403, "person_needed")
    assert actions() == ["key.create"]
