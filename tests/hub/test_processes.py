import atexit
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from hub.server.processes import Fork, stop

PATIENCE_S = 30


def write_at_exit(path: Path) -> None:
    atexit.register(path.write_text, "done")
    raise SystemExit(3)


def sleep_on(path: Path) -> None:
    path.write_text(f"{os.getsid(0)}")
    time.sleep(PATIENCE_S)


def sleeping(path: Path) -> Fork:
    """Return a fork that has a session of its own and sleeps."""
    fork = Fork("sleeper", partial(sleep_on, path))
    fork.start()
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    assert path.read_text() == f"{fork.pid}"
    return fork


def test_fork_that_ends_runs_its_exit_functions_and_returns_its_code(tmp_path: Path) -> None:
    fork = Fork("short", partial(write_at_exit, tmp_path / "file"))
    fork.start()
    assert fork.wait(PATIENCE_S) == fork.poll() == 3
    assert (tmp_path / "file").read_text() == "done"
    fork.send_signal(signal.SIGTERM)


def test_fork_that_runs_is_ended_by_a_signal(tmp_path: Path) -> None:
    fork = sleeping(tmp_path / "file")
    assert fork.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0.01)
    fork.send_signal(signal.SIGTERM)
    assert fork.wait(PATIENCE_S) == -signal.SIGTERM


def test_fork_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    fork = sleeping(tmp_path / "file")
    stop([fork], signal.SIGCONT, seconds=0.1)
    assert fork.wait(PATIENCE_S) == -signal.SIGKILL


def test_fork_of_a_killed_parent_ends_before_its_function(tmp_path: Path) -> None:
    fork = Fork("late", partial((tmp_path / "file").write_text, "done"))
    fork.parent_pid = 0
    fork.start()
    assert fork.wait(PATIENCE_S) == 0
    assert not (tmp_path / "file").exists()
