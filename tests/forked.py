"""Commands of manage.py in forks of one process that has loaded the libraries, which takes half of a command's time.

Each fork reads its own settings. Tests of a program's start run the program itself (`tables.MANAGE`).
"""

import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.db import connections

from hub.private_files import be_private
from hub.server import programs
from hub.server.processes import LikePopen
from hub.starting import without_collections

ROOT = Path(__file__).parent.parent
MANAGE = str(ROOT / "manage.py")
QUICK_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["tests.libraries", "tests.clients.reader"])


class Forked(LikePopen, ForkServerProcess):
    """A process that calls `function` with these variables as its whole environment, and appends its output to files.

    It leads a session of its own, so that Ctrl-C reaches only the tests.
    """

    def __init__(
        self, function: Callable[..., Any], *arguments: Any, environment: dict[str, str], output: Path, errors: Path
    ) -> None:
        super().__init__(target=function, args=arguments)
        self.environment, self.files = environment, (output, errors)

    def run(self) -> None:
        os.setsid()
        os.chdir(ROOT)
        os.environ.clear()
        os.environ.update(self.environment)
        for descriptor, path in enumerate(self.files, start=1):
            with path.open("ab") as file:
                os.dup2(file.fileno(), descriptor)
        super().run()


def manage(*arguments: str) -> None:
    """Run `manage.py …` in this process, as its only program."""
    sys.argv = [MANAGE, *arguments]
    runpy.run_path(MANAGE, run_name="__main__")


def run_manage(
    *arguments: str, environment: dict[str, str], timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `manage.py …` in a fork until it ends. Raise subprocess.TimeoutExpired."""
    return run_forked(manage, *arguments, environment=environment, timeout_s=timeout_s)


def run_forked(
    function: Callable[..., Any], *arguments: Any, environment: dict[str, str], timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Call a function in a fork, which is killed at a timeout. Return its exit code and output.

    Raise subprocess.TimeoutExpired.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("output", "errors")]
        process = Forked(function, *arguments, environment=environment, output=files[0], errors=files[1])
        process.start()
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, code, *[file.read_text() for file in files])


def run_hub(requests: Connection) -> None:
    """Run `manage.py runhub`, and `answer` in a process that is no part of the hub but has loaded the same code."""
    set_up()
    programs.load()
    if not os.fork():
        if not os.fork():
            answer(requests)
        os._exit(0)
    os.wait()
    requests.close()
    execute_from_command_line([MANAGE, "runhub"])


def serve(requests: Connection) -> None:
    """Set Django up, and `answer`."""
    set_up()
    answer(requests)


def answer(requests: Connection) -> None:
    """Answer each list of words with `(exit code, output, errors)` of this command, until the other end is closed."""
    while words := received(requests):
        requests.send(run_command(words))
        connections.close_all()


def set_up() -> None:
    """Set Django up as manage.py does. Passwords are hashed by MD5, as in all tests."""
    be_private()
    os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
    with without_collections():
        django.setup()
    settings.PASSWORD_HASHERS = QUICK_HASHERS


def received(requests: Connection) -> list[str]:
    try:
        words: list[str] = requests.recv()
    except EOFError:
        return []
    return words


def run_command(words: list[str]) -> tuple[int, str, str]:
    """Return the exit code, the output and the errors of a command that runs in this process."""
    output, errors, code = StringIO(), StringIO(), 0
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            execute_from_command_line([MANAGE, *words])
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:  # noqa: BLE001  a test wants the trace
            traceback.print_exc()
            code = 1
    return code, output.getvalue(), errors.getvalue()
