"""Fixtures of an upstream and of the channel that stands on it."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from channels_app.models import Channel, ChannelKind, User
from publishing.models import Upstream
from tests.builders import make_channel
from tests.upstreams.fake import FakeUpstream, running
from tests.upstreams.fetches_in_tests import fetch_in_requests


@pytest.fixture(autouse=True)
def _fetches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch in the request's own thread, unless the test commits: another thread would not see its rows."""
    mark = request.node.get_closest_marker("django_db")
    if mark and not mark.kwargs.get("transaction"):
        fetch_in_requests(monkeypatch)


@pytest.fixture
def forge(settings: Settings) -> Iterator[FakeUpstream]:
    """Return a running upstream, which the settings allow."""
    with running(FakeUpstream()) as upstream:
        settings.HUB_INTERNAL_HOSTS = [upstream.url.removeprefix("http://")]
        yield upstream


@pytest.fixture
def mirror(forge: FakeUpstream, olga: User) -> Channel:
    """Return a public channel of Olga that stands on the upstream."""
    channel = make_channel("mirror", owner=olga, is_private=False, kind=ChannelKind.UPSTREAM)
    Upstream.objects.create(channel=channel, url=forge.url, subdirs=["noarch"])
    return channel
