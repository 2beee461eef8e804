"""Fetches of packages in tests: in the threads of requests, or awaited."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from publishing.upstreams import cache, fetches

FETCHED_S = 10


def fetch_in_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch packages in the threads of their requests, with their transactions."""

    def start(work: Callable[[], None], turn: AbstractContextManager[object]) -> None:
        with turn:
            work()

    monkeypatch.setattr(fetches, "start", start)


def wait_for_fetches() -> None:
    """Wait until no fetch counts any more: its thread ends a moment after its requests."""
    ends_at = time.monotonic() + FETCHED_S
    while cache._fetching:
        assert time.monotonic() < ends_at
        time.sleep(0.01)
