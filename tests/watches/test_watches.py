"""The watch of a channel by its page and the REST API: who turns it on and off, and what they see."""

from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape
from pytest_django import Settings

from channels_app.models import AuditEvent, Channel, ChannelKind, Role, User
from hub.storage import store
from publishing.models import Watch
from publishing.watches import passes
from tests.archives import make_conda
from tests.builders import make_channel, make_member
from tests.pages import signed_in, text

API, PAGE = "/api/v1/channels/demo/watch", "/channels/demo/settings/watch"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def test_owner_turns_the_watch_on_and_off(owner: Client) -> None:
    assert owner.get(API).json()["code"] == "no_watch"
    assert (owner.put(API).status_code, owner.put(API).json()["created_by"]) == (200, "olga")
    assert (owner.delete(API).status_code, owner.delete(API).json()["code"]) == (204, "no_watch")
    events = AuditEvent.objects.filter(action="watch.change").order_by("pk")
    assert [event.target for event in events] == ["on", "off"]


def test_refused_files_are_listed_with_their_reasons(owner: Client) -> None:
    owner.put(API)
    store().put("demo/noarch/bad-1.0-0.conda", b"bad")
    passes.work()
    (refused,) = owner.get(f"{API}/refused").json()["items"]
    assert (refused["file_name"], refused["code"], refused["size_bytes"]) == ("bad-1.0-0.conda", "bad_package", 3)
    assert owner.get(API).json()["refused_files"] == 1
    assert "bad-1.0-0.conda was refused: the file is no .conda package" in owner.get(PAGE).content.decode()
    assert owner.post(f"{API}/retry").status_code == 202
    assert owner.get(f"{API}/refused").json()["items"] == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("noarch/Tool.conda", "Tool.conda was refused: the file name 'Tool.conda' is not of the form"),
        ("noarch/tool-2.0-0.conda", "rename it to 'tool-1.0-0.conda'"),
        ("linux-64/tool-1.0-0.conda", "Its path should be noarch/tool-1.0-0.conda; move it there."),
    ],
)
def test_misplaced_file_is_refused_with_the_remedy(owner: Client, tmp_path: Path, path: str, reason: str) -> None:
    owner.put(API)
    store().put(f"demo/{path}", make_conda(tmp_path, name="tool"))
    passes.work()
    assert escape(reason) in text(owner.get(PAGE))


def test_page_tells_where_to_put_files_whether_the_watch_is_on_or_off(owner: Client) -> None:
    assert "such as in <code>demo/noarch/</code>" in text(owner.get(PAGE))
    owner.put(API)
    assert "such as in <code>demo/noarch/</code>" in text(owner.get(PAGE))


def test_page_turns_the_watch_on_and_off_for_owners_alone(owner: Client, channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    maintainer = signed_in(max_)
    assert (maintainer.get(PAGE).status_code, maintainer.post(PAGE, {"action": "start"}).status_code) == (200, 403)
    for action, is_on in (("start", True), ("retry", True), ("stop", False), ("stop", False)):
        assert owner.post(PAGE, {"action": action}).status_code == 302
        assert Watch.objects.exists() == is_on


def test_channel_that_takes_no_uploads_by_the_hub_cannot_watch(owner: Client) -> None:
    Channel.objects.update(only_trusted_publishers=True)
    assert owner.put(API).json()["code"] == "trusted_publishers_only"
    Channel.objects.update(only_trusted_publishers=False, kind=ChannelKind.VIRTUAL)
    assert owner.put(API).json()["code"] == "channel_takes_no_uploads"


def test_operator_limits_the_number_of_watched_channels(owner: Client, olga: User, settings: Settings) -> None:
    settings.HUB_WATCHED_CHANNELS = 1
    make_channel("other", owner=olga)
    assert owner.put(API).status_code == 200
    assert owner.put("/api/v1/channels/other/watch").json()["code"] == "watches_limit"


def test_refused_files_cost_a_page_no_further_queries(owner: Client) -> None:
    owner.put(API)
    watch = Watch.objects.get()
    for name in ("a", "b", "c"):
        watch.refused.create(subdir="noarch", file_name=name, size_bytes=1, version="1", code="x", reason="y")
    first = _queries(owner)
    watch.refused.filter(file_name="a").delete()
    assert _queries(owner) == first


def _queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as found:
        client.get(PAGE)
    return len(found)
