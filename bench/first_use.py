"""The first use of a package by many clients at once: `python -m bench.first_use [--mib N] [--clients N]`.

The hub runs behind nginx (HUB_DELIVERY=accel), the upstream is a thread of this process. It prints the seconds until
the first and the last byte, and the fetches from the upstream. It also prints how much the memory of each web process
grew. Clients retry a 503, as conda, mamba and pixi do.
"""

import argparse
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from hub.sizes import KIB, MIB
from tests.live import LiveHub, Program, live_hub
from tests.nginx import fronted
from tests.upstreams.fake import FakeUpstream, Spoiled, record, running
from tests.upstreams.test_clients import CREATE

FILE = "noarch/large-1.0-0.conda"
CHUNK_BYTES = 256 * KIB


class Download(NamedTuple):
    """The result of one client: seconds until its first and its last byte, the digest, and the refusals before."""

    first_s: float
    last_s: float
    sha256: str
    refusals: int


def download(url: str, begun: float) -> Download:
    sha256, first_s, refusals = hashlib.sha256(), 0.0, 0
    while True:
        try:
            with urlopen(url, timeout=600) as answer:
                while chunk := answer.read1(CHUNK_BYTES):
                    first_s = first_s or time.monotonic() - begun
                    sha256.update(chunk)
            return Download(first_s, time.monotonic() - begun, sha256.hexdigest(), refusals)
        except HTTPError as error:
            if error.code != 503:
                raise
            refusals += 1
            time.sleep(2)


def publish(forge: FakeUpstream, size_bytes: int, mib_per_s: float) -> str:
    """Publish a package of this size, which the upstream sends at this speed, and return its SHA-256."""
    chunk = os.urandom(CHUNK_BYTES)
    sha256 = hashlib.sha256()
    for _ in range(size_bytes // CHUNK_BYTES):
        sha256.update(chunk)
    forge.publish({**record("large"), "sha256": sha256.hexdigest(), "size": size_bytes})

    def parts() -> Iterator[bytes]:
        for _ in range(size_bytes // CHUNK_BYTES):
            yield chunk
            time.sleep(CHUNK_BYTES / (mib_per_s * MIB))

    def answer() -> Spoiled:
        return 200, {"Content-Length": str(size_bytes)}, parts()

    forge.spoiled[FILE] = answer
    return sha256.hexdigest()


def memory_mib(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def measure(hub: LiveHub, url: str, clients: int, sha256: str) -> None:
    before = {pid: memory_mib(pid, "VmRSS") for pid in hub.part("gunicorn")}
    begun = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(lambda _: download(url, begun), range(clients)))
    growth = [memory_mib(pid, "VmHWM") - before[pid] for pid in before]
    right = sum(each.sha256 == sha256 for each in found)
    print(f"first byte after {min(each.first_s for each in found):.2f} s, the first client has all after "
          f"{min(each.last_s for each in found):.1f} s, the last after {max(each.last_s for each in found):.1f} s; "
          f"{right} of {clients} right, {sum(each.refusals for each in found)} refusals, "
          f"memory of web processes grew by {growth} MiB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=50)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--mib-per-s", type=float, default=20)
    options = parser.parse_args()
    with running(FakeUpstream()) as forge, tempfile.TemporaryDirectory() as folder:
        settings = {"HUB_INTERNAL_HOSTS": forge.url.removeprefix("http://"), "HUB_DELIVERY": "accel"}
        sha256 = publish(forge, options.mib * MIB, options.mib_per_s)
        with live_hub(Path(folder), Program, **settings) as hub, fronted(hub, Path(folder)) as front:
            hub.shell(CREATE.format(url=forge.url))
            hub.manage("syncupstream", "forge")
            measure(hub, f"{front.url}/forge/{FILE}", options.clients, sha256)
        print(f"{forge.requests[FILE]} fetches of {options.mib} MiB")


if __name__ == "__main__":
    main()
