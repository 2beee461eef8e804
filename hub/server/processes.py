"""Child processes that end with their parent. This module does not import Django."""

import ctypes
import os
import signal
import subprocess  # nosec B404  # for its type and error; callers use no shell
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing.context import ForkProcess
from multiprocessing.process import BaseProcess

from hub.server.atexit_internals import run_exit_functions

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15


class LikePopen(BaseProcess):
    """A process of multiprocessing with the methods of `Popen` that `stop` calls. At its end it runs `atexit`."""

    def run(self) -> None:
        try:
            super().run()
        finally:
            # multiprocessing leaves them out before Python 3.14.
            run_exit_functions()

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raise subprocess.TimeoutExpired after `timeout` seconds."""
        self.join(timeout)
        if self.exitcode is None:
            raise subprocess.TimeoutExpired(self.name, timeout or 0)
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send the signal `number`, unless the process has ended."""
        if self.pid and self.exitcode is None:
            os.kill(self.pid, number)


class Fork(LikePopen, ForkProcess):
    """A copy of this process that runs `function`.

    It takes nearly no time to start and shares memory with its parent. The parent must have no threads or connections.
    """

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        super().__init__(target=function, name=name)
        self.parent_pid = os.getpid()
        self.made_at_s = time.monotonic()

    def run(self) -> None:
        """Run the function in a session of its own, so that Ctrl-C reaches the parent alone."""
        os.setsid()
        die_with_parent()
        if os.getppid() != self.parent_pid:
            # It ended before: Linux tells only of later ends.
            return
        _show_name(self.name)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        super().run()


Process = subprocess.Popen[bytes] | LikePopen


def die_with_parent() -> None:
    """Stop this process when its parent is killed (Linux only; see prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _show_name(name: str) -> None:
    """Let `ps -o comm` and `top` show the first 15 letters of `name` (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode())


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
        if process.pid and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
