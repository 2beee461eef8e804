"""`manage.py runhub`: web, worker and beat together, for one machine; what `make run` starts.

Production starts the same three programs one by one. A part that dies is started again; Ctrl-C or SIGTERM stops all.
"""

import ctypes
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from channels_app.models import User

HOST = "127.0.0.1"
CELERY = ["celery", "--app", "hub", "--quiet"]
PARTS = {
    "web": ["gunicorn", "--config", "python:hub.gunicorn_conf", "--bind", f"{HOST}:{settings.HUB_PORT}", "hub.wsgi"],
    "worker": [
        *CELERY, "worker", "--pool", "threads", "--concurrency", "4", "--loglevel", "warning",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ],
    "beat": [*CELERY, "beat", "--scheduler", "celery.beat:Scheduler", "--loglevel", "warning", "--pidfile", ""],
}  # fmt: skip
READY_S = 30
STOP_S = 20
LOOK_S = 0.2
PR_SET_PDEATHSIG = 1


class Command(BaseCommand):
    help = "Run the whole hub on this machine: web, worker and beat."

    def handle(self, **options: Any) -> None:
        check_port()
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            raise CommandError(f"The database can't be used: {str(error).splitlines()[0]}") from None
        self.make_administrator()
        # Both, since a shell starts its background jobs with SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        parts: dict[str, subprocess.Popen[bytes]] = {}
        try:
            keep_running(parts)
            wait_until_ready(parts)
            self.stdout.write(f"Channelhub is ready at {settings.HUB_PUBLIC_URL} (Ctrl-C stops it).")
            while True:
                time.sleep(LOOK_S)
                for name in keep_running(parts):
                    self.stderr.write(f"The {name} stopped by itself; it was started again.")
        except KeyboardInterrupt:
            self.stdout.write("Stopping.")
        finally:
            stop(parts)

    def make_administrator(self) -> None:
        """At the first start: the administrator, from the settings or with a password that is printed this once."""
        if User.objects.exists():
            return
        password = settings.HUB_ADMIN_PASSWORD or secrets.token_urlsafe(12)
        User.objects.create_superuser(settings.HUB_ADMIN_USERNAME, password=password)
        shown = "from HUB_ADMIN_PASSWORD" if settings.HUB_ADMIN_PASSWORD else f"{password} (shown this once)"
        self.stdout.write(f"Administrator: {settings.HUB_ADMIN_USERNAME}, password: {shown}")


def check_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, settings.HUB_PORT))
        except OSError as error:
            raise CommandError(
                f"Port {settings.HUB_PORT} can't be used: {error.strerror}. Is a hub running already? "
                "Stop it, or choose another port with HUB_PORT."
            ) from None


def keep_running(parts: dict[str, subprocess.Popen[bytes]]) -> list[str]:
    """Start every part that is not running; returns the names of those that had stopped."""
    stopped = [name for name, part in parts.items() if part.poll() is not None]
    for name, command in PARTS.items():
        if name not in parts or name in stopped:
            parts[name] = start(command)
    return stopped


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start one part in a session of its own, so that Ctrl-C reaches it by way of `stop` alone, and only once."""
    program = Path(sys.executable).with_name(command[0])
    return subprocess.Popen(
        [program, *command[1:]], cwd=settings.BASE_DIR, start_new_session=True, preexec_fn=die_with_parent
    )


def die_with_parent() -> None:
    """On Linux, have the kernel stop this part when the hub itself is killed; see prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_until_ready(parts: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        for name, part in parts.items():
            if part.poll() is not None:
                raise CommandError(f"The {name} could not be started (exit code {part.returncode}); see above.")
        try:
            urlopen(f"http://{HOST}:{settings.HUB_PORT}/healthz", timeout=1).close()
        except (URLError, OSError):
            time.sleep(LOOK_S / 4)
        else:
            return
    raise CommandError(f"The hub did not answer within {READY_S} seconds.")


def stop(parts: dict[str, subprocess.Popen[bytes]]) -> None:
    """Let every part finish what it is at, and kill what does not within 20 seconds."""
    for part in parts.values():
        part.terminate()
    deadline = time.monotonic() + STOP_S
    for part in parts.values():
        try:
            part.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            part.kill()
