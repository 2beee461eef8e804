"""Index latency of one channel during a burst of changes in another: `python -m bench.burst`.

A hub as `make run` starts it: one worker, one web process. One channel gets N changes, each with its own index request,
while the hub runs or while it is stopped. Meanwhile packages of another channel are uploaded, yanked and deleted, one
after the other.

It prints the time until each change is in repodata.json and in the shards, and the maximum number of waiting jobs. With
--kill, the worker is killed (-9) and the queue emptied every few seconds. It uses SQLite and a folder, or DATABASE_URL
and REDIS_URL.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, cast

import msgpack
import orjson
import zstandard
from redis import Redis

from tests.archives import make_conda
from tests.live import MANAGE, ROOT, LiveHub, Program, live_hub

QUIET = "quiet"
LOOK_S = 0.02
SAMPLE_S = 0.25
KILL_EACH_S = 7.0
LIMIT_S = 120.0
SCOPES = [word for scope in ("read", "upload", "delete") for word in ("--scope", scope)]

# Script of the process inside: it makes the changes of the burst, yanks, and counts stale indexes. Each line is one
# command.
INSIDE = """
import hashlib, sys
from django.db import transaction
from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Package, User
from publishing.index import builds
from publishing.removal import removal
from publishing.models import SubdirIndex

admin = Actor(user=User.objects.get(username="admin"))
burst = Channel.objects.get(name="burst")

@transaction.atomic
def change(numbers, is_together):
    packages = Package.objects.bulk_create(Package(channel=burst, name=f"package-{n}") for n in numbers)
    Artifact.objects.bulk_create(artifact(each) for each in packages)
    for names in [[each.name for each in packages]] if is_together else [[each.name] for each in packages]:
        builds.schedule_build(burst, "noarch", names)

def artifact(package):
    facts = {"name": package.name, "version": "1.0", "build": "0", "build_number": 0}
    digest = hashlib.sha256(package.name.encode()).hexdigest()
    record = facts | {"subdir": "noarch", "depends": ["python >=3.9", "numpy >=1.24,<3", "libblas *"]}
    return Artifact(
        channel=burst, package=package, subdir="noarch", file_name=f"{package.name}-1.0-0.conda", version="1.0",
        build="0", build_number=0, revision=1, size_bytes=1000, sha256=digest, md5=digest[:32], index_json=record,
        indexed_timestamp=1_790_000_000_000,
    )

for line in sys.stdin:
    verb, *words = line.split()
    if verb == "change":
        count, is_together = map(int, words)
        for start in range(0, count, 100):
            change(range(start, min(start + 100, count)), is_together)
        answer = ""
    elif verb == "yank":
        removal.yank(actor=admin, artifact=Artifact.objects.get(channel__name="quiet", file_name=words[0]), reason="")
        answer = ""
    elif verb == "stale":
        rows = SubdirIndex.objects.filter(channel=burst, subdir="noarch")
        answer = sum(row.requested_revision > row.built_revision for row in rows)
    print(answer, flush=True)
"""


class Inside:
    """A process in the hub's environment that runs commands, one after the other."""

    def __init__(self, hub: LiveHub) -> None:
        command = [*MANAGE, "shell", "--verbosity", "0", "--command", INSIDE]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=hub.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

        self.commands, self.answers = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)

    def do(self, *words: object) -> str:
        self.commands.write(" ".join(map(str, words)) + "\n")
        self.commands.flush()
        return self.answers.readline().strip()

    def end(self) -> None:
        self.process.communicate()


@dataclass
class Burst:
    """The result. `seconds` maps the kind of change to the times until it was visible."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waiting_max: int = 0
    kills: int = 0
    took_s: float = 0.0

    def lines(self) -> Iterator[str]:
        for kind, found in self.seconds.items():
            p99 = sorted(found)[min(len(found) - 1, int(len(found) * 0.99))]
            figures = f"p50 {statistics.median(found):.2f}, p99 {p99:.2f}, max {max(found):.2f} s"
            yield f"{kind}: {len(found)} times, {figures}"
        yield f"jobs waiting at most: {self.waiting_max}; worker killed, queue emptied: {self.kills} times"
        yield f"time until all changes were indexed: {self.took_s:.0f} s"


class Prober:
    """A client that changes the quiet channel and waits until the change shows."""

    def __init__(self, hub: LiveHub, key: str, inside: Inside, folder: Path, burst: Burst) -> None:
        self.hub, self.key, self.inside, self.folder, self.burst = hub, key, inside, folder, burst
        self.count = 0

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.hub.port, timeout=60)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.key}", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def listed(self) -> tuple[set[str], set[str]]:
        """Return the file names in repodata.json and those in the shards."""
        _, plain = self.ask("GET", f"/{QUIET}/noarch/repodata.json")
        _, packed = self.ask("GET", f"/{QUIET}/noarch/repodata_shards.msgpack.zst")
        in_shards: set[str] = set()
        for name, sha256 in unpacked(packed)["shards"].items():
            if name == f"probe-{self.count}":
                _, shard = self.ask("GET", f"/{QUIET}/noarch/shards/{sha256.hex()}.msgpack.zst")
                in_shards |= set(unpacked(shard)["packages.conda"])
        return set(orjson.loads(plain)["packages.conda"]), in_shards

    def shows(self, kind: str, file_name: str, is_there: bool) -> None:
        begun = time.monotonic()
        while any((file_name in names) != is_there for names in self.listed()):
            if time.monotonic() > begun + LIMIT_S:
                break
            time.sleep(LOOK_S)
        self.burst.seconds[kind].append(time.monotonic() - begun)

    def once(self) -> None:
        """Upload and yank one package, and upload and delete another."""
        for kind in ("yank", "delete"):
            self.count += 1
            path = make_conda(self.folder, name=f"probe-{self.count}")
            status, text = self.ask("POST", f"/api/v1/upload/{QUIET}", path.read_bytes(), **{"X-File-Name": path.name})
            check(status in (200, 201), text)
            self.shows("upload", path.name, True)
            if kind == "yank":
                self.inside.do("yank", path.name)
            else:
                status, text = self.ask("DELETE", f"/api/v1/delete/{QUIET}/noarch/{path.name}")
                check(status == 200, text)
            self.shows(kind, path.name, False)
            path.unlink()


def check(is_right: bool, text: bytes) -> None:
    if not is_right:
        raise RuntimeError(text.decode())


def unpacked(content: bytes) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = msgpack.unpackb(zstandard.decompress(content))
    return found


def queued(hub: LiveHub) -> Iterator[Path]:
    return (hub.data_dir / "queue").rglob("*.msg")


def waiting(hub: LiveHub) -> int:
    if "REDIS_URL" not in hub.settings:
        return sum(1 for _ in queued(hub))
    with Redis.from_url(hub.settings["REDIS_URL"]) as redis:
        return sum(int(redis.llen(name)) for name in ("index", "checks", "housekeeping"))


def empty_queue(hub: LiveHub) -> None:
    if "REDIS_URL" not in hub.settings:
        for path in queued(hub):
            path.unlink(missing_ok=True)
        return
    with Redis.from_url(hub.settings["REDIS_URL"]) as redis:
        redis.delete("index", "checks", "housekeeping")


@contextmanager
def meanwhile(each_s: float, work: Callable[[], None]) -> Iterator[None]:
    """Repeat `work` in a thread."""
    is_over = threading.Event()

    def again() -> None:
        while not is_over.wait(each_s):
            with suppress(FileNotFoundError):
                work()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def live(
    hub: LiveHub,
    folder: Path,
    *,
    changes: int,
    is_stopped: bool = False,
    is_killing: bool = False,
    is_together: bool = False,
    bound_s: float,
) -> Burst:
    """Run the burst and probe until all changes are indexed, or until `bound_s` is over. The hub must be new."""
    burst = Burst()
    for name in ("burst", QUIET):
        hub.manage("createchannel", name, "--owner", "admin")
    key = hub.manage("createapikey", "admin", "--name", "bench", *SCOPES)
    inside, driver = Inside(hub), Inside(hub)
    prober = Prober(hub, key, inside, folder, burst)
    prober.once()
    burst.seconds.clear()

    def sample() -> None:
        burst.waiting_max = max(burst.waiting_max, waiting(hub))

    def kill() -> None:
        time.sleep(random.uniform(0, KILL_EACH_S))
        for pid in hub.part("worker"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        empty_queue(hub)
        burst.kills += 1

    def is_going_on() -> bool:
        return inside.do("stale") != "0" or (is_killing and not burst.kills)

    changing = threading.Thread(target=driver.do, args=("change", changes, int(is_together)))
    begun = time.monotonic()
    if is_stopped:
        hub.stop()
        driver.do("change", changes, int(is_together))
        sample()
        hub.start()
        begun = time.monotonic()
    else:
        changing.start()
    with meanwhile(SAMPLE_S, sample), meanwhile(KILL_EACH_S, kill) if is_killing else nullcontext():
        is_over = False
        while not is_over:
            try:
                prober.once()
            except HTTPException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
            is_over = not changing.is_alive() and (not is_going_on() or time.monotonic() > begun + bound_s)
    burst.took_s = time.monotonic() - begun
    inside.end()
    driver.end()
    return burst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--stopped", action="store_true", help="make the changes while the hub is stopped")
    parser.add_argument("--kill", action="store_true", help="kill the worker and empty the queue every few seconds")
    parser.add_argument("--together", action="store_true", help="request the index once for a hundred changes")
    parser.add_argument("--seconds", type=float, default=600, help="maximum duration")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, live_hub(Path(name), Program) as hub:
        burst = live(
            hub,
            Path(name),
            changes=options.changes,
            is_stopped=options.stopped,
            is_killing=options.kill,
            is_together=options.together,
            bound_s=options.seconds,
        )
    for line in burst.lines():
        print(line)


if __name__ == "__main__":
    main()
