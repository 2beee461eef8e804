"""Promotions on a real S3 server: `python -m bench.promotion [--files N] [--mib M]`.

A hub with SeaweedFS. N packages of M MiB each are uploaded, then promoted, then promoted again to another channel while
every process of the hub is killed. It prints the times, and the seconds from the restart to the end of the interrupted
promotion. The store's own count has the bytes between hub and store, its access log the requests for packages. Needs
a disk with room for four times N x M MiB, and some minutes for the default of 100 x 10 MiB.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from hub.sizes import MIB
from tests.archives import make_conda
from tests.clients.plain import ask, until_settled, upload
from tests.live import LiveHub, Program, live_hub
from tests.store_log import StoreLog, Traffic, logged_seaweed_server

CHANNELS = ("staging", "production", "copies")
END_S = 120


def fill(hub: LiveHub, key: str, folder: Path, files: int, mib: int) -> float:
    """Upload the packages to the first channel, and return the seconds of the requests."""
    took_s = 0.0
    for number in range(files):
        content = {"share/payload": os.urandom(mib * MIB)}
        package = make_conda(folder, name="payload", version=f"1.{number}", files=content)
        begun = time.monotonic()
        answer = upload(hub, CHANNELS[0], package, key)
        took_s += time.monotonic() - begun
        if answer.status != 201:
            raise RuntimeError(answer.text)
        package.unlink()
    return took_s


def promote(hub: LiveHub, key: str, channel: str) -> Any:
    body = json.dumps({"from": CHANNELS[0], "filter": {"name": "payload"}}).encode()
    headers = {"Content-Type": "application/json"}
    answer = ask(hub, f"/api/v1/channels/{channel}/promotions", key, method="POST", body=body, headers=headers)
    if answer.status != 201:
        raise RuntimeError(answer.text)
    return json.loads(answer.body)


def described(traffic: Traffic) -> str:
    passed_mib = (traffic.received_bytes + traffic.sent_bytes) / MIB
    return f"{passed_mib:,.2f} MiB between hub and store; requests for packages: {dict(traffic.requests)}"


def heal(hub: LiveHub, key: str, after_s: float) -> tuple[str, float]:
    """Kill the hub in the middle of a promotion. Return its state at the end, and the seconds since the restart."""

    def interrupted() -> None:
        with suppress(OSError, HTTPException):
            promote(hub, key, CHANNELS[2])

    thread = threading.Thread(target=interrupted)
    thread.start()
    time.sleep(after_s)
    hub.kill()
    thread.join()
    hub.start()
    begun, state = time.monotonic(), "running"
    while state == "running" and time.monotonic() < begun + END_S:
        time.sleep(0.5)
        [listed] = json.loads(ask(hub, f"/api/v1/channels/{CHANNELS[2]}/promotions", key).body)["items"]
        state = listed["state"]
    return state, time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--mib", type=int, default=10)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        logged_seaweed_server(Path(name) / "bucket") as (server, log),
        live_hub(Path(name), Program, **server.environment()) as hub,
    ):
        run(hub, log, Path(name), asked.files, asked.mib)


def run(hub: LiveHub, log: StoreLog, folder: Path, files: int, mib: int) -> None:
    hub.shell("User.objects.create_user('olga')")
    for channel in CHANNELS:
        hub.manage("createchannel", channel, "--owner", "olga")
    key = hub.manage("createapikey", "olga", "--name", "bench", "--scope", "read", "--scope", "upload")
    before = log.traffic()
    upload_s = fill(hub, key, folder, files, mib)
    until_settled(hub)
    print(f"{files} uploads of {mib} MiB: {upload_s:.1f} s, {described(log.traffic().since(before))}")
    before, begun = log.traffic(), time.monotonic()
    promote(hub, key, CHANNELS[1])
    promotion_s = time.monotonic() - begun
    print(f"their promotion: {promotion_s:.1f} s, {described(log.traffic().since(before))}")
    until_settled(hub)
    print(f"with the index: {described(log.traffic().since(before))}")
    state, heal_s = heal(hub, key, promotion_s / 2)
    print(f"a promotion that was killed after {promotion_s / 2:.1f} s: {state} {heal_s:.1f} s after the restart")


if __name__ == "__main__":
    main()
