"""Copy of one store into another: files that are copied, skipped or refused."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from channels_app.models import Artifact, Channel
from hub.storage import Chunks, NotInStore, Stat
from hub.storage.folder import FolderStore
from publishing.transfer.store_copy import Totals, copy, is_index
from tests.builders import make_artifact

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "demo/noarch/demo-1.0-0.conda"


@pytest.fixture
def source(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "target")


def last(running: Iterator[Totals]) -> Totals:
    return [Totals(), *running][-1]


def artifact_of(channel: Channel, content: bytes) -> Artifact:
    return make_artifact(channel, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def read(store: FolderStore, key: str = KEY) -> bytes:
    return b"".join(store.open(key))


def test_everything_is_copied_once(channel: Channel, source: FolderStore, target: FolderStore) -> None:
    artifact_of(channel, b"package")
    for key in (KEY, "demo/noarch/shards/1.msgpack.zst", "demo/noarch/repodata.json", "demo/channeldata.json"):
        source.put(key, b"package")

    first, second = last(copy(source, target)), last(copy(source, target))

    assert sorted(target.list("")) == sorted(source.list(""))
    assert read(target) == b"package"
    assert (first.seen, first.copied, first.copied_bytes, first.wrong) == (4, 4, 28, [])
    # Index files are overwritten, possibly by the same number of bytes.
    assert (second.seen, second.copied) == (4, 2)
    assert str(first) == "4 files seen, 4 copied (0.0 MB)"


def test_copy_with_a_selection_copies_only_its_keys(channel: Channel, source: FolderStore, target: FolderStore) -> None:
    artifact_of(channel, b"package")
    sidecar = f"{KEY}.sigs.{'0' * 64}"
    for key in (
        KEY,
        sidecar,
        "demo/noarch/shards/1.msgpack.zst",
        "demo/linux-64/repodata.json.zst",
        "demo/notices.json",
    ):
        source.put(key, b"package")

    last(copy(source, target, select=lambda key: not is_index(key)))

    assert sorted(target.list("")) == [KEY, sidecar]


def test_a_package_that_was_overwritten_with_as_many_bytes_is_copied(
    channel: Channel, source: FolderStore, target: FolderStore
) -> None:
    artifact = artifact_of(channel, b"first")
    source.put(KEY, b"first")
    last(copy(source, target))
    Artifact.objects.filter(pk=artifact.pk).update(sha256=hashlib.sha256(b"newer").hexdigest())
    source.put(KEY, b"newer")
    os.utime(Path(target.root, KEY), (0, 0))

    totals = last(copy(source, target))

    assert (totals.copied, read(target)) == (1, b"newer")


def test_wrong_bytes_are_reported_and_not_copied(channel: Channel, source: FolderStore, target: FolderStore) -> None:
    artifact_of(channel, b"package")
    source.put(KEY, b"package")
    last(copy(source, target))
    source.put(KEY, b"flipped, and longer")

    totals = last(copy(source, target))

    assert totals.wrong == [KEY]
    assert totals.copied == 0
    assert read(target) == b"package"


def test_a_package_that_is_overwritten_during_the_copy_is_copied(
    channel: Channel, source: FolderStore, target: FolderStore
) -> None:
    artifact = artifact_of(channel, b"first")

    class Overwritten(FolderStore):
        def open(self, key: str, *, first: int = 0, last: int | None = None) -> Chunks:
            Artifact.objects.filter(pk=artifact.pk).update(sha256=hashlib.sha256(b"newer").hexdigest())
            connection.close()  # the connection of a copying thread
            self.put(key, b"newer")
            return super().open(key)

    source.put(KEY, b"first")

    totals = last(copy(Overwritten(source.root), target))

    assert (totals.copied, totals.wrong, read(target)) == (1, [], b"newer")


def test_file_removed_during_the_copy_is_skipped(channel: Channel, source: FolderStore, target: FolderStore) -> None:
    class Gone(FolderStore):
        def open(self, key: str, *, first: int = 0, last: int | None = None) -> Chunks:
            raise NotInStore(key)

    source.put(KEY, b"package")

    totals = last(copy(Gone(source.root), target))

    assert (totals.seen, totals.copied, list(target.list(""))) == (1, 0, [])


def test_a_copy_is_finished_where_it_was_interrupted(
    channel: Channel, source: FolderStore, target: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publishing.transfer.store_copy.KEYS_AT_ONCE", 2)
    for number in range(5):
        source.put(f"demo/noarch/demo-{number}-0.conda", b"package")
    running = copy(source, target)
    next(running)
    del running

    totals = last(copy(source, target))

    assert (totals.seen, totals.copied) == (5, 3)
    assert sorted(target.list("")) == sorted(source.list(""))


def test_copy_omits_the_files_of_checkstore(source: FolderStore, target: FolderStore) -> None:
    source.put(".hub-check/1/small", b"x")

    assert last(copy(source, target)).seen == 0


def test_a_target_whose_clock_is_behind_is_written_once_more(source: FolderStore, target: FolderStore) -> None:
    class Behind(FolderStore):
        def stat(self, key: str) -> Stat | None:
            found = super().stat(key)
            return found and replace(found, modified_at=found.modified_at - timedelta(hours=1))

    source.put(KEY, b"package")
    last(copy(source, target))

    assert last(copy(source, Behind(target.root))).copied == 1
