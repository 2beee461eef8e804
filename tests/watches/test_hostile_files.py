"""Files that somebody puts into the store to stop a watch, to fill the hub, or to read what belongs to others."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as hub_settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from hub.storage import NotInStore, store
from publishing.imports import stored
from publishing.models import Watch, WatchedFile
from publishing.watches import listing, passes, watches
from tests.archives import make_conda
from tests.sample_channel import known
from tests.watches.conftest import Passing

NOARCH = "demo/noarch"


def put(folder: Path, *names: str, filler_bytes: int = 0) -> None:
    for name in names:
        files = {"share/filler": os.urandom(filler_bytes)}
        store().put(f"{NOARCH}/{name}-1.0-0.conda", make_conda(folder, name=name, files=files))


def refused(channel: Channel) -> dict[str, str]:
    return {row.file_name.removesuffix("-1.0-0.conda"): row.code for row in watches.of(channel).refused.all()}


@pytest.mark.parametrize(("limit", "code"), [("channel", "channel_quota"), ("user", "quota_bytes")])
def test_file_that_is_too_large_for_a_quota_is_refused_and_does_not_hold_up_others(
    one_pass: Passing, watched: Channel, tmp_path: Path, settings: Settings, limit: str, code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def allow(size_bytes: int) -> None:
        if limit == "channel":
            Channel.objects.update(quota_bytes=size_bytes)
        else:
            settings.HUB_USER_BYTES = size_bytes

    put(tmp_path, "app", "lib")
    put(tmp_path, "big", filler_bytes=30_000)
    allow(25_000)
    one_pass()
    assert (known(), refused(watched), one_pass().error_code) == ({"app", "lib"}, {"big": code}, "")
    with monkeypatch.context() as patched:
        patched.setattr(stored, "check", None)
        one_pass()
    allow(60_000)
    one_pass()
    assert (known(), refused(watched)) == ({"app", "lib", "big"}, {})


def test_files_that_fit_alone_but_not_together_are_taken_in_as_far_as_they_fit(
    one_pass: Passing, watched: Channel, tmp_path: Path
) -> None:
    put(tmp_path, "one", "three", "two", filler_bytes=10_000)
    Channel.objects.update(quota_bytes=30_000)
    for _ in range(4):
        one_pass()
    assert (len(known()), refused(watched)) == (2, {"two": "channel_quota"})


def test_queries_for_quotas_do_not_grow_with_refused_files(one_pass: Passing, watched: Channel) -> None:
    Channel.objects.update(quota_bytes=5_000)
    counts = []
    for names in (["one"], ["two", "three", "four"]):
        for name in names:
            store().put(f"{NOARCH}/{name}-1.0-0.conda", bytes(10_000))
        one_pass()
        with CaptureQueriesContext(connection) as queries:
            one_pass()
        counts.append(len(queries))
    assert (len(refused(watched)), counts[1] - counts[0]) == (4, 0)


def test_refused_files_of_every_code_are_remembered_up_to_the_maximum(
    one_pass: Passing, watched: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "REFUSED_MAX", 3)
    for number in range(6):
        store().put(f"{NOARCH}/no name {number}.conda", b"bad")
    one_pass()
    assert (one_pass().error_code, WatchedFile.objects.count()) == ("too_many_refused", 3)
    for row in list(WatchedFile.objects.all()):
        store().delete(f"{NOARCH}/{row.file_name}")
    one_pass()
    one_pass()
    assert (one_pass().error_code, WatchedFile.objects.count()) == ("too_many_refused", 3)


def test_queries_do_not_grow_with_refused_files_that_are_gone(one_pass: Passing, watched: Channel) -> None:
    counts = []
    for total in (2, 20):
        for number in range(total):
            store().put(f"{NOARCH}/no name {number}.conda", b"bad")
        one_pass()
        for number in range(total):
            store().delete(f"{NOARCH}/no name {number}.conda")
        with CaptureQueriesContext(connection) as queries:
            one_pass()
        counts.append(len(queries))
    assert (refused(watched), counts[0]) == ({}, counts[1])


def test_huge_sidecar_is_not_read(
    one_pass: Passing, watched: Channel, tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Channel.objects.update(require_attestation=True)
    put(tmp_path, "lib")
    sidecar = store_folder / f"{NOARCH}/lib-1.0-0.conda.sigs"
    with sidecar.open("wb") as file:
        file.truncate(100 * 2**30)
    one_pass()
    assert (known(), refused(watched)) == (set(), {"lib": "attestation_missing"})
    assert not list(Path(hub_settings.UPLOAD_DIR).glob("*"))


def test_file_that_grows_above_the_limit_after_it_was_listed_is_not_copied(
    one_pass: Passing, watched: Channel, tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "lib")
    check = stored.check

    def grown(*args: Any, **more: Any) -> Any:
        os.truncate(store_folder / f"{NOARCH}/lib-1.0-0.conda", 100 * 2**30)
        return check(*args, **more)

    monkeypatch.setattr(stored, "check", grown)
    one_pass()
    one_pass()
    assert (known(), refused(watched)) == (set(), {"lib": "too_large"})


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_file_that_becomes_something_else_after_it_was_listed_is_not_read(
    one_pass: Passing, watched: Channel, tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    put(tmp_path, "lib")
    path, secret = store_folder / f"{NOARCH}/lib-1.0-0.conda", store_folder / "secret/noarch/lib-1.0-0.conda"
    secret.parent.mkdir(parents=True)
    check = stored.check

    def changed(*args: Any, **more: Any) -> Any:
        path.rename(secret)
        os.mkfifo(path) if kind == "pipe" else path.symlink_to(secret)
        return check(*args, **more)

    monkeypatch.setattr(stored, "check", changed)
    one_pass()
    assert (known(), refused(watched)) == (set(), {})


def test_error_of_the_store_has_no_path_of_the_server(
    one_pass: Passing, tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "lib")

    def closed(path: str, *_: Any, **more: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("hub.storage.folder.os.open", closed)
    watch = one_pass()
    assert (watch.error_code, str(store_folder) in watch.error) == ("store_failed", False)
    assert watch.error.endswith("lib-1.0-0.conda: Permission denied")


def test_pass_goes_on_after_a_name_that_no_database_keeps(
    one_pass: Passing, watched: Channel, tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "FILES_MAX", 1)
    monkeypatch.setattr(listing, "FILES_MAX", 1)
    put(tmp_path, "lib")
    (store_folder / NOARCH / os.fsdecode(b"lib-1.0-0.conda\xff")).write_bytes(b"")
    put(tmp_path, "new")
    one_pass()
    assert one_pass().cursor == ""
    assert known() == {"lib", "new"}


def test_names_that_are_no_packages_count_for_the_bounds_of_a_pass(
    one_pass: Passing, tmp_path: Path, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "KEYS_MAX", 4)
    monkeypatch.setattr(listing, "KEYS_MAX", 2)
    put(tmp_path, "lib")
    for number in range(9):
        (store_folder / NOARCH / f"junk{number}").write_bytes(b"")
    assert one_pass().cursor == "noarch/junk3"
    for _ in range(2):
        one_pass()
    assert known() == {"lib"}


def test_pass_ends_when_the_listing_takes_too_long(
    one_pass: Passing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "LISTING_S", -1.0)
    put(tmp_path, "lib")
    watch = one_pass()
    assert (watch.listed_at, watch.error_code) == (None, "")


def test_watches_of_deleted_channels_take_no_place(watched: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_WATCHED_CHANNELS = 1
    Channel.objects.update(deleted_at=timezone.now() - timedelta(days=1))
    other = Channel.objects.create(name="other")
    other.members.create(user=olga, role="owner")
    watches.start(actor=Actor(user=olga), channel=other)
    assert Watch.objects.count() == 2


def test_store_of_the_hub_follows_no_link(store_folder: Path) -> None:
    store().put("secret/noarch/lib-1.0-0.conda", b"secret")
    (store_folder / NOARCH).mkdir(parents=True)
    (store_folder / f"{NOARCH}/lib-1.0-0.conda").symlink_to(store_folder / "secret/noarch/lib-1.0-0.conda")
    with pytest.raises(NotInStore):
        store().open(f"{NOARCH}/lib-1.0-0.conda")
    with pytest.raises(NotInStore):
        store().copy(f"{NOARCH}/lib-1.0-0.conda", f"{NOARCH}/copy-1.0-0.conda")
    assert store().stat(f"{NOARCH}/lib-1.0-0.conda") is None
    assert not list(store().stats("demo/"))
    store().delete(f"{NOARCH}/lib-1.0-0.conda")
    assert list(store().list("")) == ["secret/noarch/lib-1.0-0.conda"]
