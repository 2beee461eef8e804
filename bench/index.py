"""Indexing compared with rattler-index: `python -m bench.index [--packages N]`.

N small packages, 10 versions per name: the first index, then one more package. The hub builds from database rows into a
folder, with SQLite or DATABASE_URL. rattler-index reads the packages the first time.
"""
# ruff: noqa: E402  (models can be imported only after django.setup())

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import django

import tests.environment  # noqa: F401  (its own data folder)

os.environ |= {"DJANGO_SETTINGS_MODULE": "hub.settings", "HUB_INDEX_PAUSE_MS": "1"}
django.setup()

from django.core.management import call_command
from rattler.index import index_fs

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from publishing.index import builds
from publishing.models import SubdirIndex
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, make_user, received

ROUNDS = 5
VERSIONS = 10
DEPENDS = ["python >=3.9", "numpy >=1.24,<3", "libblas *", "typing_extensions >=4.0"]


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def make_package(folder: Path, number: int) -> Path:
    name, version = divmod(number, VERSIONS)
    return make_conda(folder, name=f"package-{name}", version=f"1.{version}", depends=DEPENDS)


def publish(user: User, channel: Channel, path: Path) -> None:
    upload.publish(actor=Actor(user=user), channel=channel, received=received(path))


def build(channel: Channel, subdir: str) -> None:
    builds.build_until_current(SubdirIndex.objects.get(channel=channel, subdir=subdir).pk)


def run(folder: Path, count: int) -> None:
    noarch = folder / "noarch"
    noarch.mkdir()
    user = make_user(is_superuser=True)
    channel = make_channel(owner=user)
    for number in range(count):
        publish(user, channel, make_package(noarch, number))

    def ours() -> float:
        return seconds(lambda: build(channel, "noarch"))

    def theirs() -> float:
        return seconds(lambda: asyncio.run(index_fs(folder, write_zst=True, write_shards=True)))

    first, their_first = ours(), theirs()
    more, their_more = [], []
    for number in range(count, count + ROUNDS * VERSIONS, VERSIONS):
        publish(user, channel, make_package(noarch, number))
        more.append(ours())
        their_more.append(theirs())
    one, their_one = statistics.median(more), statistics.median(their_more)
    whole = seconds(lambda: build(channel, ""))
    print(f"{count} packages: {first:.2f} s; rattler-index {their_first:.2f} s; ratio {their_first / first:.1f}")
    print(f"one more: {one:.3f} s; rattler-index {their_one:.2f} s; ratio {their_one / one:.1f}")
    print(f"the files of the whole channel, which a second job builds: {whole:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=10_000)
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), parser.parse_args().packages)


if __name__ == "__main__":
    main()
