"""Clients that wait at once for one upload: `.ci/services python -m bench.wait`.

A hub with two web processes. A package is uploaded while the worker is stopped; then 200 clients arrive within a second
and wait for its index, and the worker continues. It prints the time from the end of the build to the answers. Beside
them, one client reads `/healthz` and one repodata.json: it prints the 99th percentile as a ratio to rounds with an
upload and without waiting clients, in turns. It takes a minute.
"""

import asyncio
import json
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path

from tests.archives import make_conda
from tests.clients.plain import upload
from tests.live import LiveHub, Program, live_hub

CLIENTS = 200
ROUNDS = 3
WAIT_S = 3.0
ARRIVAL_S = 1.0
PROBE_S = 0.01
LIMIT_S = 30
PATHS = ("/healthz", "/demo/noarch/repodata.json")


@dataclass
class Round:
    """The seconds of each path's reads, and of the answers after the end of the build."""

    reads: dict[str, list[float]] = field(default_factory=lambda: {path: [] for path in PATHS})
    answers: list[float] = field(default_factory=list)


@contextmanager
def probing(hub: LiveHub, key: str, found: Round) -> Iterator[None]:
    """Read each path every 10 ms on a kept connection."""
    is_over = threading.Event()

    def probe(path: str) -> None:
        with closing(HTTPConnection("127.0.0.1", hub.port, timeout=LIMIT_S)) as connection:
            while not is_over.wait(PROBE_S):
                begun = time.monotonic()
                connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
                connection.getresponse().read()
                found.reads[path].append(time.monotonic() - begun)

    threads = [threading.Thread(target=probe, args=[path]) for path in PATHS]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


async def wait(hub: LiveHub, key: str, name: str) -> float:
    """Return the seconds from the end of the build to the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    path = f"/api/v1/channels/demo/wait?subdir=noarch&file_name={name}&timeout_s={LIMIT_S}"
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{hub.port}",
        "Connection: close",
        f"Authorization: Bearer {key}",
    )
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = await reader.read()
    answered_at = time.time()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    [file] = json.loads(body)["files"]
    return answered_at - datetime.fromisoformat(file["built_at"]).timestamp()


async def wait_at_once(hub: LiveHub, key: str, name: str, pids: list[int]) -> list[float]:
    """Let all clients wait, and then the worker build."""
    waiting = []
    for _ in range(CLIENTS):
        waiting.append(asyncio.create_task(wait(hub, key, name)))
        await asyncio.sleep(ARRIVAL_S / CLIENTS)
    await asyncio.sleep(WAIT_S - ARRIVAL_S)
    send(pids, signal.SIGCONT)
    return list(await asyncio.gather(*waiting))


def send(pids: list[int], number: int) -> None:
    for pid in pids:
        os.kill(pid, number)


def measure(hub: LiveHub, key: str, package: Path, *, has_clients: bool) -> Round:
    found, pids = Round(), hub.part("worker")
    send(pids, signal.SIGSTOP)
    upload(hub, "demo", package, key)
    with probing(hub, key, found):
        if has_clients:
            found.answers = asyncio.run(wait_at_once(hub, key, package.name, pids))
        else:
            time.sleep(WAIT_S)
            send(pids, signal.SIGCONT)
        time.sleep(1)
    return found


def p99_ms(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[-1] * 1000


def main() -> None:
    with tempfile.TemporaryDirectory() as name, live_hub(Path(name), Program, WEB_CONCURRENCY="2") as hub:
        hub.manage("createchannel", "demo", "--owner", "admin")
        key = hub.manage("createapikey", "admin", "--name", "key", "--scope", "read", "--scope", "upload")
        packages = [make_conda(Path(name), name=f"pack{number}") for number in range(2 * ROUNDS)]
        rounds = [measure(hub, key, package, has_clients=bool(number % 2)) for number, package in enumerate(packages)]
    answers = [seconds for each in rounds for seconds in each.answers]
    print(
        f"{CLIENTS} waiting clients, {ROUNDS} rounds: answered {statistics.median(answers) * 1000:.0f} ms after the "
        f"end of the build in the median, the last one after {max(answers) * 1000:.0f} ms"
    )
    for path in PATHS:
        alone, beside = ([p99_ms(each.reads[path]) for each in rounds[start::2]] for start in (0, 1))
        ratio = statistics.median(beside) / statistics.median(alone)
        print(f"{path}: 99 % within {_list(alone)} ms alone, {_list(beside)} ms beside them; ratio {ratio:.2f}")


def _list(numbers: list[float]) -> str:
    return ", ".join(f"{number:.1f}" for number in numbers)


if __name__ == "__main__":
    main()
