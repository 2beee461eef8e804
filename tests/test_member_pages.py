"""The members' page: inviting, changing, removing, filtering, and what each says where it does not work."""

import re

import pytest
from django.test import Client
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Channel, Member, Role, User
from tests.builders import make_member, make_user
from tests.pages import events, said, signed_in, text

pytestmark = pytest.mark.django_db

BASE = "/channels/demo"
MEMBERS = f"{BASE}/settings/members"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def test_a_member_is_invited_changed_and_removed(owner: Client, channel: Channel, max_: User) -> None:
    added = owner.post(MEMBERS, {"action": "add", "username": " max ", "role": "viewer"})
    changed = owner.post(MEMBERS, {"action": "change", "username": "max", "role": "maintainer"})
    removed = owner.post(MEMBERS, {"action": "remove", "username": "max"})
    assert said(added) == ["max is a member now: viewer."]
    assert said(changed)[-1] == "The role of max is maintainer now; it holds from the next request on."
    assert said(removed)[-1] == "max is no member of demo any more, and nor are the keys of max."
    assert {response.headers["Location"] for response in (added, changed, removed)} == {MEMBERS}
    assert [action for action, _, _ in events()] == ["member.add", "member.change", "member.remove"]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"username": "nobody", "role": "viewer"}, "There is no user 'nobody' on this hub."),
        ({"username": "a@example.org", "role": "viewer"}, "There is no user 'a@example.org' on this hub."),
        ({"username": "olga", "role": "viewer"}, "olga is a member already: owner."),
        ({"username": "max", "role": "boss"}, "Select a valid choice. boss is not one of the available choices."),
        ({"username": "", "role": "viewer"}, "This field is required."),
        ({"username": "ma\0x", "role": "viewer"}, "Null characters are not allowed."),
    ],
)
def test_an_invitation_that_does_not_work_says_why(
    owner: Client, max_: User, form: dict[str, str], sentence: str
) -> None:
    response = owner.post(MEMBERS, {"action": "add"} | form)
    assert response.status_code == 200
    assert escape(sentence) in text(response)
    assert events() == []


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"action": "remove", "username": "olga"}, "olga is the last owner of 'demo'"),
        ({"action": "change", "username": "olga", "role": "viewer"}, "olga is the last owner of 'demo'"),
        ({"action": "change", "username": "olga", "role": "boss"}, "'boss' is no role"),
        ({"action": "remove", "username": "max"}, "max is no member of 'demo'"),
        ({"action": "remove", "username": "o\0"}, "o is no member of 'demo'"),
        ({"action": "dance"}, "The form says nothing that can be done"),
        ({}, "The form says nothing that can be done"),
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
    response = client.post(MEMBERS, {"action": "add", "username": "sam", "role": "owner"})
    assert "Select a valid choice. owner is not one of the available choices." in text(response)
    response = client.post(MEMBERS, {"action": "change", "username": "max", "role": "owner"}, follow=True)
    assert escape("Only owners of 'demo' make or unmake owners; you are none.") in text(response)
    assert Member.objects.filter(role=Role.OWNER).count() == 1


def test_who_gives_up_managing_is_led_to_the_channel(channel: Channel, max_: User) -> None:
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
    assert "Nobody in demo has “zzz” in the name and the role owner." in text(owner.get(f"{MEMBERS}?q=zzz&role=owner"))


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
    with django_assert_max_num_queries(10):
        assert len(listed(owner)) == count + 1
