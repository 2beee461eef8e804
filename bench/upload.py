"""Uploads with the real client to a hub with default settings: `python -m bench.upload [--packages N]`.

It prints uploads per second of small packages by 1 and by 4 clients, compared with a peer: the same server program that
only writes the body to a file. Then it uploads one package of 1 GiB and prints MB/s and the growth of a web process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rattler_build import assemble_package, upload_package_to_prefix

from deploy.local import free_port
from hub.sizes import GIB, MIB
from tests.archives import make_conda
from tests.live import LiveHub, Program, live_hub

ROUNDS = 3
LARGE_BYTES = GIB

RECEIVER = """
import shutil, tempfile
def application(environ, start_response):
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(environ["wsgi.input"], file)
    start_response("201 Created", [("Content-Length", "0")])
    return [b""]
"""


@contextmanager
def receiver(folder: Path) -> Iterator[str]:
    """Start the peer: gunicorn as the hub runs it, with an application that only writes the body to a file."""
    (folder / "receiver.py").write_text(RECEIVER)
    port = free_port()
    server = ["-m", "gunicorn", "receiver", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread"]
    process = subprocess.Popen(
        [sys.executable, *server, "--workers", "2", "--threads", "8", "--log-level", "warning"], cwd=folder
    )
    time.sleep(2)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def upload(url: str, key: str, paths: list[str]) -> None:
    upload_package_to_prefix(paths, url, "bench", api_key=key)


def uploads_per_s(url: str, key: str, paths: list[str], clients: int) -> float:
    parts = [paths[number::clients] for number in range(clients)]
    with ProcessPoolExecutor(clients) as pool:
        list(pool.map(len, parts))
        begun = time.perf_counter()
        list(pool.map(upload, [url] * clients, [key] * clients, parts))
        return len(paths) / (time.perf_counter() - begun)


def small_packages(hub: LiveHub, key: str, peer: str, folder: Path, count: int) -> None:
    for clients in (1, 4):
        ours, floor = [], []
        for number in range(ROUNDS):
            version = f"{clients}.{number}"
            paths = [str(make_conda(folder, name=f"small-{n}", version=version)) for n in range(count)]
            ours.append(uploads_per_s(hub.url, key, paths, clients))
            floor.append(uploads_per_s(peer, key, paths, clients))
        rate, bare = statistics.median(ours), statistics.median(floor)
        print(f"{clients} client(s): {rate:.0f} uploads/s; receiver alone {bare:.0f}; ratio {rate / bare:.2f}")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def growth(hub: LiveHub) -> Iterator[dict[int, int]]:
    """Yield the maximum growth of each web process in bytes, sampled every 10 ms."""
    webs = [pid for pid, command in hub.parts().items() if "gunicorn" in command]
    before, most = {pid: resident_bytes(pid) for pid in webs}, dict.fromkeys(webs, 0)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            for pid in webs:
                most[pid] = max(most[pid], resident_bytes(pid) - before[pid])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


def large_package(hub: LiveHub, key: str, peer: str, folder: Path) -> None:
    files = folder / "files"
    files.mkdir()
    with (files / "noise").open("wb") as noise:
        for _ in range(LARGE_BYTES // MIB):
            noise.write(os.urandom(MIB))
    made = assemble_package(
        "large", "1.0", "noarch", "0", folder, files_dir=files, noarch="generic", compression_level=1
    )
    size_bytes = Path(made.path).stat().st_size
    with growth(hub) as most:
        begun = time.perf_counter()
        upload(hub.url, key, [str(made.path)])
        ours_s = time.perf_counter() - begun
    begun = time.perf_counter()
    upload(peer, key, [str(made.path)])
    floor_s = time.perf_counter() - begun
    print(
        f"{size_bytes / MIB:.0f} MiB: {size_bytes / MIB / ours_s:.0f} MiB/s; receiver alone "
        f"{size_bytes / MIB / floor_s:.0f}; ratio {floor_s / ours_s:.2f}; a web process grew by at most "
        f"{max(most.values()) / MIB:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=100, help="small packages a round")
    count = parser.parse_args().packages
    with tempfile.TemporaryDirectory() as name, live_hub(Path(name), Program) as hub, receiver(Path(name)) as peer:
        hub.manage("createchannel", "bench", "--owner", "admin")
        key = hub.manage("createapikey", "admin", "--name", "bench", "--scope", "upload")
        small_packages(hub, key, peer, Path(name), count)
        large_package(hub, key, peer, Path(name))


if __name__ == "__main__":
    main()
