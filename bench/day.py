"""A day of use in minutes: `TEST_DELIVERY=accel .ci/services python -m bench.day [--minutes M] [--readers N] …`.

Readers and uploaders use the services of docker-compose.yml as processes: PostgreSQL, Redis, S3, two web processes
behind nginx. Every 10 s a worker is killed and a web process replaced.

It reports lost, stale, phantom, vanished and resurrected files, errors, retries, and durations.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from signal import SIGKILL, SIGTERM

import zstandard

from bench import day_clients
from bench.day_clients import CHANNEL, SUBDIR, Client, Notes
from bench.history import Read, Verdict, judge
from tests.live import LiveHub, running
from tests.stack import client_hub, is_listening, web_processes

FAULT_S = 10
# A little more than fail_timeout in nginx.conf.template.
LEFT_OUT_S = 3
LOOK_S = 0.5
# The promised time until an upload is visible, and the maximum wait at the end.
VISIBLE_WITHIN_S = 60
RATTLER_READERS = 2
JSON_INDEX = "repodata.json"


@dataclass(frozen=True)
class Plan:
    seconds: float
    readers: int
    uploaders: int
    pace_s: float


@dataclass
class Day:
    notes: Notes
    verdict: Verdict
    faults: Counter[str]


def live(hub: LiveHub, plan: Plan, folder: Path) -> Day:
    """Run all clients and faults for `plan.seconds`, then check the final state."""
    hub.manage("createchannel", CHANNEL, "--owner", "admin")
    scopes = [word for scope in ("read", "upload", "delete") for word in ("--scope", scope)]
    key = hub.manage("createapikey", "admin", "--name", "day", *scopes)
    notes, is_over, faults = Notes(), threading.Event(), Counter[str]()

    def client() -> Client:
        return Client(hub, key, notes, is_over)

    threads = [
        *(in_thread(client(), day_clients.upload_forever, plan.pace_s, n, folder) for n in range(plan.uploaders)),
        *(in_thread(client(), day_clients.read_forever, plan.pace_s) for _ in range(plan.readers - RATTLER_READERS)),
        *(in_thread(client(), day_clients.rattler_forever) for _ in range(RATTLER_READERS)),
        threading.Thread(target=kill_workers, args=(hub, is_over, faults)),
        threading.Thread(target=replace_webs, args=(hub, is_over, faults)),
    ]
    for thread in threads:
        thread.start()
    time.sleep(plan.seconds)
    is_over.set()
    for thread in threads:
        thread.join()
    return Day(notes, judge(notes.lives, notes.reads, settled(client()), within_s=VISIBLE_WITHIN_S), faults)


def in_thread(client: Client, work: Callable[..., None], *arguments: object) -> threading.Thread:
    return threading.Thread(target=day_clients.guarded, args=(client, work, *arguments))


def kill_workers(hub: LiveHub, is_over: threading.Event, faults: Counter[str]) -> None:
    """Kill one worker after the other. The stack starts it again."""
    for name in cycle(("indexer@", "worker@")):
        if is_over.wait(FAULT_S):
            return
        for pid in started(hub, name):
            os.kill(pid, SIGKILL)
            faults["workers killed"] += 1


def replace_webs(hub: LiveHub, is_over: threading.Event, faults: Counter[str]) -> None:
    """Stop one web process after the other by SIGTERM.

    Both must have answered for longer than nginx skips a failed one.
    """
    for number in count():
        is_over.wait(FAULT_S - LEFT_OUT_S)
        while len(webs := web_processes(hub)) < 2 or not all(map(is_listening, webs.values())):
            if is_over.wait(LOOK_S):
                return
        if is_over.wait(LEFT_OUT_S):
            return
        os.kill(list(webs)[number % 2], SIGTERM)
        faults["web processes replaced"] += 1


def started(hub: LiveHub, word: str) -> list[int]:
    """Return the pids of the stack's own processes with `word` in their command, in a stable order."""
    rows = running(hub.parts()).items()
    ours = [(command, pid) for pid, (parent, command) in rows if parent == hub.process.pid and word in command]
    return [pid for _, pid in sorted(ours)]


def settled(client: Client) -> Read:
    """Read all forms of the index until they agree and list all packages, or until the time is over."""
    deadline = time.monotonic() + VISIBLE_WITHIN_S
    expected = {name for name, life in client.notes.lives.items() if life.uploaded and not life.deletion_began}
    gone = {name for name, life in client.notes.lives.items() if life.deleted}
    while True:
        began = time.monotonic()
        by_json, by_zst, by_shards = names_by_json(client), names_by_zst(client), names_by_shards(client)
        is_settled = by_json == by_zst == by_shards >= expected and not by_shards & gone
        if is_settled or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    client.check(by_json == by_zst == by_shards, "the forms of the index differ")
    client.check(day_clients.records_by_rattler(client) == by_shards, "py-rattler sees other records")
    for name, shard in shards(client).items():
        day_clients.read_package(client, name, shard)
    return Read(began, time.monotonic(), by_json & by_zst & by_shards)


def shards(client: Client) -> dict[str, bytes]:
    found: dict[str, bytes] = day_clients.unpack(file(client, day_clients.SHARD_INDEX))["shards"]
    return found


def names_by_shards(client: Client) -> frozenset[str]:
    return frozenset(shards(client))


def names_by_json(client: Client) -> frozenset[str]:
    return _names(file(client, JSON_INDEX))


def names_by_zst(client: Client) -> frozenset[str]:
    return _names(zstandard.decompress(file(client, f"{JSON_INDEX}.zst")))


def file(client: Client, name: str) -> bytes:
    return client.ask("at the end", "GET", f"/{CHANNEL}/{SUBDIR}/{name}")[2]


def _names(repodata: bytes) -> frozenset[str]:
    return frozenset(record["name"] for record in json.loads(repodata)["packages.conda"].values())


def report(plan: Plan, day: Day) -> None:
    notes, verdict = day.notes, day.verdict
    lives = notes.lives.values()
    print(f"{plan.readers} readers, {RATTLER_READERS} of them py-rattler; {plan.uploaders} uploaders; {plan.seconds} s")
    print("faults:", ", ".join(f"{number} {what}" for what, number in day.faults.items()))
    uploaded, deleted = [life for life in lives if life.uploaded], [life for life in lives if life.deleted]
    print(f"{len(uploaded)} uploads, {len(deleted)} deletions")
    for kind, seconds in sorted(notes.seconds.items()):
        print(f"{kind}: {len(seconds)}, {quantiles(seconds)}")
    print(f"2xx to visible: {quantiles(verdict.visible_s)}")
    print("tried again:", ", ".join(f"{number} {what}" for what, number in sorted(notes.retries.items())) or "nothing")
    print("errors:", notes.errors or "none")
    print("wrong:", verdict.wrong() or "nothing")


def quantiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "too few"
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, max {max(seconds) * 1000:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--uploaders", type=int, default=5)
    parser.add_argument("--pace", type=float, default=1, help="mean seconds between two of a client's rounds")
    parser.add_argument("--log", type=Path, help="a file for what the hub's processes say")
    options = parser.parse_args()
    plan = Plan(options.minutes * 60, options.readers, options.uploaders, options.pace)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with client_hub(folder) as hub:
            day = live(hub, plan, folder)
            if options.log:
                options.log.write_text(hub.log())
    report(plan, day)
    sys.exit(bool(day.notes.errors or day.verdict.wrong()))


if __name__ == "__main__":
    main()
