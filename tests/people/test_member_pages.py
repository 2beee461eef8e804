"""Tests of the members' page: inviting, changing, removing and filtering, with their error messages."""

import re

import pytest
from django.test import Client
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Channel, Member, Role, User
from tests.builders import make_member, make_team, make_team_member, make_user
from tests.pages import events, messages, signed_in, text

pytestmark = pytest.mark.django_db

BASE = "/channels/demo"
MEMBERS = f"{BASE}/settings/members"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def test_a_member_is_added_changed_and_removed(admin_client: Client, channel: Channel, max_: User) -> None:
    owner = signed_in(User.objects.get(username="admin"))
    added = owner.post(MEMBERS, {"action": "add", "username": " max ", "role": "viewer"})
    changed = owner.post(MEMBERS, {"action": "change", "username": "max", "role": "maintainer"})
    removed = owner.post(MEMBERS, {"action": "remove", "username": "max"})
    assert messages(added) == ["max is now a member: viewer."]
    assert messages(changed)[-1] == "The role of max is now maintainer and applies from the next request."
    assert messages(removed)[-1] == "max is no longer a member of demo; keys of max lose their rights there."
    assert {response.headers["Location"] for response in (added, changed, removed)} == {MEMBERS}
    assert [action for action, _, _ in events()] == ["member.add", "member.change", "member.remove"]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"team": "No Team", "role": "viewer"}, "'No Team' can't name a team."),
        ({"team": "mappers", "role": "owner"}, "team mappers can't own 'demo': only a user can be an owner"),
        ({"email": "a@b", "role": "viewer"}, "'a@b' is not an e-mail address."),
        ({"email": "a@example.org", "role": "boss"}, "'boss' is not a role"),
        ({"username": "olga", "role": "viewer"}, "olga is a member already: owner."),
        ({"username": "max", "role": "boss"}, "'boss' is not a role; expected one of"),
        ({"username": "", "role": "viewer"}, "'' is not a user name; expected one, or an e-mail address."),
        ({"username": "\0", "role": "viewer"}, "'' is not a user name"),
        ({"username": "x" * 151, "role": "viewer"}, "is not a user name"),
    ],
)
def test_an_invitation_that_does_not_work_says_why(
    owner: Client, max_: User, form: dict[str, str], sentence: str
) -> None:
    make_team()
    response = owner.post(MEMBERS, {"action": "add"} | form, follow=True)
    assert escape(sentence) in text(response)
    assert events() == []


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"action": "remove", "username": "olga"}, "olga is the last owner of 'demo'"),
        ({"action": "change", "username": "olga", "role": "viewer"}, "olga is the last owner of 'demo'"),
        ({"action": "change", "username": "olga", "role": "boss"}, "'boss' is not a role"),
        ({"action": "remove", "username": "max"}, "max is not a member of 'demo'"),
        ({"action": "remove", "username": "o\0"}, "o is not a member of 'demo'"),
        ({"action": "dance"}, "Unknown action"),
        ({}, "Unknown action"),
    ],
)
def test_a_change_that_does_not_work_says_why(owner: Client, max_: User, form: dict[str, str], sentence: str) -> None:
    response = owner.post(MEMBERS, form, follow=True)
    assert escape(sentence) in text(response)
    assert events() == []


def test_a_maintainer_can_make_no_owners(channel: Channel, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    client = signed_in(max_)
    page = text(client.get(MEMBERS))
    assert 'value="maintainer"' in page
    assert '<button name="role" value="owner">' not in page
    assert "?remove=olga" not in page
    assert (
        '<option value="owner">'
        not in text(client.get(f"{MEMBERS}?find=sam")).partition('aria-labelledby="members"')[0]
    )
    response = client.post(MEMBERS, {"action": "add", "username": "sam", "role": "owner"}, follow=True)
    assert escape("Only owners of 'demo' can add or remove owners; you are not an owner.") in text(response)
    response = client.post(MEMBERS, {"action": "change", "username": "max", "role": "owner"}, follow=True)
    assert escape("Only owners of 'demo' can add or remove owners; you are not an owner.") in text(response)
    assert Member.objects.filter(role=Role.OWNER).count() == 1


def test_member_who_steps_down_is_redirected_to_the_channel(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    response = signed_in(max_).post(MEMBERS, {"action": "change", "username": "max", "role": "viewer"})
    assert response.headers["Location"] == BASE


def test_removing_and_stepping_down_are_asked_once_more(owner: Client, channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    assert "Remove max?" in text(owner.get(f"{MEMBERS}?remove=max"))
    assert "Make yourself a viewer?" in text(owner.get(f"{MEMBERS}?change=olga&to=viewer"))
    assert "?</h2>" not in text(owner.get(f"{MEMBERS}?remove=nobody%00"))
    assert "?</h2>" not in text(owner.get(f"{MEMBERS}?change=olga&to=nonsense"))
    assert "?</h2>" not in text(owner.get(MEMBERS))


def listed(client: Client, query: str = "") -> list[str]:
    return re.findall(r'aria-label="Role of ([^:]+):', text(client.get(f"{MEMBERS}?{query}")))


def test_members_are_filtered_by_name_and_role(owner: Client, channel: Channel, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    make_member(channel, sam, Role.VIEWER)
    assert listed(owner) == ["olga", "max", "sam"]
    assert listed(owner, "q=MA") == ["max"]
    assert listed(owner, "role=viewer") == ["sam"]
    assert listed(owner, "role=nonsense") == ["olga", "max", "sam"]
    assert listed(owner, "q=a%00&page=77") == ["olga", "max", "sam"]
    assert "No member of demo has “zzz” in the name and the role owner." in text(
        owner.get(f"{MEMBERS}?q=zzz&role=owner")
    )


def test_members_page_is_escaped(owner: Client, channel: Channel) -> None:
    make_member(channel, make_user("<b>&x=1"), Role.VIEWER)
    page = text(owner.get(f"{MEMBERS}?remove=%3Cb%3E%26x%3D1"))
    assert "<b>" not in page
    assert "?remove=%3Cb%3E%26x%3D1" in page
    assert "Remove &lt;b&gt;&amp;x=1?" in page


@pytest.mark.parametrize("count", [2, 20])
def test_members_cost_as_many_queries_for_20_as_for_2(
    owner: Client, channel: Channel, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for n in range(count):
        make_member(channel, make_user(f"person-{n}"))
        make_team_member(channel, make_team(f"team-{n}", make_user(f"mate-{n}")))
    with django_assert_max_num_queries(11):
        assert len(listed(owner)) == min(2 * count + 1, 25)


def found(client: Client, query: str) -> list[tuple[str, str]]:
    """Return the results: (the field that adds it, its name); of a member, only the name."""
    page = text(client.get(f"{MEMBERS}?find={query}"))
    part = page[page.index('id="found"') : page.index('aria-labelledby="members"')]
    return re.findall(r'name="(username|team|email)" value="([^"]+)"', part)


def test_find_by_an_administrator_lists_every_user(admin_user: User, channel: Channel, max_: User, sam: User) -> None:
    make_user("mara", first_name="Max", last_name="Stone")
    make_user("maximus", is_active=False)
    make_team("max-planck", sam)
    make_team("others", max_)
    owner = signed_in(User.objects.get(username="admin"))
    assert found(owner, "max") == [("username", "max"), ("username", "mara"), ("team", "max-planck"), ("team", "max")]
    assert found(owner, "STONE") == [("username", "mara"), ("username", "STONE")]
    assert "Team, 1 person<" in text(owner.get(f"{MEMBERS}?find=planck"))


def test_find_by_others_lists_known_users_only(
    owner: Client, channel: Channel, olga: User, max_: User, sam: User
) -> None:
    """Check that channel owners can't list users or probe for a name: only known people are found."""
    mate = make_user("max-of-team")
    make_team("max-team", olga, mate)
    make_user("max-stranger")
    make_team("max-elsewhere", sam)
    assert found(owner, "max") == [
        ("username", "max-of-team"), ("team", "max-team"), ("username", "max"), ("team", "max"),
    ]  # fmt: skip
    assert found(owner, "max-stranger") == [("username", "max-stranger"), ("team", "max-stranger")]
    assert found(owner, "max-nobody-is") == [("username", "max-nobody-is"), ("team", "max-nobody-is")]
    make_member(channel, max_)
    assert '<span class="pill">Viewer</span>' in text(owner.get(f"{MEMBERS}?find=max&q=nobody"))


def test_find_needs_two_characters_and_lists_ten_users(owner: Client) -> None:
    for n in range(9):
        make_member(Channel.objects.get(), make_user(f"person-{n}"))
        make_team(f"people-{n}", User.objects.get(username="olga"))
    assert found(owner, "p") == []
    assert "Enter at least two characters" in text(owner.get(f"{MEMBERS}?find=p"))
    assert [name for name, _ in found(owner, "pe")] == ["team", "username", "team"]
    assert text(owner.get(f"{MEMBERS}?find=pe&q=nobody")).count('<span class="pill">Viewer</span>') == 9


def test_an_exact_name_comes_first_and_a_member_with_the_role(owner: Client, max_: User) -> None:
    for n in range(12):
        make_team(f"of-{n}", User.objects.get(username="olga"), make_user(f"a-max-{n}"), max_)
    assert found(owner, "max")[0] == ("username", "max")
    assert found(owner, "olga") == [("team", "olga")]
    assert "</svg>" in text(owner.get(f"{MEMBERS}?find=olga"))
    assert '<span class="pill">Owner</span>' in text(owner.get(f"{MEMBERS}?find=olga"))


def test_find_by_an_address_lists_no_user_but_offers_to_invite_it(owner: Client, max_: User) -> None:
    User.objects.filter(pk=max_.pk).update(email="max@example.org")
    assert found(owner, "max@example.org") == [("email", "max@example.org")]
    assert found(owner, "example.org") == [("username", "example.org"), ("team", "example.org")]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CONTRIBUTOR])
def test_find_without_the_right_to_invite_is_empty(channel: Channel, max_: User, sam: User, role: str) -> None:
    make_member(channel, max_, role)
    assert signed_in(max_).get(f"{MEMBERS}?find=olga").status_code == 403
    assert signed_in(sam).get(f"{MEMBERS}?find=olga").status_code == 404
    assert Client().get(f"{MEMBERS}?find=olga").status_code == 404


def test_a_team_is_added_changed_and_removed(owner: Client, channel: Channel, olga: User) -> None:
    """Use a manager of the team; other users invite its managers."""
    make_team("mappers", manager=olga)
    added = owner.post(MEMBERS, {"action": "add", "team": "mappers", "role": "viewer"})
    changed = owner.post(MEMBERS, {"action": "change", "team": "mappers", "role": "maintainer"})
    page = text(owner.get(MEMBERS))
    confirmation = text(owner.get(f"{MEMBERS}?remove-team=mappers"))
    removed = owner.post(MEMBERS, {"action": "remove", "team": "mappers"})
    assert messages(added) == ["team mappers is now a member: viewer."]
    assert messages(changed)[-1] == "The role of team mappers is now maintainer and applies from the next request."
    assert "team, 1 person<" in page
    assert page.count('<button name="role" value="owner">') == 0
    assert "Remove team mappers?" in confirmation
    assert "team mappers is no longer a member of demo" in messages(removed)[-1]


def test_removal_of_a_team_member_shows_the_remaining_access(owner: Client, channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    make_team_member(channel, make_team("mappers", max_))
    assert "max stays in demo through the team mappers" in text(owner.get(f"{MEMBERS}?remove=max"))
    removed = owner.post(MEMBERS, {"action": "remove", "username": "max"})
    assert messages(removed) == ["max is now a member of demo only through the team mappers."]


def test_an_invitation_waits_is_sent_again_and_withdrawn(owner: Client, channel: Channel) -> None:
    form = {"email": "Ada@Example.org", "role": "contributor"}
    sent = owner.post(MEMBERS, {"action": "add"} | form)
    page = text(owner.get(MEMBERS))
    again = owner.post(MEMBERS, {"action": "add", "email": "ada@example.org", "role": "contributor"})
    withdrawn = owner.post(MEMBERS, {"action": "withdraw", "who": "ada@example.org"})
    assert messages(sent) == [
        "ada@example.org is invited. The mail is sent in a moment; the list below shows whether that succeeded."
    ]
    assert '<strong>ada@example.org</strong><span class="sub">invited by olga</span>' in page
    assert messages(again)[-1] == messages(sent)[0]
    assert messages(withdrawn)[-1] == "The invitation of ada@example.org was withdrawn; its link no longer works."
    assert "Pending invitations" not in text(owner.get(MEMBERS))
    assert [action for action, _, _ in events()] == ["invitation.send", "invitation.send", "invitation.withdraw"]


def test_a_maintainer_sees_the_invitation_of_an_owner_but_no_buttons(
    owner: Client, channel: Channel, max_: User
) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    owner.post(MEMBERS, {"action": "add", "email": "ada@example.org", "role": "owner"})
    page = text(signed_in(max_).get(MEMBERS))
    assert "ada@example.org" in page
    assert "Withdraw" not in page


@pytest.mark.parametrize("path", [f"{BASE}/leave", BASE, MEMBERS])
def test_team_role_without_membership_gives_no_access(channel: Channel, path: str) -> None:
    make_team_member(channel, make_team())
    assert Client().get(path).status_code == 404


def test_member_by_a_team_gets_a_hint_to_leave_the_team(channel: Channel, max_: User) -> None:
    make_team_member(channel, make_team("mappers", max_))
    client = signed_in(max_)
    page = text(client.get(f"{BASE}/leave"))
    assert "You are a member of demo only through the team mappers" in page
    assert 'href="/teams/mappers"' in page
    response = client.post(f"{BASE}/leave")
    assert escape("You belong to 'demo' only through the team mappers; leave the team to leave the channel.") in text(
        response
    )


def test_member_who_stays_by_a_team_gets_a_message(channel: Channel, max_: User) -> None:
    make_member(channel, max_)
    make_team_member(channel, make_team("mappers", max_))
    client = signed_in(max_)
    assert "You stay in demo through the team mappers" in text(client.get(f"{BASE}/leave"))
    client.post(f"{BASE}/leave")
    assert client.get(BASE).status_code == 200
