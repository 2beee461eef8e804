"""checkstore on stores that keep every guarantee, and on stores that each break one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from channels_app.identifiers import CHANNEL
from hub.storage import Chunks, Stat, StoreError, folder_checks
from hub.storage.checks import PREFIX, check, is_usable
from hub.storage.folder import FolderStore
from hub.storage.probes import ProbeOutcome, ProbeResult
from hub.storage.s3 import S3Store
from tests.stores import S3Server, moto_server, rclone_server, seaweed_server

WORKS, LIMITED, BROKEN = ProbeOutcome.WORKS, ProbeOutcome.LIMITED, ProbeOutcome.BROKEN


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the limit for slow probes, since the disk of a busy machine may be slow."""
    monkeypatch.setattr("hub.storage.checks.SLOW_MS", 60_000)


def by_probe(findings: list[ProbeResult], *, but: ProbeOutcome = WORKS) -> dict[str, tuple[ProbeOutcome, str]]:
    """Return probe → outcome and sentence, without findings with the outcome `but`."""
    return {finding.probe: (finding.outcome, finding.sentence) for finding in findings if finding.outcome is not but}


def test_check_of_a_folder_passes_without_leftovers(store_folder: Path) -> None:
    store_folder.mkdir()
    findings = check(FolderStore(store_folder))

    assert by_probe(findings) == {}
    assert is_usable(findings)
    assert len(findings) == 13
    assert list(store_folder.iterdir()) == []


def test_the_prefix_is_no_channels() -> None:
    assert not CHANNEL.match(PREFIX)


@pytest.mark.parametrize(
    ("server", "limits"),
    [
        ("moto", {"signature", "expiry", "private list"}),
        ("rclone", {"conditional put", "signed range"}),
        ("seaweed", set()),
    ],
)
def test_check_of_each_s3_server_reports_its_limits(server: str, limits: set[str], tmp_path: Path) -> None:
    with serving_s3(server, tmp_path / "bucket") as s3:
        bucket = S3Store(**s3.options())
        findings = check(bucket)

        assert {probe: outcome for probe, (outcome, _) in by_probe(findings).items()} == dict.fromkeys(limits, LIMITED)
        assert is_usable(findings)
        assert list(bucket.list("")) == []


def test_a_bucket_that_does_not_exist_is_found_at_the_first_put(tmp_path: Path) -> None:
    with serving_s3("rclone", tmp_path) as s3:
        [finding] = check(S3Store(**s3.options(bucket_name="another")))

    assert (finding.probe, finding.outcome) == ("put and get", BROKEN)
    assert "NoSuchBucket" in finding.sentence


@contextmanager
def serving_s3(name: str, folder: Path) -> Iterator[S3Server]:
    servers = {"moto": moto_server(), "rclone": rclone_server(folder), "seaweed": seaweed_server(folder)}
    with servers[name] as server:
        yield server


class PutsNothing(FolderStore):
    def put(self, key: str, source: Path | bytes, **_: Any) -> None:
        raise StoreError("no space is left")


class ForgetsBytes(FolderStore):
    def put(self, key: str, source: Path | bytes, **_: Any) -> None:
        super().put(key, b"")


class CopiesNothing(FolderStore):
    def copy(self, source: str, target: str) -> None:
        raise StoreError("501 Not Implemented")


class WrongSize(FolderStore):
    def stat(self, key: str) -> Stat | None:
        found = super().stat(key)
        return found and Stat(found.size_bytes + 1, found.modified_at)


class WrongClock(FolderStore):
    def stat(self, key: str) -> Stat | None:
        found = super().stat(key)
        return found and Stat(found.size_bytes, found.modified_at - timedelta(seconds=100))


class NoRanges(FolderStore):
    def open(self, key: str, *, first: int = 0, last: int | None = None) -> Chunks:
        return super().open(key)


class WritesOnce(FolderStore):
    def put(self, key: str, source: Path | bytes, **options: Any) -> None:
        if super().stat(key) is None:
            super().put(key, source, **options)


class RefusesMissing(FolderStore):
    def stat(self, key: str) -> Stat | None:
        if found := super().stat(key):
            return found
        raise StoreError("403 Forbidden")


class InventsMissing(FolderStore):
    def open(self, key: str, *, first: int = 0, last: int | None = None) -> Chunks:
        if super().stat(key) is None:
            self.put(key, b"")
        return super().open(key, first=first, last=last)


class ListsMore(FolderStore):
    def list(self, prefix: str) -> Iterator[str]:
        return super().list(prefix.rstrip("/").rpartition("/")[0])


class DeletesNothing(FolderStore):
    def delete(self, key: str) -> None:
        pass


class CutsLargeFiles(FolderStore):
    def put(self, key: str, source: Path | bytes, **options: Any) -> None:
        super().put(key, source.read_bytes()[:-1] if isinstance(source, Path) else source, **options)


class SweepsNothing(FolderStore):
    def delete_unfinished(self, *, older_than_s: int) -> int:
        raise StoreError("501 Not Implemented")


@pytest.mark.parametrize(
    ("broken", "probe", "outcome", "sentence"),
    [
        (PutsNothing, "put and get", BROKEN, "no space is left"),
        (ForgetsBytes, "put and get", BROKEN, "The bytes that were read differ from those that were written."),
        (WrongSize, "size and clock", BROKEN, "The store reports 11 bytes for a file of 10 bytes."),
        (WrongClock, "size and clock", LIMITED, "The store's clock differs from this machine's by 100 s"),
        (NoRanges, "range", BROKEN, "A range read returned wrong bytes"),
        (WritesOnce, "overwrite", BROKEN, "After an overwrite the old bytes are still read"),
        (RefusesMissing, "missing key", BROKEN, "without the permission s3:ListBucket"),
        (InventsMissing, "missing key", BROKEN, "A file that was never written is reported as existing."),
        (CopiesNothing, "copy", LIMITED, "no file can be promoted to another channel"),
        (ListsMore, "list", BROKEN, "The list of a folder with two files has"),
        (DeletesNothing, "delete", BROKEN, "A deleted file still exists."),
        (CutsLargeFiles, "large file", BROKEN, "in several parts came back with other bytes."),
        (SweepsNothing, "leftovers", LIMITED, "Add a lifecycle rule to the bucket that aborts"),
    ],
)
def test_each_broken_promise_of_a_store_is_reported(
    broken: type[FolderStore], probe: str, outcome: ProbeOutcome, sentence: str, tmp_path: Path
) -> None:
    found = by_probe(check(broken(tmp_path / "store")))

    assert found[probe][0] is outcome
    assert sentence in found[probe][1]


def test_slow_store_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.storage.checks.SLOW_MS", 0)

    assert (
        "Move the hub and the store closer together." in by_probe(check(FolderStore(tmp_path / "store")))["latency"][1]
    )


def test_full_or_separate_disk_is_reported(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("cross-device link")

    settings.HUB_MAX_UPLOAD_BYTES = 10**18
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    found = by_probe(check(FolderStore(tmp_path / "store")))

    assert found.keys() == set(folder_checks.PROBES)
    assert "less than one upload may have" in found["free space"][1]
    assert "Put both on one filesystem." in found["links"][1]


def test_the_command_prints_every_probe() -> None:
    output = StringIO()

    call_command("checkstore", stdout=output)

    lines = output.getvalue().splitlines()
    assert len(lines) == 13
    assert lines[0] == "put and get      works    Written bytes are read back."


def test_the_command_fails_where_the_hub_cannot_work(settings: Settings, tmp_path: Path) -> None:
    broken = {"BACKEND": "tests.storage.test_store_checks.DeletesNothing", "OPTIONS": {"root": tmp_path / "store"}}
    settings.STORAGES = settings.STORAGES | {"channels": broken}
    output = StringIO()

    with pytest.raises(CommandError, match=r"The hub can't work with this store; see what is broken above."):
        call_command("checkstore", stdout=output)

    assert "delete           broken   A deleted file still exists." in output.getvalue()
