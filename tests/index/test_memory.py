"""The readers of documents hold a batch of them at a time: their memory does not grow with a package's builds."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgpack
import orjson
import pytest
import zstandard
from django.apps import apps

from channels_app.models import Channel, Package
from channels_app.packages import packages
from hub.sizes import KIB
from publishing.index import builds, channel_files, fragments, marks, spool, writer
from publishing.models import Fragment
from publishing.removal import removal
from publishing.verification import stored_indexes
from tests.builders import make_artifact

DOCUMENT_BYTES = 64 * KIB


@pytest.fixture(autouse=True)
def collected_as_in_production() -> Iterator[None]:
    """Collect garbage as often as Python does by default."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def add_builds(channel: Channel, numbers: range, **fields: Any) -> None:
    for number in numbers:
        depends = [f"need-{number}-{each:04}-{'x' * 40}" for each in range(DOCUMENT_BYTES // 64)]
        values: dict[str, Any] = {
            "index_json": {"depends": depends},
            "indexed_timestamp": 1_790_000_000_000 + number,
        } | fields
        make_artifact(channel, "lib", build=str(number), **values)


def refresh(_: Channel) -> None:
    packages.refresh(Package.objects.get())


def purge(_: Channel) -> None:
    removal.purge_deleted()


def rebuild(channel: Channel) -> None:
    builds.rebuild(marks.mark_stale(channel, "noarch", []))


def compare(channel: Channel) -> None:
    """As the nightly verification does, of an index that is as it should be."""
    assert stored_indexes.check_index(channel.indexes.get(subdir="noarch")) == []


def sum_up(channel: Channel) -> None:
    channel_files.channeldata(channel.indexes.get(subdir="noarch"), ["lib"])


@pytest.mark.parametrize("read", [refresh, purge, rebuild, compare, sum_up])
def test_memory_does_not_grow_with_the_builds_of_a_package(
    channel: Channel, read: Callable[[Channel], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((packages, "DOCUMENTS_AT_ONCE"), (fragments, "DOCUMENTS_AT_ONCE"), (writer, "PARTS_AT_ONCE")):
        monkeypatch.setattr(module, name, 2, raising=False)
    for each in (spool, stored_indexes):
        monkeypatch.setattr(each, "PARTS_AT_ONCE", 2, raising=False)
    removed: dict[str, Any] = {"removal": "deleted", "removed_at": "2020-01-01T00:00Z"} if read is purge else {}
    add_builds(channel, range(8), **removed)
    rebuild(channel)
    few = peak_bytes(lambda: read(channel))
    add_builds(channel, range(8, 32), **removed)
    rebuild(channel)
    many = peak_bytes(lambda: read(channel))
    assert many - few < 12 * DOCUMENT_BYTES


def test_a_package_keeps_some_thousand_names_that_its_builds_need(channel: Channel) -> None:
    add_builds(channel, range(3))
    packages.refresh(Package.objects.get())
    needs = {row.name.split("-")[1] for row in Package.objects.get().dependencies.all()}
    assert Package.objects.get().dependencies.count() == packages.DEPENDENCIES_MAX
    assert needs == {"2", "1"}


def test_large_fragments_are_in_parts(channel: Channel, store_folder: Path) -> None:
    add_builds(channel, range(5))
    make_artifact(channel, "small")
    rebuild(channel)
    section = Fragment.objects.filter(section="packages.conda")
    assert [*section.filter(name="lib").order_by("part").values_list("part", flat=True)] == [1, 2, 3]
    assert [*section.filter(name="small").values_list("part", flat=True)] == [0]
    repodata = orjson.loads((store_folder / "demo/noarch/repodata.json").read_bytes())
    assert list(repodata["packages.conda"]) == [*(f"lib-1.0-{n}.conda" for n in range(5)), "small-1.0-0.conda"]
    [large] = [path for path in (store_folder / "demo/noarch/shards").iterdir() if path.stat().st_size > KIB]
    assert zstandard.get_frame_parameters(large.read_bytes()).content_size > 4 * DOCUMENT_BYTES
    shard = msgpack.unpackb(zstandard.decompress(large.read_bytes()))
    assert list(shard["packages.conda"]) == [f"lib-1.0-{n}.conda" for n in range(5)]


def test_upgrade_reads_large_fragments_of_an_earlier_version(channel: Channel, store_folder: Path) -> None:
    add_builds(channel, range(3))
    rebuild(channel)
    before = (store_folder / "demo/noarch/repodata.json").read_bytes()
    found = Fragment.objects.filter(section="packages.conda").order_by("part")
    whole = ",".join(found.values_list("body", flat=True))
    found.exclude(part=1).delete()
    found.update(part=0, body=whole)
    import_module("publishing.migrations.0009_fragments_in_parts").mark_large(apps, None)
    assert found.get().part == 1
    compare(channel)
    marks.mark_stale(channel, "noarch", [])
    builds.build_channel(channel)
    assert (store_folder / "demo/noarch/repodata.json").read_bytes() == before
