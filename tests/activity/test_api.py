"""Tests of the lists of events in the REST API: callers, kinds and times."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from django.test import Client

from channels_app.access.actions import Action
from channels_app.access.permissions import SCOPES, Actor
from channels_app.activity.api import Kind
from channels_app.audit import log
from channels_app.audit.descriptions import HUB_KINDS
from channels_app.models import AuditEvent, Channel, Role, User
from tests.builders import make_channel, make_key, make_member, make_robot, make_token, make_user
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db

DEMO = "channels/demo/activity"


def record(action: Action, at: str = "", **values: Any) -> AuditEvent:
    event = log.record(action, target="x", **values)
    if at:
        AuditEvent.objects.filter(pk=event.pk).update(created_at=datetime.fromisoformat(at).replace(tzinfo=UTC))
    return event


def actions(caller: Caller, path: str) -> list[str]:
    return [event["action"] for event in caller.get(path).json()["items"]]


@pytest.fixture
def administrator() -> User:
    return make_user("admin", is_superuser=True)


def test_event_has_its_actor_and_detail(channel: Channel, olga: User) -> None:
    record(Action.MEMBER_ADD, by=Actor(user=olga), channel=channel, detail={"role": "viewer"})
    (event,) = by_session(olga).get(DEMO).json()["items"]
    assert (event["action"], event["actor"], event["key"], event["channel"], event["target"], event["detail"]) == (
        *("member.add", "olga", None, "demo", "x"),
        {"role": "viewer"},
    )


def test_event_at_the_time_of_since_is_listed(channel: Channel, olga: User) -> None:
    record(Action.MEMBER_ADD, channel=channel)
    (event,) = by_session(olga).get(DEMO).json()["items"]
    assert actions(by_session(olga), f"{DEMO}?since={event['created_at']}") == ["member.add"]
    assert actions(by_session(olga), f"{DEMO}?until={event['created_at']}") == []


def test_event_of_another_channel_is_left_out(channel: Channel, olga: User, sam: User) -> None:
    record(Action.MEMBER_ADD, channel=make_channel("sams", owner=sam))
    record(Action.ACCOUNT_SIGN_IN, by=Actor(user=olga))
    assert actions(by_session(olga), DEMO) == []


def test_list_of_an_account_has_only_its_own_events(channel: Channel, olga: User, max_: User) -> None:
    record(Action.ACCOUNT_SIGN_IN, by=Actor(user=olga))
    record(Action.ACCOUNT_PASSWORD, by=Actor(user=max_))
    record(Action.MEMBER_ADD, by=Actor(user=olga), channel=channel)
    assert actions(by_session(olga), "account/activity") == ["account.sign_in"]
    assert code(by_key(olga, *SCOPES).get("account/activity")) == (403, "person_needed")
    assert code(Caller(Client()).get("account/activity")) == (401, "credential_needed")


def test_list_of_the_hub_is_for_administrators_alone(channel: Channel, olga: User, administrator: User) -> None:
    record(Action.MEMBER_ADD, channel=channel)
    record(Action.ACCOUNT_SIGN_IN, by=Actor(user=olga))
    assert actions(by_session(administrator), "activity") == ["account.sign_in", "member.add"]
    assert code(by_session(olga).get("activity")) == (403, "administrators_only")
    assert code(Caller(Client()).get("activity")) == (401, "credential_needed")


def test_key_of_an_administrator_reads_the_hub_only_with_manage_for_all_channels(
    channel: Channel, administrator: User
) -> None:
    assert by_key(administrator, "read", "manage").get("activity").status_code == 200
    narrow = [
        make_key(administrator, scopes=("read", "upload", "delete")),
        make_key(administrator, scopes=SCOPES, channels=[channel]),
        make_robot(channel, administrator, scopes=SCOPES),
        make_token(administrator, "channel:read", "channel:upload"),
    ]
    for secret in narrow:
        for path in ("activity", "activity/export"):
            answer = Caller(Client(headers={"Authorization": f"Bearer {secret}"})).get(path)
            assert code(answer) == (403, "administrators_only")


def test_maintainer_reads_the_channel_and_contributor_does_not(channel: Channel, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    make_member(channel, sam, Role.CONTRIBUTOR)
    assert by_session(max_).get(DEMO).status_code == 200
    for path in (DEMO, f"{DEMO}/export"):
        assert code(by_session(sam).get(path)) == (403, "role_missing")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kind=members", ["member.add"]),
        ("kind=packages", ["artifact.publish"]),
        ("kind=teams", []),
        ("since=2026-02-01", ["artifact.publish", "policy.change"]),
        ("since=2026-02-01T00:00:01Z", ["artifact.publish"]),
        ("until=2026-02-01", ["member.add"]),
        ("since=2026-01-01&until=2026-03-01&kind=settings", ["policy.change"]),
        ("since=2026-02-01T00:30:00%2B01:00&until=2026-02-01T00:00:01", ["policy.change"]),
        ("since=0001-01-01T00:00:00%2B14:00&until=2026-01-16", ["member.add"]),
        ("since=2026-03-01&until=9999-12-31", ["artifact.publish"]),
    ],
)
def test_filter_leaves_events_of_its_kind_and_time(channel: Channel, olga: User, query: str, found: list[str]) -> None:
    record(Action.MEMBER_ADD, "2026-01-15", channel=channel)
    record(Action.POLICY_CHANGE, "2026-02-01", channel=channel)
    record(Action.ARTIFACT_PUBLISH, "2026-03-31", channel=channel)
    assert actions(by_session(olga), f"{DEMO}?{query}") == found


@pytest.mark.parametrize("query", ["kind=x", "since=x", "since=8", "until=2026-13-01"])
def test_filter_with_a_bad_value_is_refused(channel: Channel, olga: User, query: str) -> None:
    for path in (DEMO, f"{DEMO}/export", "account/activity"):
        assert code(by_session(olga).get(f"{path}?{query}")) == (400, "invalid_value")


def test_kinds_of_the_api_are_those_of_the_page() -> None:
    assert {"", *get_args(Kind)} == set(HUB_KINDS)
