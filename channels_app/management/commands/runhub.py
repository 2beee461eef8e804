"""`manage.py runhub` runs web, worker and beat together, for one machine. `make run` starts it.

In production the three programs are started separately; here they are forks of one process, which has loaded the code
of all. A process that exits is restarted; Ctrl-C or SIGTERM stops all.
"""

import errno
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.management.base import CommandError

from hub import commands, temporary
from hub.server import programs
from hub.server.processes import Fork, end_by_interrupt, stop

ADDRESS = f"{settings.HUB_HOST}:{settings.HUB_PORT}"
PARTS = {"web": programs.web(ADDRESS), "worker": programs.worker(), "beat": programs.BEAT}
READY_S = 120
# Longer than the web server's own deadline for open requests.
STOP_S = settings.HUB_SHUTDOWN_S + 5
LOOK_S = 0.2
# Between two starts of a program: one that fails at each start would fill the log, and leave others no processor.
RESTART_S = 2
ADVICE = {
    errno.EADDRINUSE: "Is a hub running already? Stop it, or choose another port with HUB_PORT.",
    errno.EACCES: "Choose a port above 1023 with HUB_PORT.",
}
STOPPING = (
    f"Stopping. Uploads, downloads and jobs under way have up to {settings.HUB_SHUTDOWN_S} seconds to end. "
    "Press Ctrl-C again to stop at once."
)
READY = """Next: sign in, make a channel and a key; {url}/docs/first-steps shows how. Ctrl-C stops the hub.
Channelhub is ready at {url}{listens}"""


class Command(commands.Command):
    help = "Run the whole hub on this machine: web, worker and beat."

    def handle(self, **options: Any) -> None:
        check_port()
        with folder_lock(settings.HUB_DATA_DIR):
            temporary.remove_orphans(settings.UPLOAD_DIR)
            self.run()

    def run(self) -> None:
        """Run the programs until Ctrl-C or SIGTERM."""
        parts: dict[str, Fork] = {}
        end_by_interrupt()
        try:
            self.start(parts)
            while True:
                time.sleep(LOOK_S)
                for name in start_stopped(parts):
                    self.stderr.write(f"The {name} stopped by itself; it was started again.")
        except KeyboardInterrupt:
            self.stdout.write(STOPPING)
        finally:
            stop(parts.values(), signal.SIGTERM, STOP_S)

    def start(self, parts: dict[str, Fork]) -> None:
        """Start the programs. Print the administrator's password as the last line, also when the start fails."""
        # By lines, so that a preparation that is stopped leaves no unknown password.
        with TemporaryFile("w+", buffering=1) as administrator:
            # A fork, so that this process never has a connection or a thread, which later forks would share.
            preparation = Fork("preparehub", partial(prepare, administrator))
            preparation.start()
            # The programs run long and need no password.
            os.register_at_fork(after_in_child=administrator.close)
            try:
                programs.load()
                if code := preparation.wait():
                    sys.exit(code)
                start_stopped(parts)
                wait_until_ready(parts)
                listens = "" if urlsplit(settings.HUB_PUBLIC_URL).netloc == ADDRESS else f", listening on {ADDRESS}"
                self.stdout.write(READY.format(url=settings.HUB_PUBLIC_URL, listens=listens))
            finally:
                stop([preparation], signal.SIGTERM, STOP_S)
                administrator.seek(0)
                self.stdout.write(administrator.read(), ending="")


def prepare(output: IO[str]) -> None:
    """Run `preparehub` with its output written to `output`."""
    with output, redirect_stdout(output):
        execute_from_command_line([sys.argv[0], "preparehub", "--verbosity", "0"])


def check_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HUB_HOST, settings.HUB_PORT))
        except OSError as error:
            advice = ADVICE.get(error.errno or 0, "HUB_HOST must be an address of this machine.")
            raise CommandError(f"{ADDRESS} can't be used: {error.strerror}. {advice}") from None


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the data folder's lock until the process ends. Raise CommandError if another hub holds it.

    Two hubs would share one database and one queue.
    """
    with (folder / "runhub.lock").open("w") as file:
        os.register_at_fork(after_in_child=file.close)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"A hub is running on the data in {folder}. Stop it, or choose another folder with HUB_DATA_DIR."
            ) from None
        yield


def start_stopped(parts: dict[str, Fork]) -> list[str]:
    """Start every program that is not running; return the names of those that had stopped.

    A program that was started within RESTART_S waits for its turn.
    """
    latest_s = time.monotonic() - RESTART_S
    stopped = [name for name, part in parts.items() if part.poll() is not None and part.made_at_s < latest_s]
    for name, command in PARTS.items():
        if name not in parts or name in stopped:
            part = Fork(f"{command[0]} {name}", partial(programs.run, command))
            part.start()
            parts[name] = part
    return stopped


def wait_until_ready(parts: dict[str, Fork]) -> None:
    deadline = time.monotonic() + READY_S
    host = "127.0.0.1" if settings.HUB_HOST == settings.EVERY_ADDRESS else settings.HUB_HOST
    while time.monotonic() < deadline:
        for name, part in parts.items():
            if part.poll() is not None:
                raise CommandError(f"The {name} could not be started (exit code {part.poll()}); see above.")
        if answers(host):
            return
        time.sleep(LOOK_S / 4)
    raise CommandError(f"The hub did not answer within {READY_S} seconds.")


def answers(host: str) -> bool:
    """Tell whether the hub answers at `host`. The request goes through no proxy."""
    connection = HTTPConnection(host, settings.HUB_PORT, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except (HTTPException, OSError):
        return False
    finally:
        connection.close()
