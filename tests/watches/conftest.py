"""Fixtures: a channel that watches its prefix, and passes over it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from publishing.models import Watch
from publishing.watches import comparison, passes, watches

Passing = Callable[[], Watch]


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let passes take in files at once that were written just now."""
    monkeypatch.setattr(comparison, "SETTLED_AFTER", timedelta(0))
    monkeypatch.setattr(watches, "send", lambda *job: True)
    monkeypatch.setattr(passes, "send", lambda *job: True)


@pytest.fixture
def watched(channel: Channel, olga: User) -> Channel:
    """Return the channel demo, which watches its prefix."""
    watches.start(actor=Actor(user=olga), channel=channel)
    return channel


@pytest.fixture
def one_pass(watched: Channel) -> Passing:
    """Return a function that makes a pass over every watched channel, and returns the watch of demo."""

    def one_pass() -> Watch:
        passes.work()
        return watches.of(watched)

    return one_pass
