"""Import of a channel: `python -m bench.importing [--packages N] [--store rclone] [--before FOLDER] [--clients N]`.

N small packages, 10 builds per name, are in a folder or in a local bucket. `manage.py importchannel` imports them, with
SQLite or DATABASE_URL. It prints packages per second and processor time of the command.

`--before` compares with a checkout of another commit, in turns. With `--clients`, N clients upload into a running hub;
it prints their uploads per second without and with the import.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from sys import executable

from bench.upload import upload
from tests import live, stores
from tests.archives import make_conda
from tests.live import LiveHub, Program, live_hub, own_services

BUILDS = 10
WARM_UP_S = 3
UPLOADS_S = 15
FILES = {f"lib/part-{number}.py": b"print('some lines of code')\n" * 40 for number in range(8)}
DEPENDS = ["python >=3.9", "numpy >=1.24,<3", "libblas *", "typing_extensions >=4.0"]
STORES = {"rclone": stores.rclone_server, "seaweed": stores.seaweed_server}


def make_packages(folder: Path, count: int, prefix: str) -> list[Path]:
    folder.mkdir(parents=True)
    numbers = [divmod(number, BUILDS) for number in range(count)]
    return [
        make_conda(folder, name=f"{prefix}-{name:05}", version=f"1.{build}", depends=DEPENDS, files=FILES)
        for name, build in numbers
    ]


def put_unrecorded_packages(hub: LiveHub, paths: list[Path], server: stores.S3Server | None) -> None:
    """Put the packages where the store has the channel `taken`."""
    if server is None:
        folder = hub.data_dir / "channels" / "taken" / "noarch"
        folder.mkdir(parents=True)
        for path in paths:
            shutil.copy(path, folder)
        return
    client = server.client()
    with ThreadPoolExecutor(8) as pool:
        keys = [f"taken/noarch/{path.name}" for path in paths]
        list(
            pool.map(
                lambda key, path: client.put_object(Bucket=server.bucket, Key=key, Body=path.read_bytes()), keys, paths
            )
        )


def import_rate(hub: LiveHub, count: int) -> tuple[float, float]:
    """Import the channel. Return packages per second, and milliseconds of processor time per package."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    output = hub.manage("importchannel", "taken", "--owner", "admin", "--public")
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert f"imported: {count}, not imported: 0" in output, output  # noqa: S101
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count / seconds, spent / count * 1000


@contextmanager
def store(kind: str, folder: Path) -> Iterator[stores.S3Server | None]:
    """Start an S3 server for a bucket; None for a folder."""
    with STORES[kind](folder / kind) if kind else nullcontext() as server:
        yield server


@contextmanager
def stopped_hub(folder: Path, **settings: str) -> Iterator[LiveHub]:
    """Prepare a hub's data with an administrator. None of its processes runs."""
    with own_services() as services:
        hub = Program(folder / "data", **services, **settings)
        hub.data_dir.mkdir()
        hub.manage("migrate")
        hub.settings["DJANGO_SUPERUSER_PASSWORD"] = "not for long"  # noqa: S105  (of a temporary hub)
        hub.manage("createsuperuser", "--noinput", "--username", "admin", "--email", "admin@example.org")
        yield hub


def alone(paths: list[Path], kind: str, tree: Path) -> tuple[float, float]:
    with ExitStack() as stack:
        folder, server = entered(stack, kind, tree)
        hub = stack.enter_context(stopped_hub(folder, **(server.environment() if server else {})))
        put_unrecorded_packages(hub, paths, server)
        return import_rate(hub, len(paths))


def entered(stack: ExitStack, kind: str, tree: Path) -> tuple[Path, stores.S3Server | None]:
    """Enter a folder, and a store, for hubs of `tree`."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    stack.enter_context(of_tree(tree))
    return folder, stack.enter_context(store(kind, folder))


@contextmanager
def of_tree(tree: Path) -> Iterator[None]:
    """Start hubs from another checkout."""
    before = live.MANAGE, live.ROOT
    live.MANAGE, live.ROOT = (executable, str(tree / "manage.py")), tree
    try:
        yield
    finally:
        live.MANAGE, live.ROOT = before


class Uploads:
    """Clients that upload one package after another until they are stopped."""

    def __init__(self, hub: LiveHub, key: str, folder: Path, clients: int) -> None:
        self.count = 0
        self._stop = threading.Event()
        self._lists = [make_packages(folder / str(number), 2000, f"client-{number}") for number in range(clients)]
        work = [threading.Thread(target=self._upload, args=[hub.url, key, paths]) for paths in self._lists]
        self._threads = work

    def _upload(self, url: str, key: str, paths: list[Path]) -> None:
        for path in paths:
            if self._stop.is_set():
                return
            upload(url, key, [str(path)])
            self.count += 1

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def beside(paths: list[Path], kind: str, tree: Path, clients: int) -> None:
    with ExitStack() as stack:
        folder, server = entered(stack, kind, tree)
        hub = stack.enter_context(live_hub(folder, Program, **(server.environment() if server else {})))
        put_unrecorded_packages(hub, paths, server)
        hub.manage("createchannel", "bench", "--owner", "admin")
        key = hub.manage("createapikey", "admin", "--name", "bench", "--scope", "upload")
        uploads = Uploads(hub, key, folder / "uploads", clients)
        uploads.start()
        time.sleep(WARM_UP_S)
        before, begun = uploads.count, time.perf_counter()
        time.sleep(UPLOADS_S)
        without = (uploads.count - before) / (time.perf_counter() - begun)
        before, begun = uploads.count, time.perf_counter()
        rate, _ = import_rate(hub, len(paths))
        during = (uploads.count - before) / (time.perf_counter() - begun)
        uploads.stop()
    print(
        f"{tree.name}, {clients} client(s): {without:.0f} uploads/s, beside an import {during:.0f} "
        f"({during / without:.0%}); the import beside them {rate:.0f} packages/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=5000)
    parser.add_argument("--store", choices=sorted(STORES), default="", help="use a bucket instead of a folder")
    parser.add_argument("--before", type=Path, help="a checkout of another commit, with its .venv")
    parser.add_argument("--clients", type=int, default=0, help="number of clients that upload during the import")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    trees = [tree.resolve() for tree in (options.before, live.ROOT) if tree]
    with tempfile.TemporaryDirectory() as name:
        paths = make_packages(Path(name) / "packages", options.packages, "taken")
        if options.clients:
            for tree in trees:
                beside(paths, options.store, tree, options.clients)
            return
        found: dict[Path, list[tuple[float, float]]] = {tree: [] for tree in trees}
        for _ in range(options.rounds):
            for tree in trees:
                found[tree].append(alone(paths, options.store, tree))
    for tree, rounds in found.items():
        rate, spent = statistics.median(each[0] for each in rounds), statistics.median(each[1] for each in rounds)
        print(f"{tree.name}: {rate:.0f} packages/s, {spent:.1f} ms of processor time each")


if __name__ == "__main__":
    main()
