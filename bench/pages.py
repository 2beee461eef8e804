"""Server time of the pages of a large channel: `python -m bench.pages [--packages N]`.

N packages with 3 versions for 2 platforms, in SQLite or DATABASE_URL. It prints the median of 20 requests of an owner,
with all middleware and without the network. It asserts nothing.
"""
# ruff: noqa: E402  (models can be imported only after django.setup())

import argparse
import hashlib
import itertools
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import django

import tests.environment  # noqa: F401  (its own data folder)

os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
django.setup()

from django.core.management import call_command
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from channels_app.models import Artifact, Channel, DailyDownloads, Package, PackageDependency
from publishing.index import marks
from tests.builders import make_channel, make_user

ROUNDS = 20
VERSIONS = ("1.9.0", "1.10.0", "2.0.0")
SUBDIRS = ("linux-64", "osx-arm64")
DEPENDS = ["python >=3.9", "package-0 >=1", "package-1", "zstd >=1.5.7,<1.6.0a0"]
ABOUT = {
    "summary": "A package of a large channel",
    "description": "# Large\n\n" + "Some **words** about [it](https://example.org/). " * 40,
    "home": "https://example.org/",
    "license": "MIT",
}
times = itertools.count(1_790_000_000_000)
FILES = [[f"lib/python3.12/site-packages/package/module_{n}.py", n * 17] for n in range(500)]


def fill(channel: Channel, count: int) -> None:
    packages = Package.objects.bulk_create(
        Package(
            channel=channel,
            name=f"package-{n}",
            latest_version=VERSIONS[-1],
            summary=f"{ABOUT['summary']}, number {n}",
            subdirs=list(SUBDIRS),
            updated_at=timezone.now() - timedelta(minutes=n),
            download_count=n,
        )
        for n in range(count)
    )
    places = ((package, version, subdir) for package in packages for version in VERSIONS for subdir in SUBDIRS)
    Artifact.objects.bulk_create((artifact(*place) for place in places), batch_size=500)
    PackageDependency.objects.bulk_create(
        PackageDependency(package=package, name=name) for package in packages for name in ("python", "package-0")
    )
    today = datetime.now(UTC).date()
    DailyDownloads.objects.bulk_create(
        DailyDownloads(artifact=artifact, day=today - timedelta(days=n), count=n)
        for artifact in Artifact.objects.filter(package=packages[0])
        for n in range(90)
    )
    marks.mark_stale(channel, SUBDIRS[0], [packages[0].name])


def artifact(package: Package, version: str, subdir: str) -> Artifact:
    file_name = f"{package.name}-{version}-h1_0.conda"
    return Artifact(
        channel=package.channel,
        package=package,
        subdir=subdir,
        file_name=file_name,
        version=version,
        build="h1_0",
        build_number=0,
        revision=1,
        size_bytes=123_456,
        sha256=hashlib.sha256(file_name.encode()).hexdigest(),
        md5="0" * 32,
        index_json={"name": package.name, "version": version, "depends": DEPENDS, "license": "MIT"},
        about_json=ABOUT,
        files=FILES,
        file_count=len(FILES),
        indexed_timestamp=next(times),
    )


def measure(client: Client, title: str, url: str, posted: dict[str, Any] | None = None) -> None:
    """Measure a page, or the page that answers a form."""
    queries: list[str] = []
    send = partial(client.post, url, posted) if posted else partial(client.get, url)

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        response = send()
    milliseconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        send()
        milliseconds.append((time.perf_counter() - begun) * 1000)
    times_ms = f"{statistics.median(milliseconds):6.1f} ms, slowest {max(milliseconds):.1f}"
    size_kb = len(response.content) / 1000
    print(f"{title:28} {response.status_code} {times_ms}, {len(queries)} queries, {size_kb:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=10_000)
    count: int = parser.parse_args().packages
    call_command("migrate", verbosity=0)
    user = make_user("olga")
    fill(make_channel("big", owner=user), count)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as its autovacuum does within a minute
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    print(f"{count:,} packages, {Artifact.objects.count():,} artifacts, {connection.vendor}")
    measure(client, "channel, first page", "/channels/big")
    measure(client, "channel, last page", f"/channels/big?page={count // 50}")
    measure(client, "channel, by name", "/channels/big?order=name")
    measure(client, "channel, searched", "/channels/big?q=number+77")
    measure(client, "channel, nothing found", "/channels/big?q=xyzzy")
    measure(client, "channel, one platform", "/channels/big?platform=linux-64")
    measure(client, "package that all depend on", "/channels/big/packages/package-0")
    measure(client, "package", "/channels/big/packages/package-77")
    measure(client, "artifact", "/channels/big/artifacts/linux-64/package-77-2.0.0-h1_0.conda")
    measure(client, "feed", "/channels/big/feed")
    measure(client, "files to select, 500", "/channels/big/select")
    measure(client, "files of one package", "/channels/big/select?name=package-0&version=2.0.0")
    measure(client, "files by pattern", "/channels/big/select?file_pattern=package-77*-2.0.0-*")
    measure(client, "files by pattern, none", "/channels/big/select?file_pattern=*a*b*c*d*")
    files = Artifact.objects.filter(package__name="package-0", version="2.0.0")
    measure(client, "preview, all depend on it", "/channels/big/select", preview_of(files))
    measure(client, "preview of 500 files", "/channels/big/select", preview_of(Artifact.objects.all()))


def preview_of(files: QuerySet[Artifact]) -> dict[str, Any]:
    return {"preview": "yank", "file": list(files.values_list("pk", flat=True)[:500])}


if __name__ == "__main__":
    main()
