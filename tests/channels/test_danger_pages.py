"""Tests of the pages that transfer, delete, restore and leave a channel."""

import re

import pytest
from django.test import Client
from django.utils.html import escape

from channels_app.access.permissions import Actor
from channels_app.channels import channels
from channels_app.models import Channel, Member, Role, User
from hub.sizes import MIB
from tests.builders import make_artifact, make_channel, make_key, make_member
from tests.pages import events, messages, signed_in, text

pytestmark = pytest.mark.django_db

BASE = "/channels/demo"
GENERAL, DANGER = f"{BASE}/settings", f"{BASE}/settings/danger"
LEAVE, RESTORE = f"{BASE}/leave", f"{BASE}/restore"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def test_transfer_to_an_owner_changes_the_owner(owner: Client, channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.OWNER)
    form = {"action": "transfer", "transfer-username": "max", "transfer-confirm": "demo"}
    response = owner.post(DANGER, form)
    assert response.headers["Location"] == BASE
    assert messages(response) == ["max owns demo now; you can leave it, or stay as a maintainer."]
    assert dict(Member.objects.values_list("user__username", "role")) == {"max": "owner", "olga": "maintainer"}
    assert events() == [("channel.transfer", "max", {"before": "olga"})]


@pytest.mark.parametrize(
    ("username", "typed", "sentence"),
    [
        ("nobody", "demo", "'nobody' is not an owner of 'demo'. Invite them as an owner first"),
        ("max", "demo", "'max' is not an owner of 'demo'. Invite them as an owner first"),
        ("olga", "demo", "You can't transfer the channel to yourself. Enter another user name."),
        ("max", "Demo", "That is 'Demo'; expected the channel's name, 'demo'."),
        ("max", "", "This field is required."),
        ("", "demo", "This field is required."),
    ],
)
def test_transfer_with_bad_input_is_refused(
    owner: Client, max_: User, username: str, typed: str, sentence: str
) -> None:
    form = {"action": "transfer", "transfer-username": username, "transfer-confirm": typed}
    response = owner.post(DANGER, form)
    assert response.status_code == 200
    assert escape(sentence) in text(response)
    assert events() == []


def test_danger_page_lists_the_content_to_delete(owner: Client, channel: Channel, max_: User) -> None:
    make_artifact(channel, size_bytes=3 * MIB)
    make_artifact(channel, version="2.0", size_bytes=MIB)
    make_member(channel, max_)
    page = re.sub(r"</?(?:strong|span)[^>]*>", "", text(owner.get(DANGER)))
    assert "It contains 1 package in 2 files, together 4 MiB, and has 2 members." in page
    assert "Every owner can restore it with all of its contents for 24 hours" in page


def test_a_channel_is_deleted_with_its_name_typed_and_restored(
    client: Client, owner: Client, channel: Channel, olga: User, sam: User
) -> None:
    wrong = owner.post(DANGER, {"action": "delete", "delete-confirm": "dem"})
    assert escape("That is 'dem'; expected the channel's name, 'demo'.") in text(wrong)
    assert events() == []

    deleted = owner.post(DANGER, {"action": "delete", "delete-confirm": "demo"})

    assert deleted.headers["Location"] == RESTORE
    assert owner.get(GENERAL).status_code == owner.get(BASE).status_code == 404
    key = make_key(olga)
    file = client.get("/demo/noarch/repodata.json", headers={"authorization": f"Bearer {key}"})
    assert file.status_code == 403
    assert "demo is deleted" in text(owner.get(RESTORE))
    assert signed_in(sam).get(RESTORE).status_code == client.get(RESTORE).status_code == 404

    restored = owner.post(RESTORE)

    assert restored.headers["Location"] == DANGER
    assert owner.get(GENERAL).status_code == 200
    assert owner.get(RESTORE).status_code == 404
    assert [action for action, _, _ in events() if action.startswith("channel")] == [
        "channel.delete",
        "channel.restore",
    ]


def test_restore_by_a_maintainer_is_refused(channel: Channel, olga: User, max_: User, client: Client) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    channels.delete(actor=Actor(user=olga), channel=channel)
    assert signed_in(max_).post(RESTORE).status_code == client.post(RESTORE).status_code == 404
    assert signed_in(olga).put(RESTORE).status_code == 405
    assert Channel.objects.get().deleted_at is not None


def test_member_leaves_the_channel_by_the_page(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    client = signed_in(max_)
    assert "Leave this channel" in text(client.get(LEAVE))
    response = client.post(LEAVE)
    assert (response.headers["Location"], messages(response)) == ("/channels", ["You have left demo."])
    assert client.get(BASE).status_code == 404


def test_last_owner_gets_a_hint_instead_of_leaving(owner: Client) -> None:
    assert "You are the last owner of demo" in text(owner.get(LEAVE))
    assert escape("olga is the last owner of 'demo'") in text(owner.post(LEAVE))
    assert Member.objects.count() == 1


def test_non_member_gets_403_for_leaving(client: Client, sam: User) -> None:
    make_channel("demo", is_private=False)
    assert signed_in(sam).get(LEAVE).status_code == client.get(LEAVE).status_code == 403
