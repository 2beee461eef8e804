"""Tests of the limits of a user: the objects that count, and the exemptions."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.authentication import api_keys
from channels_app.channels import channels
from channels_app.models import ApiKey, Channel, PendingName, Role, Team, User
from channels_app.people import members, teams
from channels_app.quotas import user_limits
from hub.errors import HubError
from tests.builders import make_key, make_member, make_robot, make_team, make_user
from tests.pages import signed_in, text
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def low_limits(settings: Settings) -> None:
    settings.HUB_USER_CHANNELS = settings.HUB_USER_TEAMS = settings.HUB_USER_KEYS = 2


def make(user: User, name: str) -> Channel:
    return channels.create(name=name, owner=user, is_private=True)


def test_channel_beyond_the_limit_is_refused(olga: User, sam: User) -> None:
    make(olga, "one")
    make(olga, "two")
    with pytest.raises(HubError) as refusal:
        make(olga, "three")
    assert (refusal.value.status, refusal.value.code) == (403, "channels_limit")
    assert refusal.value.detail == (
        "olga has 2 channels, with those that CI may make and deleted ones that can be restored; a user may have 2. "
        "Delete one, or ask an administrator for more."
    )
    assert not PendingName.objects.exists()
    make(sam, "three")


def test_channel_page_beyond_the_limit_shows_the_error(olga: User) -> None:
    make(olga, "one")
    make(olga, "two")
    page = signed_in(olga).post("/channels/new", {"name": "three", "is_private": "private"})
    assert "a user may have 2. Delete one, or ask an administrator for more." in text(page)


def test_deleted_channel_counts_until_it_is_gone(olga: User) -> None:
    make(olga, "one")
    channels.delete(actor=Actor(user=olga), channel=make(olga, "two"))
    with pytest.raises(HubError):
        make(olga, "three")


def test_channel_of_several_owners_counts_for_the_first(olga: User, sam: User) -> None:
    """Count a channel for its first owner only, not for additional owners."""
    for name in ("one", "two"):
        make_member(make(sam, name), olga, Role.OWNER)
    make(olga, "three")
    assert [user_limits.channels_of(user).count() for user in (sam, olga)] == [2, 1]


def test_two_users_have_twice_as_many_and_no_more(olga: User, sam: User) -> None:
    """Leave a channel to another owner: it counts for them, and their limit applies."""
    for name in ("one", "two"):
        make_member(make(olga, name), sam, Role.OWNER)
        members.leave(actor=Actor(user=olga), channel=Channel.objects.get(name=name))
    third = make(olga, "three")
    make_member(third, sam, Role.OWNER)
    refused = "sam may have no further channel. They can delete one of theirs first."
    for act in (
        partial(members.leave, actor=Actor(user=olga)),
        partial(members.remove, actor=Actor(user=sam), username="olga"),
        partial(members.change, actor=Actor(user=olga), username="olga", role=Role.VIEWER),
        partial(channels.transfer, actor=Actor(user=olga), username="sam"),
    ):
        with pytest.raises(HubError) as refusal:
            act(channel=third)
        assert (refusal.value.code, refusal.value.detail) == ("channels_limit", refused)
    members.remove(actor=Actor(user=olga), channel=third, username="sam")


def test_administrators_and_commands_have_no_limits(olga: User) -> None:
    root = make_user("root", is_superuser=True)
    for number in range(4):
        make(root, f"root-{number}")
        call_command("createchannel", f"olga-{number}", owner="olga")
    assert user_limits.channels_of(olga).count() == 4


def test_one_user_can_have_another_limit(olga: User, sam: User) -> None:
    for user, limits in ((olga, {"channels": 3}), (sam, {"channels": 0})):
        user.limits = limits
        user.save()
        for number in range(3):
            make(user, f"{user}-{number}")
    make(sam, "sams-fourth")
    with pytest.raises(HubError, match="a user may have 3"):
        make(olga, "olgas-fourth")


def test_zero_is_no_limit(olga: User, settings: Settings) -> None:
    settings.HUB_USER_CHANNELS = 0
    for number in range(4):
        make(olga, f"olga-{number}")


@pytest.mark.django_db(transaction=True)
def test_two_requests_at_once_make_no_channel_too_many(tmp_path: Path) -> None:
    olga = make_user("olga")
    with shared_database(tmp_path):
        done = at_once(*[lambda name=f"at-once-{number}": make(olga, name) for number in range(5)])
    assert done.count("channels_limit") == 3


def test_team_beyond_the_limit_is_refused(olga: User, sam: User) -> None:
    for name in ("one", "two"):
        teams.create(user=olga, name=name)
    with pytest.raises(HubError, match=r"olga has 2 teams; a user may have 2. Delete one, or ask") as refusal:
        teams.create(user=olga, name="three")
    assert (refusal.value.status, refusal.value.code) == (403, "teams_limit")
    page = signed_in(olga).post("/teams", {"name": "three"})
    assert "olga has 2 teams" in text(page)
    assert Team.objects.count() == 2


def test_team_created_by_another_user_does_not_count(olga: User, sam: User) -> None:
    for name in ("one", "two", "three"):
        team = make_team(name, manager=sam)
        team.people.create(user=olga, is_manager=True)
    teams.create(user=olga, name="mine")


def test_key_beyond_the_limit_is_refused(olga: User) -> None:
    make_key(olga)
    make_key(olga)
    with pytest.raises(HubError, match=r"olga has 2 API keys that work; a user may have 2. Revoke one, or") as refusal:
        make_key(olga)
    assert (refusal.value.status, refusal.value.code) == (403, "keys_limit")
    api_keys.revoke(key=ApiKey.objects.earliest("pk"), actor=Actor(user=olga))
    make_key(olga)
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(days=1))
    make_key(olga)


def test_key_pages_and_command_say_so(channel: Channel, olga: User) -> None:
    make_key(olga)
    make_key(olga)
    form = {"name": "third", "scopes": ["read"], "lifetime": "365", "which": "all"}
    assert "olga has 2 API keys that work; a user may have 2." in text(signed_in(olga).post("/account/keys", form))
    with pytest.raises(CommandError, match="olga has 2 API keys that work"):
        call_command("createapikey", "olga", name="third", scope=["read"])


def test_channel_key_beyond_the_limit_is_refused(channel: Channel, olga: User) -> None:
    make_robot(channel, olga)
    make_robot(channel, olga)
    with pytest.raises(HubError, match=r"'demo' has 2 API keys that work; it may have 2. Revoke one.") as refusal:
        make_robot(channel, olga)
    assert (refusal.value.status, refusal.value.code) == (403, "keys_limit")
    make_robot(channel, make_user("root", is_superuser=True))
    make_key(olga)


@pytest.mark.parametrize(
    "value", [[], "x", {"packages": 1}, {"channels": -1}, {"channels": "5"}, {"channels": True}, {"channels": None}]
)
def test_odd_limits_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        user_limits.validate(value)


def test_administration_changes_the_limits_of_one_user(olga: User) -> None:
    admin_client = signed_in(make_user("root", is_superuser=True, is_staff=True))
    form = {"username": "olga", "is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    address = f"/admin/channels_app/user/{olga.pk}/change/"
    admin_client.post(address, form | {"limits": '{"channel": 5}'})
    olga.refresh_from_db()
    assert olga.limits is None
    admin_client.post(address, form | {"limits": '{"channels": 5}'})
    olga.refresh_from_db()
    assert olga.limits == {"channels": 5}
    admin_client.post(address, form | {"limits": ""})
    olga.refresh_from_db()
    assert not olga.limits
