"""The readers of documents hold a batch of them at a time: their memory does not grow with a package's builds."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from channels_app.models import Channel, Package
from channels_app.packages import packages
from publishing.removal import removal
from tests.builders import make_artifact

KIB = 1024
DOCUMENT_BYTES = 64 * KIB


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


@pytest.mark.parametrize("read", [refresh, purge])
def test_memory_does_not_grow_with_the_builds_of_a_package(
    channel: Channel, read: Callable[[Channel], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "DOCUMENTS_AT_ONCE", 4, raising=False)
    removed: dict[str, Any] = {"removal": "deleted", "removed_at": "2020-01-01T00:00Z"} if read is purge else {}
    add_builds(channel, range(4), **removed)
    few = peak_bytes(lambda: read(channel))
    add_builds(channel, range(4, 40), **removed)
    many = peak_bytes(lambda: read(channel))
    assert many - few < 12 * DOCUMENT_BYTES


def test_a_package_keeps_some_thousand_names_that_its_builds_need(channel: Channel) -> None:
    add_builds(channel, range(3))
    packages.refresh(Package.objects.get())
    needs = {row.name.split("-")[1] for row in Package.objects.get().dependencies.all()}
    assert Package.objects.get().dependencies.count() == packages.DEPENDENCIES_MAX
    assert needs == {"2", "1"}
