"""bench/burst.py with few changes: effects of a burst, a killed worker and an emptied queue on another channel."""

from pathlib import Path

import pytest

from bench.burst import LIMIT_S, Burst, live
from hub.queue import queues
from tests.clients.conftest import Figure
from tests.live import live_hub

CHANGES = 1000
BOUND_S = 90
# The limits of the queue index and of the two other queues.
WAITING_MAX = queues.MAX_WAITING["index"] + 2 * queues.MOST_OF_OTHERS
HEALED_S = 60


def burst_of(tmp_path: Path, figure: Figure, **options: bool) -> Burst:
    with live_hub(tmp_path) as hub:
        burst = live(hub, tmp_path, changes=CHANGES, bound_s=BOUND_S, **options)
    for number, line in enumerate(burst.lines()):
        figure(f"line {number}", line)
    return burst


@pytest.mark.parametrize("is_stopped", [False, True])
def test_burst_leaves_few_jobs_and_another_channel_its_turns(tmp_path: Path, figure: Figure, is_stopped: bool) -> None:
    burst = burst_of(tmp_path, figure, is_stopped=is_stopped)
    assert burst.waiting_max <= WAITING_MAX
    assert burst.took_s < BOUND_S
    assert max(max(seconds) for seconds in burst.seconds.values()) < HEALED_S / 2


def test_burst_with_killed_workers_and_emptied_queues_is_healed(tmp_path: Path, figure: Figure) -> None:
    assert LIMIT_S > HEALED_S
    burst = burst_of(tmp_path, figure, is_killing=True)
    assert burst.kills >= 1
    assert max(max(seconds) for seconds in burst.seconds.values()) < HEALED_S
