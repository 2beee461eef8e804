"""Small uploads per second of one client, to the hub and to quetz in turns: `python -m bench.quetz [--packages N]`.

quetz is installed from PyPI into its own virtualenv and uses SQLite. The hub has its default settings.
"""

import argparse
import hashlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from deploy.local import free_port
from tests.archives import make_conda
from tests.live import Program, live_hub
from tests.stores import UNTIL_STDIN_CLOSES, wait_until_listening

ROUNDS = 3
# Versions that quetz 0.10 needs without declaring them.
REQUIREMENTS = [
    "quetz-server", "fastapi<0.110", "starlette<0.36", "sqlalchemy<2", "sqlalchemy-utils<0.41", "alembic<1.13",
    "httpx<0.28",
]  # fmt: skip

Upload = Callable[[Path], None]


@contextmanager
def quetz(folder: Path) -> Iterator[Upload]:
    """Start quetz and yield a function that uploads a package to its first channel."""
    programs, deployment = folder / "venv" / "bin", folder / "quetz"
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([str(programs / "pip"), "install", "--quiet", *REQUIREMENTS], check=True)
    create = [str(programs / "quetz"), "create", str(deployment), "--create-conf", "--dev"]
    output = subprocess.run(create, check=True, capture_output=True, text=True, cwd=folder).stdout
    key = re.search(r'Test API key created for user "\w+": (\w+)', output)
    if key is None:
        raise RuntimeError(f"quetz created no key:\n{output}")
    port = free_port()
    start = (str(programs / "quetz"), "start", str(deployment), "--port", str(port), "--log-level", "error")
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        (*UNTIL_STDIN_CLOSES, *start),
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        cwd=folder,
        start_new_session=True,
    ) as server:
        try:
            wait_until_listening("quetz", port)
            yield lambda path: post(
                port,
                f"/api/channels/channel0/upload/{path.name}?sha256={hashlib.sha256(path.read_bytes()).hexdigest()}",
                path.read_bytes(),
                {"X-API-Key": key[1]},
            )
        finally:
            server.communicate()


@contextmanager
def ours(folder: Path) -> Iterator[Upload]:
    with live_hub(folder, Program) as hub:
        hub.manage("createchannel", "bench", "--owner", "admin", "--public")
        key = hub.manage("createapikey", "admin", "--name", "bench", "--scope", "upload")
        yield lambda path: post(
            hub.port,
            "/api/v1/upload/bench",
            path.read_bytes(),
            {"Authorization": f"Bearer {key}", "X-File-Name": path.name, "Content-Type": "application/octet-stream"},
        )


def post(port: int, path: str, body: bytes, headers: dict[str, str]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 201:
        raise RuntimeError(f"{path}: {answer.status} {text!r}")


def uploads_per_s(upload: Upload, paths: list[Path]) -> float:
    begun = time.perf_counter()
    for path in paths:
        upload(path)
    return len(paths) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=50, help="small packages a round")
    count = parser.parse_args().packages
    with tempfile.TemporaryDirectory() as name, ours(Path(name)) as hub, quetz(Path(name)) as peer:
        rates = []
        for number in range(ROUNDS):
            paths = [make_conda(Path(name), name=f"small-{n}", version=f"1.{number}") for n in range(count)]
            rates.append((uploads_per_s(hub, paths), uploads_per_s(peer, paths)))
        rate, peers = (statistics.median(side) for side in zip(*rates, strict=True))
        print(f"small uploads by one client: {rate:.1f}/s; quetz {peers:.1f}/s; ratio {rate / peers:.1f}")


if __name__ == "__main__":
    main()
