"""Processes that are started here, and end with whoever started them. Knows no Django."""

import ctypes
import os
import signal
import subprocess  # nosec B404  # for its type; who uses it calls no shell
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

PR_SET_PDEATHSIG = 1

Process = subprocess.Popen[bytes]


def die_with_parent() -> None:
    """On Linux, have the kernel stop this process when its parent is killed; see prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_by_interrupt() -> None:
    """SIGTERM and Ctrl-C alike raise KeyboardInterrupt. Both are set: a shell starts background jobs without SIGINT."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def stop(processes: Iterable[Process], number: int, seconds: float) -> None:
    """Let each finish what it is at, and kill what does not within `seconds`; Ctrl-C meanwhile kills at once."""
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
