"""Tests of the page of the hub's activity, and of the links to exports."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.audit.descriptions import ACTIONS, HUB_KINDS
from channels_app.models import AuditEvent, Channel, User
from tests.builders import make_channel, make_user
from tests.pages import Response, signed_in, text

pytestmark = pytest.mark.django_db

PAGE = "/status/activity"


@pytest.fixture
def administrator() -> Client:
    return signed_in(make_user("admin", is_superuser=True))


def export_filters(client: Client, query: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(f"?{client.get(f'{PAGE}?{query}').context['filters']}").query)


def test_page_has_events_of_channels_and_accounts(administrator: Client, channel: Channel, olga: User) -> None:
    log.record(Action.MEMBER_ADD, target="max", by=Actor(user=olga), channel=channel, detail={"role": "viewer"})
    log.record(Action.CHANNEL_CREATE, target="demo", by=Actor(user=olga), channel=channel)
    log.record(Action.ACCOUNT_PASSWORD, target="olga", by=Actor(user=olga))
    page = text(administrator.get(PAGE))
    assert "Channel demo" in page
    assert "created the channel" in page
    assert "changed the password" in page


@pytest.mark.parametrize("query", ["kind=teams", "since=2999-01-01", "until=2000-01-01"])
def test_page_shows_only_events_of_the_filter(administrator: Client, channel: Channel, query: str) -> None:
    log.record(Action.POLICY_CHANGE, target="demo", channel=channel)
    assert administrator.get(PAGE).context["entries"]
    assert administrator.get(f"{PAGE}?{query}").context["entries"] == []


def test_last_day_is_part_of_the_period(administrator: Client, channel: Channel) -> None:
    log.record(Action.POLICY_CHANGE, target="demo", channel=channel)
    AuditEvent.objects.update(created_at="2026-02-01T23:59:59Z")
    assert administrator.get(f"{PAGE}?since=2026-02-01&until=2026-02-01").context["entries"]


def test_export_of_the_page_has_its_filters(administrator: Client, channel: Channel) -> None:
    log.record(Action.POLICY_CHANGE, target="demo", channel=channel)
    AuditEvent.objects.update(created_at="2026-02-01T23:59:59Z")
    query = "kind=settings&since=2026-02-01&until=2026-02-01"
    found = export_filters(administrator, query)
    assert found == {"kind": ["settings"], "since": ["2026-02-01T00:00:00Z"], "until": ["2026-02-02T00:00:00Z"]}
    filters = administrator.get(f"{PAGE}?{query}").context["filters"]
    exported: Response = administrator.get(f"/api/v1/activity/export?format=jsonl&{filters}")
    assert b"policy.change" in b"".join(exported.streaming_content)


@pytest.mark.parametrize("query", ["kind=x", "since=x", "since=0001-01-01", "until=9999-12-31", "page=x"])
def test_invalid_filter_is_ignored(administrator: Client, channel: Channel, query: str) -> None:
    log.record(Action.POLICY_CHANGE, target="demo", channel=channel)
    assert len(administrator.get(f"{PAGE}?{query}").context["entries"]) == 1
    assert export_filters(administrator, query) == {}


def test_page_is_hidden_from_others(channel: Channel, olga: User) -> None:
    assert signed_in(olga).get(PAGE).status_code == 404
    assert PAGE not in text(signed_in(olga).get("/"))
    assert Client().get(PAGE).status_code == 302


def test_page_is_linked_for_administrators(administrator: Client) -> None:
    for path in ("/", "/status"):
        assert f'href="{PAGE}"' in text(administrator.get(path))


def test_page_needs_as_many_queries_for_many_events(
    administrator: Client, olga: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        log.record(Action.POLICY_CHANGE, target="x", by=Actor(user=olga), channel=make_channel(f"channel-{number}"))
    with django_assert_max_num_queries(8):
        assert len(administrator.get(PAGE).context["entries"]) == 20


def test_pages_of_a_channel_and_an_account_link_their_exports(channel: Channel, olga: User) -> None:
    log.record(Action.POLICY_CHANGE, target="demo", by=Actor(user=olga), channel=channel)
    log.record(Action.ACCOUNT_PASSWORD, target="olga", by=Actor(user=olga))
    browser = signed_in(olga)
    for path, link in (
        (
            "/channels/demo/settings/activity?kind=settings",
            "/channels/demo/activity/export?format=csv&amp;kind=settings",
        ),
        ("/account/activity", "/account/activity/export?format=csv"),
    ):
        assert f'href="/api/v1{link}"' in text(browser.get(path))


def test_every_action_is_of_a_kind() -> None:
    prefixes = tuple(prefix for _, found in HUB_KINDS.values() for prefix in found)
    assert [action for action in ACTIONS if not action.startswith(prefixes)] == []
