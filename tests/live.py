"""A real hub for tests: `manage.py runhub` as a process of its own, with its own data, database and queue."""

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
# What a hub reads from its environment: a live hub gets it from its test alone.
HUB_VARIABLES = ("HUB_", "AWS_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY")
# Stops the hub when this process ends, however that ends: the guard's standard input closes.
GUARD = ("sh", "-c", 'read -r _; kill "$0"')


class LiveHub:
    """A hub on 127.0.0.1. It may be stopped or killed and started again: its data stay."""

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
        """Start the hub; returns the seconds until it was ready."""
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
        """The process alone."""
        return self.logged([*MANAGE, "runhub"], self.environment)

    def logged(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """A process whose output is in the log. A session of its own: the terminal's Ctrl-C is for the tests."""
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

    def is_ready(self) -> bool:
        try:
            urlopen(f"{self.url}/healthz", timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the hub by a signal; returns its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        finally:
            self._guard.kill()
            self._guard.communicate()
            issued_secrets.note_log(self.log())

    def kill(self) -> None:
        """End the hub and all of its parts at once, as a power cut would."""
        for pid in [self.process.pid, *self.parts()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()

    def restart(self, **settings: str) -> float:
        """Kill the hub and start it on the same data, with some settings changed; returns the seconds until ready."""
        self.kill()
        self.settings |= settings
        return self.start()

    def parts(self) -> dict[int, str]:
        """The living processes that the hub has started, theirs included, parents first: pid → command line."""
        processes, found = running(), {self.process.pid: ""}
        while more := {
            pid: command for pid, (parent, command) in processes.items() if parent in found and pid not in found
        }:
            found |= more
        del found[self.process.pid]
        return found

    def part(self, word: str) -> list[int]:
        """The pids of a part by a word of its command line, such as gunicorn, worker or beat; the eldest first."""
        return [pid for pid, command in self.parts().items() if word in re.split("[ /]", command)]

    def manage(self, *arguments: str) -> str:
        """What `manage.py …` prints, on this hub's data."""
        done = subprocess.run([*MANAGE, *arguments], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stderr}")
        return done.stdout.strip()

    def shell(self, code: str) -> Any:
        """Run `code` with every model imported; returns what it left in `answer`, by way of JSON."""
        code = f"import json\nanswer = None\n{code}\nprint(json.dumps(answer))"
        return json.loads(self.manage("shell", "--verbosity", "0", "--command", code))

    def stored(self, folder: str) -> dict[str, bytes]:
        """What lies in the store, around the hub, whose keys begin with `folder`: name → bytes."""
        code = "from base64 import b64encode\nfrom hub.storage import store\n"
        code += f"found = {{key: b''.join(store().open(key)) for key in store().list({folder!r})}}\n"
        code += "answer = {key: b64encode(content).decode() for key, content in found.items()}"
        found = self.shell(code)
        return {key.removeprefix(folder): b64decode(content) for key, content in found.items()}

    def log(self) -> str:
        return self._log.read_text(errors="replace")


@contextmanager
def live_hub(folder: Path, **settings: str) -> Iterator[LiveHub]:
    """A running hub; its data and its log are in `folder`. Its tables are there before its first start."""
    with own_services() as services:
        hub = LiveHub(folder / "data", **services, **settings)
        if "DATABASE_URL" not in hub.settings:
            hub.data_dir.mkdir()
            shutil.copy(_tables_of_sqlite(), hub.data_dir)
        hub.start()
        try:
            yield hub
        finally:
            hub.kill()


@contextmanager
def own_services() -> Iterator[dict[str, str]]:
    """A database and a Redis database of one's own, as variables, where DATABASE_URL and REDIS_URL name servers."""
    with ExitStack() as stack:
        services = {}
        if os.environ.get("DATABASE_URL", "").startswith("postgres"):
            services["DATABASE_URL"] = stack.enter_context(_new_database(os.environ["DATABASE_URL"]))
        if os.environ.get("REDIS_URL"):
            services["REDIS_URL"] = stack.enter_context(_unused_redis(os.environ["REDIS_URL"]))
        yield services


@cache
def _tables_of_sqlite() -> Path:
    """A file with every table and nothing else. To make them takes seconds, so it is done once a process."""
    maker = LiveHub(Path(environment.folder) / "tables")
    maker.manage("migrate")
    return maker.data_dir / "hub.sqlite3"


@cache
def _tables_of_postgresql(url: str) -> str:
    """The same as a database of the server at `url`."""
    name = f"channelhub_tables_{os.getpid()}"
    server = urlsplit(url)
    with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    own = server._replace(path=f"/{name}").geturl()
    LiveHub(Path(environment.folder) / "tables", DATABASE_URL=own).manage("migrate")
    return name


def running(pids: Iterable[int] | None = None) -> dict[int, tuple[int, str]]:
    """The living processes of this machine, or those of `pids`: pid → parent's pid and command line."""
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
    """A new database of the PostgreSQL server at `url`, with every table."""
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
    """An empty database of the Redis server at `url`, marked as taken until it is emptied again; never the first."""
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
