"""A fake conda-forge, its first sync, a poll, and filters: `python -m bench.upstream [--names N] [--records N]`.

The generator writes an upstream with linux-64 and noarch into a folder: versions by Zipf's law, shards as rattler-index
writes them. nginx serves it (`.ci/need nginx nginx`). `manage.py syncupstream` polls it three times, with SQLite or
DATABASE_URL: the first time, without a change, and after 200 names got a version. Then pages are read that list names
and records, and filters that hide a tenth of the names are previewed and applied. So is a filter that keeps the newest
versions of each name. It prints seconds and the peak of the memory of each process.

`--rattler-index N` measures how long rattler-index needs for N small packages, and then for 200 more.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import zstandard

from bench.importing import make_packages
from tests.nginx import serving_folder

ROOT = Path(__file__).parent.parent
SUBDIRS = ("linux-64", "noarch")
CHANGED = 200
DEPENDS = ["python >=3.9,<4", "numpy >=1.24,<3", "libblas *", "typing_extensions >=4.0", "__glibc >=2.17"]
SETUP = """
from channels_app.models import ChannelKind
from publishing.models import Upstream
from tests.builders import make_channel, make_user
channel = make_channel("mirror", owner=make_user("olga"), is_private=False, kind=ChannelKind.UPSTREAM)
Upstream.objects.create(channel=channel, url="{url}", subdirs=list({subdirs}))
"""
# os._exit: rattler's threads may call Python during its shutdown and abort the process.
RATTLER_INDEX = "import asyncio, os, rattler.index\nasyncio.run(rattler.index.index_fs('{folder}'))\nos._exit(0)"
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
PAGES = """
import time
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
settings.ALLOWED_HOSTS = ["testserver"]
client = Client()
for address in {addresses}:
    for _ in range(2):  # the first request also loads the code
        with CaptureQueriesContext(connection) as queries:
            begun = time.perf_counter()
            answer = client.get(address)
            elapsed_ms = (time.perf_counter() - begun) * 1000
    size = f"{{len(answer.content):,}} bytes"
    print(f"{{answer.status_code}} {{address}}: {{elapsed_ms:.0f}} ms, {{len(queries)}} queries, {{size}}")
"""
ADDRESSES = [
    "/channels/mirror",
    "/channels/mirror?order=name&page=600",
    "/channels/mirror?q=00001&platform=noarch",
    "/channels/mirror/packages/package-00000",
    "/channels/mirror/packages/package-00000?versions=all",
    "/search?q=package-00001",
    "/api/v1/channels/mirror/packages?search=00001",
    "/api/v1/channels/mirror/upstream/packages/package-00000",
]
FILTERS = {
    "exclude": ["package-00001 <3", "package-*9 >=100"],
    "excluded_licenses": ["*GPL*"],
    "max_age_days": 10_000,
}
NEWEST = {"newest_versions": 5}


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


def poll(environment: dict[str, str], title: str) -> None:
    manage(environment, title, "syncupstream", "mirror")


def manage(environment: dict[str, str], title: str, *arguments: str) -> None:
    measure(title, [sys.executable, "manage.py", *arguments], environment)


def measure(title: str, command: list[str], environment: Mapping[str, str] = os.environ) -> float:
    """Run the command, print its time and the peak of its memory, and return its seconds of processor time."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    spent_s = used.ru_utime + used.ru_stime
    print(
        f"{title}: {time.perf_counter() - begun:.1f} s, of the processor {spent_s:.1f} s, "
        f"{used.ru_maxrss // 1024} MiB at most, exit code {process.returncode}",
        flush=True,
    )
    return spent_s


def rattler_index(folder: Path, packages: int, records: int) -> None:
    """Let rattler-index index small packages, and then some more. It reads each of them."""
    make_packages(folder / "noarch", packages, "package")
    command = [sys.executable, "-c", RATTLER_INDEX.format(folder=folder)]
    spent_s = measure(f"rattler-index, {packages:,} packages", command)
    print(f"{records:,} would take {records / packages * spent_s:.0f} s of the processor")
    for path in make_packages(folder / "more", CHANGED, "changed"):
        path.rename(folder / "noarch" / path.name)
    measure(f"rattler-index, {CHANGED} more", command)


def run(folder: Path, names: int, records: int) -> None:
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
    with serving_folder(folder, folder) as url, tempfile.TemporaryDirectory() as data:
        host = url.removeprefix("http://")
        environment = os.environ | {"HUB_DATA_DIR": data, "HUB_INTERNAL_HOSTS": host, "HUB_TUF_URL": ""}
        for command in (["migrate", "--verbosity", "0"], ["shell", "-c", SETUP.format(url=url, subdirs=SUBDIRS)]):
            subprocess.run([sys.executable, "manage.py", *command], env=environment, cwd=ROOT, check=True)
        poll(environment, "first sync")
        poll(environment, "poll without a change")
        for name in split.sample(sorted(sizes), CHANGED):
            subdir = places[name]
            digests[subdir][name] = write_name(folder / subdir, name, sizes[name] + 1, subdir)
        for subdir in SUBDIRS:
            write_index(folder / subdir, subdir, digests[subdir])
        poll(environment, f"poll with {CHANGED} changed names")
        manage(environment, "pages", "shell", "-c", PAGES.format(addresses=ADDRESSES))
        for title, filters in (("filters", FILTERS), ("newest versions", NEWEST)):
            manage(environment, f"preview of {title}", "shell", "-c", PREVIEW.format(filters=filters))
            manage(environment, f"change of {title}", "shell", "-c", APPLY.format(filters=filters))
            manage(environment, f"end of {title}", "shell", "-c", APPLY.format(filters={}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=3_400)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--rattler-index", type=int, metavar="PACKAGES", help="measure it in place of the hub")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.rattler_index:
            rattler_index(Path(folder), options.rattler_index, options.records)
        else:
            run(Path(folder), options.names, options.records)


if __name__ == "__main__":
    main()
