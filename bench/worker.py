"""The hub's gunicorn worker compared with gunicorn's own, in one run: `python -m bench.worker`.

Each serves the hub in one process with 16 threads. It measures requests alone, beside 100 connections that send
nothing, and beside 100 senders that dribble a header. Then the server stops under load. Requests without a
response count as lost: on kept connections, and on new ones. It takes a minute.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.serve import wrk
from tests import tables
from tests.live import LiveHub

WORKERS = ("gthread", "hub.server.gunicorn_worker.Worker")
THREADS = 16
CROWD = 100
CLIENTS = 8
DRIBBLE_S = 0.2
MEASURE_S = 3.0
TIMEOUT_S = 5.0
LOAD_S = 3
BEGIN_S = 0.5
BEGUN = b"GET /healthz HTTP/1.1\r\nHost: hub\r\nX-Slow: "


class Latency(NamedTuple):
    median_ms: float
    max_ms: float
    unanswered: int


class WebHub(LiveHub):
    """The web server alone, with the worker class of its `worker`."""

    worker = ""

    def spawn(self) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).with_name("gunicorn")
        options = {"config": "python:hub.server.gunicorn_conf", "bind": f"127.0.0.1:{self.port}", "workers": "1",
                   "threads": str(THREADS), "worker-class": self.worker}  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return self.logged([str(program), *words, "hub.wsgi"], self.environment)


@contextmanager
def serving(worker: str) -> Iterator[WebHub]:
    """Run the hub with the worker class. The block may stop it."""
    with tempfile.TemporaryDirectory() as name:
        hub = WebHub(Path(name) / "data")
        hub.worker = worker
        hub.data_dir.mkdir()
        shutil.copy(tables.in_sqlite(), hub.data_dir)
        hub.start()
        try:
            yield hub
        finally:
            hub.kill()


def ask(connection: HTTPConnection) -> None:
    connection.request("GET", "/healthz")
    connection.getresponse().read()


def latency(hub: WebHub) -> Latency:
    """Measure requests on new connections, one after the other."""
    seconds, unanswered, end = [], 0, time.monotonic() + MEASURE_S
    while time.monotonic() < end:
        begun = time.monotonic()
        with closing(HTTPConnection("127.0.0.1", hub.port, timeout=TIMEOUT_S)) as connection:
            try:
                ask(connection)
            except OSError:
                unanswered += 1
        seconds.append(time.monotonic() - begun)
    return Latency(median(seconds) * 1000, max(seconds) * 1000, unanswered)


@contextmanager
def crowd(hub: WebHub, begun: bytes) -> Iterator[None]:
    """Open connections that send `begun`, and then a byte now and then. Without `begun` they stay silent."""
    connections = [socket.create_connection(("127.0.0.1", hub.port)) for _ in range(CROWD)]
    is_over = False

    def dribble() -> None:
        sent = begun
        while begun and not is_over:
            for connection in connections:
                with suppress(OSError):
                    connection.sendall(sent)
            sent = b"x"
            time.sleep(DRIBBLE_S)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(dribble)
        time.sleep(BEGIN_S)
        try:
            yield
        finally:
            is_over = True
            for connection in connections:
                connection.close()


def stop_under_load(hub: WebHub) -> Counter[str]:
    """Stop the server while clients ask. Count lost requests by kind of connection."""
    found: Counter[str] = Counter()

    def is_lost(call: Callable[[], None], kind: str) -> bool:
        try:
            call()
        except (OSError, HTTPException):
            found[kind] += 1
            return True
        found["answered"] += 1
        return False

    def on_kept() -> None:
        """Ask on one connection, as a proxy does, until the server announces its end."""
        with closing(HTTPConnection("127.0.0.1", hub.port, timeout=TIMEOUT_S)) as connection:
            connection.connect()
            while connection.sock and not is_lost(lambda: ask(connection), "kept"):
                time.sleep(0.001)

    def on_new() -> None:
        """Ask on one new connection after the other, until the server refuses them."""
        while True:
            with closing(HTTPConnection("127.0.0.1", hub.port, timeout=TIMEOUT_S)) as connection:
                try:
                    connection.connect()
                except OSError:
                    return
                is_lost(lambda: ask(connection), "new")  # called within the step

    with ThreadPoolExecutor(2 * CLIENTS) as pool:
        for _ in range(CLIENTS):
            pool.submit(on_kept)
            pool.submit(on_new)
        time.sleep(BEGIN_S)
        hub.process.send_signal(signal.SIGTERM)
    return found


def processor_s(hub: WebHub) -> float:
    """Return the processor time of the server's processes."""
    rows = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in hub.parts()]
    return sum(int(row[11]) + int(row[12]) for row in rows) / os.sysconf("SC_CLK_TCK")


def processor_ms(hub: WebHub) -> float:
    """Return the processor time of a request on a kept connection, which other load of the machine hardly changes."""
    before = processor_s(hub)
    per_s = wrk(f"{hub.url}/healthz", LOAD_S, connections=CLIENTS).per_s
    return (processor_s(hub) - before) / (per_s * LOAD_S) * 1000


def measure(worker: str) -> dict[str, float]:
    with serving(worker) as hub:
        spent_ms, alone = processor_ms(hub), latency(hub)
        with crowd(hub, b""):
            silent = latency(hub)
        with crowd(hub, BEGUN):
            slow = latency(hub)
        lost = stop_under_load(hub)
    return {
        "processor time of a request, ms": spent_ms,
        "alone: median, ms": alone.median_ms,
        "beside silent connections: median, ms": silent.median_ms,
        "beside silent connections: max, ms": silent.max_ms,
        "beside slow senders: median, ms": slow.median_ms,
        "beside slow senders: max, ms": slow.max_ms,
        "beside slow senders: without a response": slow.unanswered,
        "lost at the stop, on kept connections": lost["kept"],
        "lost at the stop, on new connections": lost["new"],
    }


def main() -> None:
    stock, ours = (measure(worker) for worker in WORKERS)
    for name, value in ours.items():
        ratio = f"; ratio {value / stock[name]:.4f}" if stock[name] else ""
        print(f"{name}: the hub's {value:.2f}, gthread {stock[name]:.2f}{ratio}")


if __name__ == "__main__":
    main()
