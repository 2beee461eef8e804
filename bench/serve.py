"""Reads through nginx, compared with nginx that serves the same files directly: `.ci/services python -m bench.serve`.

A private channel, a bearer key, HUB_DELIVERY=accel. It measures conditional GETs of an index (304) and small packages
per second, and their 99th percentile at half of that load. It also measures packages of 100 MB. The load generator is
wrk, on the same cores.
"""

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import zstandard

from hub.sizes import MIB
from tests.archives import make_conda
from tests.clients.plain import ask, seconds_until_indexed, upload
from tests.live import LiveHub, Program, live_hub
from tests.nginx import fronted, serving_folder

CONNECTIONS = 32
LARGE_BYTES = 100 * MIB
INDEX_AND_PACKAGES = ("repodata.json.zst", "small-0-1.0-0.conda", "large-1.0-0.conda")
UNITS = {"us": 0.001, "ms": 1, "s": 1000, "KB": 2**-10, "MB": 1, "GB": 2**10}

PACED = """
function delay() return {delay_ms} end
"""


class Result(NamedTuple):
    per_s: float
    p99_ms: float
    mib_per_s: float


def wrk(url: str, seconds: int, *headers: str, connections: int = CONNECTIONS, script: Path | None = None) -> Result:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s"]
    command += [word for header in headers for word in ("-H", header)]
    command += ["-s", str(script)] if script else []
    output = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    errors = re.search(r"Non-2xx or 3xx responses: .*|Socket errors: .*", output)
    if errors:
        raise RuntimeError(f"{url}: {errors[0]}")
    return Result(_number(output, r"Requests/sec:\s+([\d.]+)()"), _number(output, r"99%\s+([\d.]+)(us|ms|s)"),
                  _number(output, r"Transfer/sec:\s+([\d.]+)(KB|MB|GB)"))  # fmt: skip


def _number(output: str, pattern: str) -> float:
    match = re.search(pattern, output)
    if match is None:
        raise RuntimeError(f"The output of wrk has no {pattern}:\n{output}")
    return float(match[1]) * UNITS.get(match[2], 1)


def small(name: str, url: str, peer: str, seconds: int, rounds: int, folder: Path, *headers: str) -> None:
    """Measure responses per second of hub and peer, in turns; then the hub's latency at half of that load."""
    pairs = [(wrk(url, seconds, *headers), wrk(peer, seconds)) for _ in range(rounds)]
    ours, floor = median(pair[0].per_s for pair in pairs), median(pair[1].per_s for pair in pairs)
    script = folder / "paced.lua"
    script.write_text(PACED.format(delay_ms=round(2 * CONNECTIONS / ours * 1000)))
    half = wrk(url, seconds, *headers, script=script)
    print(
        f"{name}: {ours:.0f}/s (nginx alone {floor:.0f}/s); "
        f"at half load, {half.per_s:.0f}/s: 99 % within {half.p99_ms:.1f} ms"
    )


def large(url: str, peer: str, seconds: int, rounds: int, *headers: str) -> None:
    for connections in (1, 4):
        pairs = [
            (wrk(url, seconds, *headers, connections=connections), wrk(peer, seconds, connections=connections))
            for _ in range(rounds)
        ]
        ours, floor = (median(pair[side].mib_per_s for pair in pairs) for side in (0, 1))
        print(f"100 MB, {connections} at a time: {ours:.0f} MiB/s; nginx alone {floor:.0f}; ratio {ours / floor:.2f}")


@contextmanager
def filled(folder: Path) -> Iterator[tuple[LiveHub, str]]:
    """Start a hub behind nginx with a private channel of 20 small packages and a large one. Yield it and a key."""
    noise = {"noise": os.urandom(LARGE_BYTES)}
    paths = [make_conda(folder, name=f"small-{number}") for number in range(20)]
    paths.append(make_conda(folder, name="large", files=noise, compress=_stored))
    with live_hub(folder, Program, HUB_DELIVERY="accel", HUB_PROXIES="1") as direct, fronted(direct, folder) as hub:
        hub.manage("createchannel", "bench", "--owner", "admin")
        key = hub.manage("createapikey", "admin", "--name", "bench", "--scope", "read", "--scope", "upload")
        for path in paths:
            answer = upload(hub, "bench", path, key)
            if answer.status != 201:
                raise RuntimeError(answer.text)
        seconds_until_indexed(hub, "bench", "noarch", [], key)
        yield hub, key


def _stored(content: bytes) -> bytes:
    return zstandard.compress(content, level=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="duration of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, filled(Path(name)) as (hub, key):
        folder, url = Path(name), hub.url
        bearer = f"Authorization: Bearer {key}"
        with serving_folder(folder, hub.data_dir / "channels") as peer:
            index, package, big = ("bench/noarch/" + each for each in INDEX_AND_PACKAGES)
            etag = ask(hub, f"/{index}", key).headers["ETag"]
            rounds = (options.seconds, options.rounds)
            small(
                "304 of an index",
                f"{url}/{index}",
                f"{peer}/{index}",
                *rounds,
                folder,
                bearer,
                f"If-None-Match: {etag}",
            )
            small("small package", f"{url}/{package}", f"{peer}/{package}", *rounds, folder, bearer)
            large(f"{url}/{big}", f"{peer}/{big}", *rounds, bearer)


if __name__ == "__main__":
    main()
