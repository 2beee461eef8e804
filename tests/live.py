"""A real hub for tests: `manage.py runhub` as a process with its own data, database and queue."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
from redis import Redis

from deploy.local import free_port
from tests import environment, issued_secrets

ROOT = Path(__file__).parent.parent
MANAGE = (sys.executable, str(ROOT / "manage.py"))
READY_S = 300
STOP_S = 180
REDIS_DATABASES = 64
# Variables that a hub reads: a live hub gets them from its test only.
HUB_VARIABLES = ("HUB_", "AWS_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY")
# Stops the hub when this process ends in any way: the standard input of the guard closes.
GUARD = ("sh", "-c", 'read -r _; kill "$0"')


class LiveHub:
    """A hub on 127.0.0.1. It can be stopped or killed and started again with the same data."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = int(settings.setdefault("HUB_PORT", str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self.inherited = {name: value for name, value in os.environ.items() if not name.startswith(HUB_VARIABLES)}
        self.settings = {"HUB_TUF_URL": ""} | settings
        self._log = data_dir.with_name(f"{data_dir.name}.log")

    @property
    def environment(self) -> dict[str, str]:
        return self.inherited | {"HUB_DATA_DIR": str(self.data_dir)} | self.settings

    def start(self) -> float:
        """Start the hub and return the seconds until it was ready."""
        begun = time.monotonic()
        self.process = self.spawn()
        self._guard = subprocess.Popen([*GUARD, str(self.process.pid)], stdin=subprocess.PIPE, start_new_session=True)
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > begun + READY_S:
                self.stop()
                raise RuntimeError(f"The hub did not start:\n{self.log()}")
            time.sleep(0.05)
        return time.monotonic() - begun

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting."""
        return self.logged([*MANAGE, "runhub"], self.environment)

    def logged(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a process with its output in the log. It has its own session, so that Ctrl-C reaches only the tests."""
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

    def is_ready(self) -> bool:
        try:
            urlopen(f"{self.url}/healthz", timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the hub by a signal and return its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        finally:
            self._guard.kill()
            self._guard.communicate()
            issued_secrets.note_log(self.log())

    def kill(self) -> None:
        """Kill the hub and all of its processes at once, like a power cut."""
        for pid in [self.process.pid, *self.parts()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()

    def restart(self, **settings: str) -> float:
        """Kill the hub and start it with the same data and changed settings. Return the seconds until it was ready."""
        self.kill()
        self.settings |= settings
        return self.start()

    def parts(self) -> dict[int, str]:
        """Return the running processes of the hub with their children, parents first: pid → command line."""
        processes, found = running(), {self.process.pid: ""}
        while more := {
            pid: command for pid, (parent, command) in processes.items() if parent in found and pid not in found
        }:
            found |= more
        del found[self.process.pid]
        return found

    def part(self, word: str) -> list[int]:
        """Return the pids of a part by a word of its command, such as gunicorn, worker or beat; the oldest first."""
        return [pid for pid, command in self.parts().items() if word in re.split("[ /]", command)]

    def manage(self, *arguments: str) -> str:
        """Return the output of `manage.py …` with this hub's data."""
        done = subprocess.run([*MANAGE, *arguments], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stderr}")
        return done.stdout.strip()

    def shell(self, code: str) -> Any:
        """Run `code` with all models imported. Return the value of its variable `answer`, passed as JSON."""
        code = f"import json\nanswer = None\n{code}\nprint(json.dumps(answer))"
        return json.loads(self.manage("shell", "--verbosity", "0", "--command", code))

    def stored(self, folder: str) -> dict[str, bytes]:
        """Return the objects of the store below `folder`, read without the hub: name → bytes."""
        code = "from base64 import b64encode\nfrom hub.storage import store\n"
        code += f"found = {{key: b''.join(store().open(key)) for key in store().list({folder!r})}}\n"
        code += "answer = {key: b64encode(content).decode() for key, content in found.items()}"
        found = self.shell(code)
        return {key.removeprefix(folder): b64decode(content) for key, content in found.items()}

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@contextmanager
def live_hub(folder: Path, **settings: str) -> Iterator[LiveHub]:
    """Run a hub with its data and log in `folder`. Its tables exist before the first start."""
    with own_services() as services:
        hub = LiveHub(folder / "data", **services, **settings)
        if "DATABASE_URL" not in hub.settings:
            hub.data_dir.mkdir()
            shutil.copy(tables_of_sqlite(), hub.data_dir)
        hub.start()
        try:
            yield hub
        finally:
            hub.kill()


@contextmanager
def own_services() -> Iterator[dict[str, str]]:
    """Return variables of an own PostgreSQL and Redis database if DATABASE_URL and REDIS_URL are set."""
    with ExitStack() as stack:
        services = {}
        if os.environ.get("DATABASE_URL", "").startswith("postgres"):
            services["DATABASE_URL"] = stack.enter_context(_new_database(os.environ["DATABASE_URL"]))
        if os.environ.get("REDIS_URL"):
            services["REDIS_URL"] = stack.enter_context(_unused_redis(os.environ["REDIS_URL"]))
        yield services


@cache
def tables_of_sqlite() -> Path:
    """Return a file with empty tables. Migrations take seconds, so they run once per process."""
    maker = LiveHub(Path(environment.folder) / "tables")
    maker.manage("migrate")
    return maker.data_dir / "hub.sqlite3"


@cache
def _tables_of_postgresql(url: str) -> str:
    """Return a database with empty tables on the server at `url`."""
    name = f"channelhub_tables_{os.getpid()}"
    server = urlsplit(url)
    with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    own = server._replace(path=f"/{name}").geturl()
    LiveHub(Path(environment.folder) / "tables", DATABASE_URL=own).manage("migrate")
    return name


def running(pids: Iterable[int] | None = None) -> dict[int, tuple[int, str]]:
    """Return the running processes of this machine, or those of `pids`: pid → parent's pid and command line."""
    lines = subprocess.check_output(["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="], text=True).splitlines()
    rows = [line.split(maxsplit=3) for line in lines]
    wanted = None if pids is None else set(pids)
    return {
        int(pid): (int(parent), " ".join(command))
        for pid, parent, state, *command in rows
        if not state.startswith("Z") and (wanted is None or int(pid) in wanted)
    }


@contextmanager
def _new_database(url: str) -> Iterator[str]:
    """Create a database with all tables on the PostgreSQL server at `url` and return its URL."""
    name = f"channelhub_live_{secrets.token_hex(6)}"
    server = urlsplit(url)
    with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_tables_of_postgresql(url)}")
        try:
            yield server._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _unused_redis(url: str) -> Iterator[str]:
    """Return an empty database of the Redis server at `url`, never the first.

    It is marked as taken until it is emptied.
    """
    for number in range(1, REDIS_DATABASES):
        own = urlsplit(url)._replace(path=f"/{number}").geturl()
        with Redis.from_url(own) as database:
            if not database.dbsize() and database.set("taken by a live hub of the tests", "1", nx=True):
                try:
                    yield own
                finally:
                    database.flushdb()
                return
    raise RuntimeError(f"All {REDIS_DATABASES} databases of the Redis server are in use; expected an empty one.")
