"""A fake conda-forge, its first sync, a poll, and filters: `python -m bench.upstream [--names N] [--records N]`.

The generator writes an upstream with linux-64 and noarch into a folder: versions by Zipf's law, shards as rattler-index
writes them. A process on 127.0.0.1 serves it. `manage.py syncupstream` polls it twice, with SQLite or DATABASE_URL: the
first time, and after `--changed` names got a version. Then filters that hide a tenth of the names are previewed and
applied. It prints seconds and the peak of the memory of each process.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgpack
import zstandard

ROOT = Path(__file__).parent.parent
SUBDIRS = ("linux-64", "noarch")
DEPENDS = ["python >=3.9,<4", "numpy >=1.24,<3", "libblas *", "typing_extensions >=4.0", "__glibc >=2.17"]
SETUP = """
from channels_app.models import ChannelKind
from publishing.models import Upstream
from tests.builders import make_channel, make_user
channel = make_channel("mirror", owner=make_user("olga"), is_private=False, kind=ChannelKind.UPSTREAM)
Upstream.objects.create(channel=channel, url="{url}", subdirs={subdirs})
"""
PREVIEW = """
from publishing.models import Upstream
from publishing.upstreams import previews
from publishing.upstreams.filtering import FilterTexts
channel = Upstream.objects.get().channel
print(previews.preview(channel, FilterTexts(**{filters})).total)
"""
APPLY = """
from publishing.models import Upstream
from publishing.upstreams import sync
Upstream.objects.update(filters={filters}, are_rules_new=True)
sync.sync(Upstream.objects.get().channel_id)
"""
FILTERS = {
    "exclude": ["package-00001 <3", "package-*9 >=100"],
    "excluded_licenses": ["*GPL*"],
    "max_age_days": 10_000,
}


def counts(names: int, records: int) -> list[int]:
    """Return the number of records of each name, by Zipf's law; their sum is about `records`.

    With the exponent 0.65, the first name of 34,000 has about 3,000 records, as conda-forge's largest have.
    """
    weights = [1 / (rank + 1) ** 0.65 for rank in range(names)]
    scale = (records - names) / sum(weights)
    return [1 + int(weight * scale) for weight in weights]


def make_record(name: str, number: int, subdir: str) -> dict[str, Any]:
    digest = hashlib.sha256(f"{name}-{number}-{subdir}".encode())
    return {
        "name": name,
        "version": f"{number // 40}.{number // 4 % 10}",
        "build": f"h{digest.hexdigest()[:7]}_{number % 4}",
        "build_number": number % 4,
        "subdir": subdir,
        "depends": DEPENDS[: 2 + number % 4],
        "constrains": [],
        "license": "BSD-3-Clause" if zlib.crc32(name.encode()) % 10 else "GPL-3.0-only",
        "size": 10_000 + number,
        "sha256": digest.digest(),
        "md5": digest.digest()[:16],
        "timestamp": 1_700_000_000_000 + number,
    }


def write_name(folder: Path, name: str, count: int, subdir: str) -> bytes:
    """Write the shard of a name, and return its SHA-256."""
    found = {}
    for number in range(count):
        record = make_record(name, number, subdir)
        found[f"{name}-{record['version']}-{record['build']}.conda"] = record
    shard = zstandard.compress(msgpack.packb({"packages": {}, "packages.conda": found, "removed": []}))
    digest = hashlib.sha256(shard)
    (folder / "shards" / f"{digest.hexdigest()}.msgpack.zst").write_bytes(shard)
    return digest.digest()


def write_index(folder: Path, subdir: str, digests: dict[str, bytes]) -> None:
    info = {"subdir": subdir, "base_url": "./", "shards_base_url": "./shards/"}
    index = msgpack.packb({"version": 1, "info": info, "shards": digests})
    (folder / "repodata_shards.msgpack.zst").write_bytes(zstandard.compress(index))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the folder from a process of its own, and yield its address."""
    program = [sys.executable, "-m", "bench.upstream", "--serve", str(folder)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            yield server.stdout.readline().strip() if server.stdout else ""
        finally:
            server.terminate()


def serve(folder: str) -> None:
    """Serve a folder with HTTP/1.1, printing its address first."""

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise the body waits until the client confirms the headers.
        disable_nagle_algorithm = True

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        print(f"127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def poll(environment: dict[str, str], title: str) -> None:
    measure(environment, title, "syncupstream", "mirror")


def measure(environment: dict[str, str], title: str, *arguments: str) -> None:
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "manage.py", *arguments], env=environment, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    elapsed_s = time.perf_counter() - begun
    print(
        f"{title}: {elapsed_s:.1f} s, of the processor {used.ru_utime + used.ru_stime:.1f} s, "
        f"{used.ru_maxrss // 1024} MiB at most, exit code {process.returncode}"
    )


def run(folder: Path, names: int, records: int, changed: int) -> None:
    digests: dict[str, dict[str, bytes]] = {}
    sizes = {f"package-{number:05}": count for number, count in enumerate(counts(names, records))}
    split = random.Random(1)
    places = {name: SUBDIRS[split.random() < 0.5] for name in sizes}
    for subdir in SUBDIRS:
        (folder / subdir / "shards").mkdir(parents=True)
        of_subdir = [name for name in sizes if places[name] == subdir]
        digests[subdir] = {name: write_name(folder / subdir, name, sizes[name], subdir) for name in of_subdir}
        write_index(folder / subdir, subdir, digests[subdir])
    print(f"{names:,} names, {sum(sizes.values()):,} records")
    with served(folder) as host, tempfile.TemporaryDirectory() as data:
        environment = os.environ | {"HUB_DATA_DIR": data, "HUB_INTERNAL_HOSTS": host, "HUB_TUF_URL": ""}
        setup = SETUP.format(url=f"http://{host}", subdirs=json.dumps(SUBDIRS))
        manage = [sys.executable, "manage.py"]
        subprocess.run([*manage, "migrate", "--verbosity", "0"], env=environment, cwd=ROOT, check=True)
        subprocess.run([*manage, "shell", "-c", setup], env=environment, cwd=ROOT, check=True)
        poll(environment, "first sync")
        poll(environment, "poll without a change")
        for name in split.sample(sorted(sizes), changed):
            subdir = places[name]
            digests[subdir][name] = write_name(folder / subdir, name, sizes[name] + 1, subdir)
        for subdir in SUBDIRS:
            write_index(folder / subdir, subdir, digests[subdir])
        poll(environment, f"poll with {changed} changed names")
        measure(environment, "preview of filters", "shell", "-c", PREVIEW.format(filters=FILTERS))
        measure(environment, "change of filters", "shell", "-c", APPLY.format(filters=FILTERS))
        measure(environment, "end of the filters", "shell", "-c", APPLY.format(filters={}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=3_400)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--changed", type=int, default=200)
    parser.add_argument("--serve", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), options.names, options.records, options.changed)


if __name__ == "__main__":
    main()
