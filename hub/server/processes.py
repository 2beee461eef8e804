"""Child processes that end with their parent. This module does not import Django."""

import ctypes
import os
import signal
import subprocess  # nosec B404  # for its type; callers use no shell
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

PR_SET_PDEATHSIG = 1

Process = subprocess.Popen[bytes]


def die_with_parent() -> None:
    """Stop this process when its parent is killed (Linux only; see prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_by_interrupt() -> None:
    """Make SIGTERM and Ctrl-C raise KeyboardInterrupt. Both are set: a shell starts background jobs without SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def stop(processes: Iterable[Process], number: int, seconds: float) -> None:
    """Send the signal `number` to each process. Kill those that don't end within `seconds`, or at once on Ctrl-C."""
    processes = list(processes)
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        for process in processes:
            process.send_signal(number)
        deadline = time.monotonic() + seconds
        for process in processes:
            process.wait(max(0.0, deadline - time.monotonic()))
    for process in processes:
        if process.poll() is None:
            _kill(process)


def _kill(process: Process) -> None:
    """Kill it with its children, where it leads a group of its own: those of a killed parent would go on."""
    with suppress(ProcessLookupError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
