"""Verification during changes, which are no differences, and during a failure of the store, which is reported."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, User
from hub.storage import StoreError, store
from hub.storage.folder import FolderStore
from publishing.models import Verification
from publishing.removal import removal
from publishing.verification import stored_artifacts, stored_indexes, unknown_files
from tests.archives import make_conda
from tests.sample_channel import LIB, SIGS, build_index, found, lib, publish

Step = Callable[[Channel, User, Path], object]


def upload(channel: Channel, olga: User, folder: Path) -> None:
    publish(channel, olga, make_conda(folder, name="late"))


def upload_elsewhere(channel: Channel, olga: User, folder: Path) -> None:
    publish(channel, olga, make_conda(folder, name="late", subdir="linux-64"))


def build(channel: Channel, olga: User, folder: Path) -> None:
    build_index(channel)


def yank(channel: Channel, olga: User, folder: Path) -> None:
    removal.yank(actor=Actor(user=olga), artifact=lib(), reason="")


def delete(channel: Channel, olga: User, folder: Path) -> None:
    removal.delete(actor=Actor(user=olga), artifact=lib(), reason="")


def purge(channel: Channel, olga: User, folder: Path) -> None:
    Artifact.objects.update(removed_at=timezone.now() - timedelta(days=2))
    removal.purge_deleted()


def release(channel: Channel, olga: User, folder: Path) -> None:
    removal.release(actor=Actor(user=olga), artifact=lib())


MEANWHILE: dict[str, tuple[Step, ...]] = {
    "upload": (upload,),
    "upload elsewhere": (upload_elsewhere,),
    "upload, build": (upload, build),
    "upload elsewhere, build": (upload_elsewhere, build),
    "yank": (yank,),
    "delete": (delete,),
    "delete, purge": (delete, purge),
    "delete, purge, build": (delete, purge, build),
    "delete, release": (delete, release),
}
MOMENTS = [
    (stored_artifacts, "_batches"),
    (stored_artifacts, "_are_right"),
    (stored_indexes, "check"),
    (stored_indexes, "_differing"),
    (stored_indexes, "_different_files"),
    (unknown_files, "_shards"),
    (unknown_files, "check"),
]


@pytest.mark.usefixtures("old_files")
@pytest.mark.parametrize("moment", MOMENTS, ids=[f"{module.__name__[22:]}.{name}" for module, name in MOMENTS])
@pytest.mark.parametrize("change", MEANWHILE)
def test_change_during_verification_is_no_difference(
    channel_with_packages: Channel,
    olga: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    moment: tuple[Any, str],
) -> None:
    module, name = moment
    original, to_do = getattr(module, name), list(MEANWHILE[change])

    def meanwhile(*args: Any, **options: Any) -> Any:
        while to_do:
            to_do.pop(0)(channel_with_packages, olga, tmp_path)
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, meanwhile)
        assert found(channel_with_packages, is_hashed=True) == []
    assert not to_do
    assert found(channel_with_packages, is_hashed=True) == []


@pytest.mark.parametrize(("verb", "nth"), [("stats", 1), ("stat", 1), ("stat", 2), ("open", 1), ("open", 3)])
def test_failing_store_stops_the_verification_without_changes(
    channel_with_packages: Channel, monkeypatch: pytest.MonkeyPatch, verb: str, nth: int
) -> None:
    store().delete(LIB)
    store().delete(SIGS)
    before = set(store().list("")), AuditEvent.objects.count()
    original = getattr(FolderStore, verb)
    calls: list[object] = []

    def die(self: FolderStore, *args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) >= nth:
            raise StoreError("The store could not answer: gone")
        return original(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, verb, die)
        with pytest.raises(CommandError, match=r"gone. Nothing more was compared; try again when the store answers."):
            call_command("verify", "demo", repair=True)
    assert (set(store().list("")), AuditEvent.objects.count()) == before
    assert not Verification.objects.exists()
