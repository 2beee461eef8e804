"""Notices: their values, notices.json, and their end."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import Channel, Role, User
from hub.errors import HubError
from hub.storage import store
from publishing import housekeeping
from publishing.index import builds
from publishing.models import ChannelNotice
from publishing.notices import notices
from publishing.verification import verification
from tests.builders import make_member
from tests.pages import events

pytestmark = pytest.mark.django_db


def in_days(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def add(channel: Channel, user: User, message: str = "Move to 2.0.", **values: Any) -> ChannelNotice:
    given: dict[str, Any] = {"level": "warning", "message": message, "expires_at": in_days(9)}
    return notices.add(actor=Actor(user=user), channel=channel, **given | values)


def served(channel: Channel) -> list[dict[str, str]]:
    builds.build_channel(channel)
    listed: list[dict[str, str]] = json.loads(b"".join(store().open(f"{channel}/notices.json")))["notices"]
    return listed


def test_notice_reaches_notices_json_as_cep_6_defines_it(channel: Channel, olga: User) -> None:
    notice = add(channel, olga)
    [entry] = served(channel)
    assert entry == {
        "id": str(notice.uid),
        "message": "Move to 2.0.",
        "level": "warning",
        "created_at": notice.created_at.isoformat(timespec="seconds"),
        "expires_at": notice.expires_at.isoformat(timespec="seconds"),
    }
    assert datetime.fromisoformat(entry["expires_at"]).tzinfo is not None


def test_changed_message_has_another_id_and_changed_level_keeps_it(channel: Channel, olga: User) -> None:
    notice = add(channel, olga)
    notices.change(actor=Actor(user=olga), notice=notice, level="critical")
    [same] = served(channel)
    assert (same["id"], same["level"]) == (str(notice.uid), "critical")
    notices.change(actor=Actor(user=olga), notice=notice, message="Move to 3.0.")
    [other] = served(channel)
    assert other["id"] != same["id"]
    notices.remove(actor=Actor(user=olga), notice=ChannelNotice.objects.get())
    assert served(channel) == []
    assert [action for action, _, _ in events()] == ["notice.add", "notice.change", "notice.change", "notice.remove"]


def test_unchanged_notice_is_not_built_again(channel: Channel, olga: User) -> None:
    notice = add(channel, olga)
    served(channel)
    notices.change(actor=Actor(user=olga), notice=notice, level="warning", message=" Move to 2.0. ")
    assert all(index.is_current for index in channel.indexes.all())


def test_expired_notice_is_deleted_and_leaves_notices_json(channel: Channel, olga: User) -> None:
    add(channel, olga, "soon over")
    add(channel, olga, "stays")
    served(channel)
    ChannelNotice.objects.filter(message="soon over").update(expires_at=timezone.now())
    housekeeping.remove_leftovers()
    assert [entry["message"] for entry in served(channel)] == ["stays"]


def test_verification_compares_notices_json_with_the_database(channel: Channel, olga: User) -> None:
    add(channel, olga)
    served(channel)
    assert verification.verify(channel).differences == []
    store().put("demo/notices.json", b'{"notices":[]}', content_type="application/json")
    assert [found.key for found in verification.verify(channel).differences] == ["demo/notices.json"]


@pytest.mark.parametrize(
    "values",
    [
        {"level": "fatal"},
        {"message": ""},
        {"message": " \n "},
        {"message": "x" * 1001},
        {"message": "red \x1b[31m"},
        {"message": "reversed \u202e"},
        {"expires_at": in_days(-0.01)},
        {"expires_at": in_days(367)},
    ],
)
def test_bad_notice_is_refused(channel: Channel, olga: User, values: dict[str, Any]) -> None:
    with pytest.raises(HubError) as refusal:
        add(channel, olga, **{"message": "fine"} | values)
    assert (refusal.value.status, refusal.value.code) == (422, "bad_notice")
    assert not ChannelNotice.objects.exists()


def test_message_keeps_its_lines(channel: Channel, olga: User) -> None:
    assert add(channel, olga, "one\r\ntwo ").message == "one\ntwo"


def test_channel_has_at_most_twenty_notices(channel: Channel, olga: User) -> None:
    for number in range(20):
        add(channel, olga, f"number {number}")
    with pytest.raises(HubError) as refusal:
        add(channel, olga)
    assert (refusal.value.status, refusal.value.code) == (409, "notices_limit")


def test_contributor_may_not_change_notices(channel: Channel, olga: User, sam: User) -> None:
    make_member(channel, sam, Role.CONTRIBUTOR)
    notice = add(channel, olga)
    for change in (
        lambda: add(channel, sam),
        lambda: notices.change(actor=Actor(user=sam), notice=notice, message="mine"),
        lambda: notices.remove(actor=Actor(user=sam), notice=notice),
    ):
        with pytest.raises(HubError) as refusal:
            change()
        assert refusal.value.status == 403
    assert ChannelNotice.objects.get().message == "Move to 2.0."
