"""A real hub for tests: `manage.py runhub` with its own data, database and queue."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
from redis import Redis

from deploy.local import free_port
from hub.server.processes import Process
from tests import forked, issued_secrets, tables

ROOT = Path(__file__).parent.parent
MANAGE = tables.MANAGE
# Commands that prepare a test. The others, which tests are about, run in a process of their own.
PREPARING = ("shell", "createchannel", "createapikey")
READY_S = 300
STOP_S = 180
REDIS_DATABASES = 64
# Stops the hub when this process ends in any way: the standard input of the guard closes.
GUARD = ("sh", "-c", 'read -r _; kill "$0"')


class LiveHub:
    """A hub on 127.0.0.1. It can be stopped or killed and started again with the same data."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = int(settings.setdefault("HUB_PORT", str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self.inherited = tables.inherited_environment()
        self.settings = {"HUB_TUF_URL": ""} | settings
        self._log = data_dir.with_name(f"{data_dir.name}.log")
        self._server: Connection | None = None
        self._server_lock = Lock()

    @property
    def environment(self) -> dict[str, str]:
        return self.inherited | {"HUB_DATA_DIR": str(self.data_dir)} | self.settings

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    def take_tables(self) -> None:
        """Copy the tables of an empty hub to the data folder, unless another database has them."""
        if "DATABASE_URL" not in self.settings:
            self.data_dir.mkdir()
            shutil.copy(tables.in_sqlite(), self.data_dir)

    def start(self) -> float:
        """Start the hub and return the seconds until it was ready."""
        begun = time.monotonic()
        self._end_server()
        self.process = self.spawn()
        self._guard = subprocess.Popen([*GUARD, str(self.process.pid)], stdin=subprocess.PIPE, start_new_session=True)
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > begun + READY_S:
                self.stop()
                raise RuntimeError(f"The hub did not start:\n{self.log()}")
            time.sleep(0.05)
        return time.monotonic() - begun

    def spawn(self) -> Process:
        """Start the process without waiting."""
        self._server, theirs = Pipe()
        return self._forked(forked.run_hub, theirs)

    def _forked(self, function: Callable[[Connection], None], requests: Connection) -> Process:
        process = forked.Forked(function, requests, environment=self.environment, output=self._log, errors=self._log)
        with requests:
            process.start()
        return process

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
        self._end_server()
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S)
        finally:
            self._guard.kill()
            self._guard.communicate()
            issued_secrets.note_log(self.log())

    def kill(self) -> None:
        """Kill the hub and all of its processes at once, like a power cut."""
        for pid in [self.pid, *self.parts()]:
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
        processes, found = running(), {self.pid: ""}
        while more := {
            pid: command for pid, (parent, command) in processes.items() if parent in found and pid not in found
        }:
            found |= more
        del found[self.pid]
        return found

    def part(self, word: str) -> list[int]:
        """Return the pids of a part by a word of its command, such as gunicorn, worker or beat; the oldest first."""
        return [pid for pid, command in self.parts().items() if word in re.split("[ /]", command)]

    def manage(self, *arguments: str) -> str:
        """Return the output of `manage.py …` with this hub's data."""
        run = self._serve if arguments[0] in PREPARING else self._run
        code, output, errors = run(arguments)
        if code:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{errors}")
        return output.strip()

    def _run(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        done = forked.run_manage(*words, environment=self.environment)
        return done.returncode, done.stdout, done.stderr

    def _serve(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        """Run the command in a process that runs until the hub stops."""
        with self._server_lock:
            if self._server is None:
                self._server, theirs = Pipe()
                self._forked(forked.serve, theirs)
            self._server.send(words)
            answer: tuple[int, str, str] = self._server.recv()
        return answer

    def _end_server(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

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


class Program(LiveHub):
    """A hub and its commands as a person starts them, for benchmarks and tests of starts, signals and processes."""

    def spawn(self) -> Process:
        return self.logged([*MANAGE, "runhub"], self.environment)

    def _run(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        done = subprocess.run([*MANAGE, *words], env=self.environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


@contextmanager
def live_hub(folder: Path, kind: type[LiveHub] = LiveHub, /, **settings: str) -> Iterator[LiveHub]:
    """Run a hub with its data and log in `folder`. Its tables exist before the first start."""
    with own_services() as services:
        hub = kind(folder / "data", **services, **settings)
        hub.take_tables()
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


def running(pids: Iterable[int] | None = None) -> dict[int, tuple[int, str]]:
    """Return the running processes of this machine, or those of `pids`: pid → parent's pid, name and command line."""
    lines = subprocess.check_output(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,comm=,command="], text=True
    ).splitlines()
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
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {tables.in_postgresql(url)}")
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
