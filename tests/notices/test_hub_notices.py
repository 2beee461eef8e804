"""Notices of the hub: the banner of every page, the administrators' page and API, and notices.json."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from channels_app.access.permissions import Actor
from channels_app.models import AuditEvent, Channel, User
from hub.errors import HubError
from hub.storage import store
from publishing import housekeeping
from publishing.index import builds
from publishing.models import ChannelNotice, SubdirIndex
from publishing.notices import banner, notices
from publishing.verification import verification
from tests.builders import make_channel, make_user
from tests.pages import events, signed_in, text
from tests.rest.calls import by_key, by_session, code

pytestmark = pytest.mark.django_db
PAGE = "/status/notices"
MESSAGE = "The hub restarts at 18:00 UTC."


@pytest.fixture
def root() -> User:
    return make_user("root", is_superuser=True, is_staff=True)


@pytest.fixture(autouse=True)
def empty_cache(no_banner: None) -> None:
    banner.forget()


def add(root: User, **values: Any) -> ChannelNotice:
    given: dict[str, Any] = {"level": "warning", "message": MESSAGE, "expires_at": timezone.now() + timedelta(days=1)}
    return notices.add(actor=Actor(user=root), channel=None, **given | values)


def form(action: str = "save", **values: str) -> dict[str, str]:
    last_day = (timezone.now() + timedelta(days=3)).date().isoformat()
    return {"action": action, "level": "critical", "message": MESSAGE, "last_day": last_day} | values


def body(**values: Any) -> dict[str, Any]:
    return {"message": MESSAGE, "expires_at": (timezone.now() + timedelta(days=3)).isoformat()} | values


def served(channel: Channel) -> list[str]:
    builds.build_channel(channel)
    listed = json.loads(b"".join(store().open(f"{channel}/notices.json")))["notices"]
    return [each["message"] for each in listed]


@pytest.mark.parametrize(
    "path", ["/", "/channels", "/docs", "/docs/api", "/search", "/accounts/login/", "/channels/nothing"]
)
def test_banner_is_on_every_page_for_everybody(path: str, root: User) -> None:
    browser = Client(headers={"Accept": "text/html"})
    assert MESSAGE not in text(browser.get(path))
    add(root)
    banner.forget()
    assert MESSAGE in text(browser.get(path))


def test_banner_costs_no_query_while_it_is_cached(
    root: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    add(root)
    with django_assert_num_queries(1):
        assert [notice.message for notice in banner.shown()] == [MESSAGE]
        assert [notice.message for notice in banner.shown()] == [MESSAGE]


def test_expired_banner_is_gone_although_it_is_cached(root: User) -> None:
    notice = add(root)
    assert banner.shown()
    banner.shown()[0].expires_at = timezone.now()
    assert not banner.shown()
    ChannelNotice.objects.filter(pk=notice.pk).update(expires_at=timezone.now())
    housekeeping.remove_leftovers()
    assert not ChannelNotice.objects.exists()


def test_change_drops_the_cached_banner(
    root: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    assert not banner.shown()
    with django_capture_on_commit_callbacks(execute=True):
        add(root)
    assert banner.shown()


def test_page_previews_saves_changes_and_removes_a_notice(root: User) -> None:
    browser = signed_in(root)
    preview = text(browser.post(PAGE, form("preview")))
    assert MESSAGE in preview
    assert "[critical]" not in preview
    assert "[critical]" in text(browser.post(PAGE, form("preview", for_clients="on")))
    assert not ChannelNotice.objects.exists()
    assert browser.post(PAGE, form()).headers["Location"] == PAGE
    notice = ChannelNotice.objects.get()
    assert (notice.channel, notice.level, notice.for_clients) == (None, "critical", False)
    browser.post(f"{PAGE}?edit={notice.pk}", form(for_clients="on"))
    notice.refresh_from_db()
    assert notice.for_clients
    browser.post(PAGE, {"action": "remove", "notice": str(notice.pk)})
    assert not ChannelNotice.objects.exists()
    assert [event[0] for event in events()] == ["notice.add", "notice.change", "notice.remove"]
    assert not AuditEvent.objects.exclude(channel=None, actor=root).exists()


def test_page_is_for_administrators(olga: User) -> None:
    assert signed_in(olga).get(PAGE).status_code == 404
    assert signed_in(olga).post(PAGE, form()).status_code == 404
    assert Client().get(PAGE).status_code == 302
    with pytest.raises(HubError) as refusal:
        add(olga)
    assert refusal.value.code == "administrators_only"


def test_notice_for_clients_reaches_every_channel_until_it_changes(channel: Channel, root: User) -> None:
    other = make_channel("other")
    for each in (channel, other):
        builds.open_channel(each)
        assert served(each) == []
    notice = add(root, for_clients=True)
    assert served(channel) == served(other) == [MESSAGE]
    assert not verification.verify(channel).differences
    assert served(make_opened("new")) == [MESSAGE]
    notices.change(actor=Actor(user=root), notice=notice, for_clients=False)
    assert served(channel) == []
    notices.change(actor=Actor(user=root), notice=notice, for_clients=True)
    assert served(channel) == [MESSAGE]
    ChannelNotice.objects.update(expires_at=timezone.now())
    notices.delete_expired()
    assert served(channel) == []


def make_opened(name: str) -> Channel:
    channel = make_channel(name)
    builds.open_channel(channel)
    return channel


def test_notice_for_pages_builds_no_index(channel: Channel, root: User) -> None:
    builds.open_channel(channel)
    assert served(channel) == []
    add(root, for_clients=False)
    assert all(index.is_current for index in SubdirIndex.objects.all())
    assert served(channel) == []


def test_api_adds_lists_changes_and_removes_a_notice(channel: Channel, root: User) -> None:
    for caller in (by_session(root), by_key(root, "read", "manage")):
        added = caller.post("notices", body())
        assert (added.status_code, added.json()["for_clients"], added.json()["level"]) == (201, False, "info")
        path = added.headers["Location"].removeprefix("/api/v1/")
        assert caller.get("notices").json()["items"] == [caller.get(path).json()] == [added.json()]
        assert caller.patch(path, {"for_clients": True}).json()["for_clients"] is True
        assert caller.get("channels/demo/notices").json()["items"] == []
        assert caller.delete(path).status_code == 204
        assert code(caller.get(path)) == (404, "no_such_notice")


def test_api_is_for_administrators(olga: User, root: User) -> None:
    path = f"notices/{add(root).pk}"
    for caller in (by_session(olga), by_key(olga, "manage"), by_key(root, "read")):
        assert code(caller.get("notices")) == (403, "administrators_only")
        assert code(caller.post("notices", body())) == (403, "administrators_only")
        assert code(caller.patch(path, {"level": "info"})) == (403, "administrators_only")
        assert code(caller.delete(path)) == (403, "administrators_only")
    assert code(by_session(root).post("notices", body(message="\x1b[2J"))) == (422, "bad_notice")


def test_notice_of_a_channel_is_none_of_the_hub(channel: Channel, olga: User, root: User) -> None:
    expires_at = timezone.now() + timedelta(days=1)
    own = notices.add(actor=Actor(user=olga), channel=channel, level="info", message="Ours.", expires_at=expires_at)
    assert own.for_clients
    assert not banner.shown()
    assert code(by_session(root).get(f"notices/{own.pk}")) == (404, "no_such_notice")
