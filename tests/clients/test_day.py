"""bench/day.py for 25 seconds: readers and uploaders, while workers are killed and web processes replaced."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.day import Plan, live
from tests.clients.conftest import Figure
from tests.live import LiveHub
from tests.stack import DELIVERY, client_hub

pytestmark = pytest.mark.skipif(not DELIVERY, reason="only the whole stack has two web processes")
PLAN = Plan(seconds=35, readers=8, uploaders=2, pace_s=0.5)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    with client_hub(tmp_path / "hub") as hub:
        yield hub


def test_simulated_day_loses_no_upload_and_every_retry_succeeds(hub: LiveHub, tmp_path: Path, figure: Figure) -> None:
    day = live(hub, PLAN, tmp_path)
    uploads = [life for life in day.notes.lives.values() if life.uploaded]
    figure("uploads", len(uploads))
    figure("tried again", sum(day.notes.retries.values()))
    assert day.faults["workers killed"] >= 2
    assert day.faults["web processes replaced"] >= 1
    assert len(uploads) >= 10
    assert day.notes.errors == []
    assert day.verdict.wrong() == {}
