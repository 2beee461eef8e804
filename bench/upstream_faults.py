"""The results of clients while an upstream is slow, killed or wrong: `python -m bench.upstream_faults`.

The upstream sends 1 KB/s, ends in the middle of the package, or sends another byte at the end. py-rattler installs from
the hub: a first client, and another a second later. So does conda, whose command `--conda` gives. It prints what each
got.
"""

import argparse
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.archives import make_conda
from tests.clients.reader import Reader, ReadError
from tests.live import Program, live_hub
from tests.nginx import fronted
from tests.upstreams.fake import FakeUpstream, Spoiled, running
from tests.upstreams.test_clients import CREATE

PACKAGE_BYTES = 64_000
PART_BYTES = 1000
Client = Callable[[str, str], str]


def slow(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), PART_BYTES):
        yield content[start : start + PART_BYTES]
        time.sleep(1)


def killed(content: bytes) -> Iterator[bytes]:
    half = len(content) // 2
    yield content[:half]
    time.sleep(1)


def wrong(content: bytes) -> Iterator[bytes]:
    half = len(content) // 2
    yield content[:half]
    time.sleep(1)
    yield content[half:-1] + bytes([content[-1] ^ 1])


FAULTS = (slow, killed, wrong)


def spoil(forge: FakeUpstream, folder: Path, client: str) -> list[dict[str, object]]:
    """Add a package for each fault and return their records."""
    found = []
    for fault in FAULTS:
        name = f"{fault.__name__}-{client}"
        path = make_conda(folder, name=name, version="1.0", files={"share/data": os.urandom(PACKAGE_BYTES)})
        content = path.read_bytes()
        found.append(forge.add_package(name, content, version="1.0"))

        def answer(content: bytes = content, fault: Callable[[bytes], Iterator[bytes]] = fault) -> Spoiled:
            return 200, {"Content-Length": str(len(content))}, fault(content)

        forge.spoiled[f"noarch/{name}-1.0-0.conda"] = answer
    return found


def py_rattler(url: str, name: str) -> str:
    try:
        Reader(url, retries=3).install(name)
    except ReadError as error:
        return f"fails: {error}"
    return "installs"


def conda(command: str, url: str, name: str) -> str:
    with tempfile.TemporaryDirectory() as home:
        options = ["--prefix", f"{home}/prefix", "--channel", url, "--override-channels", "--yes", "--quiet"]
        more = {"HOME": home, "CONDA_PKGS_DIRS": f"{home}/packages", "CONDA_SOLVER": "classic"}
        environment = os.environ | more | {"CONDA_SUBDIR": "linux-64", "NO_PROXY": "127.0.0.1"}
        words = [*shlex.split(command), "create", *options, name]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    return "installs" if not done.returncode else f"fails: {done.stderr}"


def timed(client: Client, url: str, name: str, wait_s: float) -> str:
    time.sleep(wait_s)
    begun = time.monotonic()
    result = " ".join(client(url, name).split())
    return f"after {time.monotonic() - begun:.0f} s: {result[:600]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conda", metavar="COMMAND", default="")
    options = parser.parse_args()
    clients: dict[str, Client] = {"rattler": py_rattler}
    if options.conda:
        clients["conda"] = partial(conda, options.conda)
    with running(FakeUpstream()) as forge, tempfile.TemporaryDirectory() as folder:
        forge.publish(*(each for name in clients for each in spoil(forge, Path(folder), name)))
        settings = {"HUB_INTERNAL_HOSTS": forge.url.removeprefix("http://"), "HUB_DELIVERY": "accel"}
        with live_hub(Path(folder), Program, **settings) as hub, fronted(hub, Path(folder)) as front:
            hub.shell(CREATE.format(url=forge.url))
            hub.manage("syncupstream", "forge")
            for title, client in clients.items():
                for fault in FAULTS:
                    name = f"{fault.__name__}-{title}"
                    ask = partial(timed, client, f"{front.url}/forge", name)
                    with ThreadPoolExecutor(2) as pool:
                        results = list(pool.map(ask, (0, 1)))
                    fetches = forge.requests[f"noarch/{name}-1.0-0.conda"]
                    print(f"{name}, {fetches} fetches:", *results, sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
