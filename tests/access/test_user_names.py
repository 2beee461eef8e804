"""Tests of user names: one rule, case-insensitive, wherever a user is named."""

from io import StringIO

import pytest
from django.core.management import call_command

from channels_app.access.permissions import Actor
from channels_app.models import Channel, Invitation, Member, User
from channels_app.people import invitations, teams
from hub.errors import HubError
from tests.builders import make_team, make_user
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

FIND = "/channels/demo/settings/members?find="
PHANTOM = "The user with this name, if one exists"
NEW = {"usable_password": "true", "password1": "granite-Window-9", "password2": "granite-Window-9"}


def test_commands_find_users_in_any_capitals(olga: User) -> None:
    call_command("createchannel", "maps", "--owner", "OLGA", stdout=StringIO())
    assert Member.objects.get(channel__name="maps").user == olga
    call_command("createapikey", "Olga", "--name", "ci", stdout=StringIO())
    assert olga.keys.count() == 1


def test_invitations_and_teams_find_users_in_any_capitals(
    channel: Channel, olga: User, max_: User, admin_user: User
) -> None:
    invitations.invite(actor=Actor(user=olga), channel=channel, username="MAX", role="viewer")
    assert Invitation.objects.get().user == max_
    assert teams.add(user=admin_user, team=make_team("mappers"), name_or_address="Max").user == max_


@pytest.mark.parametrize(
    ("typed", "is_offered"),
    [("OLGA", False), ("nobody", True), ("Bob Smith", False), ("a/b", False), ("b" * 151, False)],
)
def test_find_with_an_unlisted_name_offers_to_invite_it(
    channel: Channel, olga: User, typed: str, *, is_offered: bool
) -> None:
    assert (PHANTOM in text(signed_in(olga).get(FIND + typed))) is is_offered


def test_invitation_of_an_impossible_name_is_refused(channel: Channel, olga: User) -> None:
    with pytest.raises(HubError, match="is not a user name"):
        invitations.invite(actor=Actor(user=olga), channel=channel, username="Bob Smith", role="viewer")


@pytest.mark.parametrize(("name", "is_taken"), [("Alice+X@y", False), ("-alice", False), ("Alice.x-1", True)])
def test_administrators_give_the_names_that_signing_up_gives(admin_user: User, name: str, *, is_taken: bool) -> None:
    signed_in(admin_user).post("/admin/channels_app/user/add/", NEW | {"username": name})
    assert User.objects.filter(username=name).exists() is is_taken


def test_name_of_before_stays_and_no_other_such_one_is_given(admin_user: User) -> None:
    user = make_user("al@x")
    page = f"/admin/channels_app/user/{user.pk}/change/"
    form = {
        "username": "al@x",
        "first_name": "Al",
        "is_active": "on",
        "date_joined_0": "2026-01-01",
        "date_joined_1": "1:00",
    }
    signed_in(admin_user).post(page, form | {"limits": "{}"})
    user.refresh_from_db()
    assert user.first_name == "Al"
    signed_in(admin_user).post(page, form | {"username": "al+x"})
    user.refresh_from_db()
    assert user.username == "al@x"
