"""Tests of every store: a folder, and two S3 servers of different strictness."""

import os
import tracemalloc
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from django.test import override_settings

from hub.sizes import MIB
from hub.storage import Chunks, NotInStore, Stat, Store, StoreError, s3, store
from hub.storage import folder as folder_store
from hub.storage.folder import FolderStore
from hub.storage.s3 import S3Store
from tests.stores import S3Server, moto_server, rclone_server

KEY = "conda-forge/noarch/tiny-1.0-0.conda"
ODD_KEYS = [
    "c/linux-64/a-1!2.0+local.3-h_0.conda",
    "c/linux-64/_libgcc_mutex-0.1-main.tar.bz2",
    "c/noarch/100%-1.0-0.conda",
    "c/noarch/a%2Fb-1.0-0.conda",
    "c/noarch/a b&c=d?e#f-1.0-0.conda",
    "c/noarch/~a(b)'c',;:@$*-1.0-0.conda",
    "c/noarch/.hidden",
]
BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "../a",
    "a\0b",
    "a\nb",
    "a\\b",
    "a/.tmp-1",
    "\ud800",
]


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(params=["folder", "moto", "rclone"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    server: S3Server = request.getfixturevalue(request.param)
    return S3Store(**server.with_new_bucket().options())


def read(chunks: Chunks) -> bytes:
    return b"".join(chunks)


def stat(any_store: Store, key: str = KEY) -> Stat:
    found = any_store.stat(key)
    assert found is not None
    return found


def held_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def blank_file(path: Path, size_bytes: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 4096], ids=["empty", "one", "1 MiB"])
def test_put_bytes_are_read_unchanged(any_store: Store, content: bytes) -> None:
    any_store.put(KEY, content, content_type="text/plain")

    assert read(any_store.open(KEY)) == content
    assert stat(any_store).size_bytes == len(content)


def test_a_file_comes_back_and_stays_where_it_is(any_store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789" * MIB * 2)

    any_store.put(KEY, source)

    assert read(any_store.open(KEY)) == source.read_bytes()


@pytest.mark.parametrize("key", ODD_KEYS)
def test_copy_has_the_bytes_of_its_source(any_store: Store, key: str) -> None:
    any_store.put(key, b"0123456789")
    any_store.put(f"other/{key}", b"before")
    any_store.copy(key, f"other/{key}")
    any_store.delete(key)
    assert read(any_store.open(f"other/{key}")) == b"0123456789"


def test_copy_of_a_missing_key_is_not_in_store(any_store: Store) -> None:
    with pytest.raises(NotInStore):
        any_store.copy(KEY, "other/noarch/tiny-1.0-0.conda")
    assert any_store.stat("other/noarch/tiny-1.0-0.conda") is None


def test_copy_in_a_folder_is_a_link_that_an_overwrite_leaves(tmp_path: Path) -> None:
    folder = FolderStore(tmp_path)
    folder.put("a/noarch/x.conda", b"first")
    folder.copy("a/noarch/x.conda", "b/noarch/x.conda")
    assert (tmp_path / "a/noarch/x.conda").stat().st_nlink == 2
    folder.put("a/noarch/x.conda", b"second")
    assert read(folder.open("b/noarch/x.conda")) == b"first"


def test_copy_of_a_large_file_is_made_in_parts(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, use_threads=False)
    monkeypatch.setattr(s3, "COPY_CONFIG", config)
    bucket = S3Store(**moto.with_new_bucket().options())
    content = os.urandom(12 * MIB)
    bucket.put(KEY, content)
    bucket.copy(KEY, "copies/noarch/tiny-1.0-0.conda")
    assert read(bucket.open("copies/noarch/tiny-1.0-0.conda")) == content


def test_the_newest_put_wins(any_store: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"second, and longer")
    any_store.put(KEY, b"first")
    any_store.put(KEY, tmp_path / "source")
    assert read(any_store.open(KEY)) == b"second, and longer"

    any_store.put(KEY, b"third")
    assert read(any_store.open(KEY)) == b"third"


def test_put_of_a_missing_source_fails_without_a_file(any_store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"could not put {KEY}: .*No such file") as raised:
        any_store.put(KEY, tmp_path / "missing")

    assert not isinstance(raised.value, NotInStore)
    assert list(any_store.list("")) == []


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 0, b"0"), (2, 4, b"234"), (7, None, b"789"), (0, 9, b"0123456789"), (9, 9, b"9"), (5, 1000, b"56789")],
)
def test_a_range_is_inclusive(any_store: Store, first: int, last: int | None, expected: bytes) -> None:
    any_store.put(KEY, b"0123456789")

    assert read(any_store.open(KEY, first=first, last=last)) == expected


@pytest.mark.parametrize(("first", "last"), [(10, None), (10, 12), (-1, None), (0, -1), (4, 3)])
def test_a_range_of_no_bytes_is_an_error(any_store: Store, first: int, last: int | None) -> None:
    any_store.put(KEY, b"0123456789")

    with pytest.raises(StoreError, match=f"could not open {KEY}"):
        any_store.open(KEY, first=first, last=last)


def test_stat_says_when_it_was_put(any_store: Store, tmp_path: Path) -> None:
    source = blank_file(tmp_path / "source", 3)
    os.utime(source, (0, 0))

    any_store.put(KEY, source)

    assert stat(any_store).size_bytes == 3
    assert abs(datetime.now(UTC) - stat(any_store).modified_at) < timedelta(minutes=1)


def test_stat_of_a_missing_key_is_none(any_store: Store) -> None:
    any_store.put(KEY, b"x")

    for missing in ("nothing", "conda-forge", "conda-forge/noarch", f"{KEY}/below"):
        assert any_store.stat(missing) is None
        with pytest.raises(NotInStore, match=f"{missing} is not in the store") as raised:
            any_store.open(missing)
        assert raised.value.key == missing


def test_delete_removes_one_key(any_store: Store) -> None:
    any_store.put("c/noarch/a", b"a")
    any_store.put("c/noarch/b", b"b")

    any_store.delete("c/noarch/a")
    any_store.delete("c/noarch/a")

    assert any_store.stat("c/noarch/a") is None
    assert list(any_store.list("")) == ["c/noarch/b"]


def test_list_returns_keys_below_a_folder(any_store: Store) -> None:
    keys = {"c/noarch/a", "c/linux-64/b", "c/channeldata.json", "cc/noarch/a"}
    for key in keys:
        any_store.put(key, b"x")

    assert set(any_store.list("")) == keys
    assert set(any_store.list("c")) == set(any_store.list("c/")) == keys - {"cc/noarch/a"}
    assert set(any_store.list("c/noarch")) == {"c/noarch/a"}
    assert set(any_store.list("c/no")) == set()


def test_list_goes_past_one_page(any_store: Store) -> None:
    keys = {f"c/noarch/{number}" for number in range(1005)}
    for key in keys:
        any_store.put(key, b"")

    assert set(any_store.list("c")) == keys


def test_entries_are_the_files_of_one_folder_in_order(any_store: Store) -> None:
    for key in ("demo/noarch/b", "demo/noarch/B", "demo/noarch/b-1", "demo/noarch/b.1", "demo/noarch/ü", "demo/x"):
        any_store.put(key, b"x")
    any_store.put("demo/noarch/c/d", b"x")
    any_store.put("demo/linux-64/e", b"x")
    assert list(any_store.folders("demo/")) == ["linux-64", "noarch"]
    assert [entry.name for entry in any_store.entries("demo/noarch/")] == ["B", "b", "b-1", "b.1", "ü"]
    assert [entry.name for entry in any_store.entries("demo/noarch/", after="b-1")] == ["b.1", "ü"]
    assert (list(any_store.entries("demo/none/")), list(any_store.folders("none/"))) == ([], [])


def test_entry_has_another_version_after_other_bytes_of_the_same_size(any_store: Store) -> None:
    any_store.put("demo/noarch/b", b"x")
    (before,) = any_store.entries("demo/noarch/")
    any_store.put("demo/noarch/b", b"y")
    (after,) = any_store.entries("demo/noarch/")
    assert (before.size_bytes, after.size_bytes, before.version != after.version) == (1, 1, True)


def test_entries_of_a_folder_are_read_in_parts_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_store, "NAMES_AT_ONCE", 2)
    folder = FolderStore(tmp_path)
    for name in "abcde":
        folder.put(f"demo/noarch/{name}", b"x")
    (tmp_path / "demo" / "noarch" / "link").symlink_to(tmp_path / "demo" / "noarch" / "a")
    (tmp_path / "demo" / "linked").symlink_to(tmp_path / "demo" / "noarch")
    assert [entry.name for entry in folder.entries("demo/noarch/")] == ["a", "b", "c", "d", "e"]
    assert list(folder.folders("demo/")) == ["noarch"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_round_trip(any_store: Store, key: str) -> None:
    any_store.put(key, b"odd")

    assert read(any_store.open(key, first=1)) == b"dd"
    assert stat(any_store, key).size_bytes == 3
    assert list(any_store.list("c")) == [key]
    any_store.delete(key)
    assert any_store.stat(key) is None


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_keys_are_refused_by_every_verb(any_store: Store, key: str) -> None:
    expected = "does not accept the key .*: expected a relative path of printable characters without"
    with pytest.raises(StoreError, match=expected):
        any_store.put(key, b"x")
    with pytest.raises(StoreError, match=expected):
        any_store.open(key)
    with pytest.raises(StoreError, match=expected):
        any_store.stat(key)
    with pytest.raises(StoreError, match=expected):
        any_store.delete(key)
    with pytest.raises(StoreError, match=expected):
        list(any_store.list(f"{key}/"))


@pytest.mark.parametrize("key", [KEY, *ODD_KEYS])
@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_addresses_are_signed_for_their_method(request: pytest.FixtureRequest, server: str, key: str) -> None:
    bucket = S3Store(**request.getfixturevalue(server).with_new_bucket().options())
    bucket.put(key, b"content")

    for method, body in (("GET", b"content"), ("HEAD", b"")):
        url = bucket.url(key, method=method, expires_s=60, file_name="tiny-1.0-0.conda")
        assert url is not None
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            assert (answer.read(), answer.headers["Content-Length"]) == (body, "7")


def test_an_address_is_no_good_for_another_method(rclone: S3Server) -> None:
    bucket = S3Store(**rclone.options())
    bucket.put(KEY, b"content")
    url = bucket.url(KEY, method="HEAD", expires_s=60, file_name="tiny-1.0-0.conda")

    assert url is not None
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url)
    assert bucket.url(KEY, method="PUT", expires_s=60, file_name="tiny-1.0-0.conda") is None


def test_large_files_pass_through_little_memory(any_store: Store, tmp_path: Path) -> None:
    source = blank_file(tmp_path / "source", 100 * MIB)
    any_store.stat(KEY)

    tracemalloc.start()
    any_store.put(KEY, source)
    size_bytes = sum(len(chunk) for chunk in any_store.open(KEY))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size_bytes == 100 * MIB
    assert peak_bytes < 32 * MIB


def test_reads_release_their_file_descriptors(any_store: Store, tmp_path: Path) -> None:
    any_store.put(KEY, blank_file(tmp_path / "source", 2 * MIB))
    read(any_store.open(KEY))
    held_before = held_descriptors()

    for _ in range(10):
        read(any_store.open(KEY))
        any_store.open(KEY).close()
        chunks = any_store.open(KEY)
        next(chunks)
        chunks.close()

    assert held_descriptors() <= held_before


def test_the_configured_store_is_one_per_process(tmp_path: Path) -> None:
    settings = {"BACKEND": "hub.storage.folder.FolderStore", "OPTIONS": {"root": tmp_path}}
    with override_settings(STORAGES={"channels": settings}):
        assert store() is store()
        store().put(KEY, b"x")

    assert (tmp_path / KEY).read_bytes() == b"x"


def test_a_bucket_is_configured_by_the_settings_of_django_storages(moto: S3Server) -> None:
    bucket = moto.with_new_bucket()
    with override_settings(
        STORAGES={"channels": {"BACKEND": "hub.storage.s3.S3Store"}},
        AWS_S3_ENDPOINT_URL=bucket.endpoint_url,
        AWS_S3_ACCESS_KEY_ID=bucket.access_key,
        AWS_S3_SECRET_ACCESS_KEY=bucket.secret_key,
        AWS_STORAGE_BUCKET_NAME=bucket.bucket,
        AWS_LOCATION="hub/files",
    ):
        store().put(KEY, b"x")
        assert list(store().list("conda-forge")) == [KEY]

    assert list(S3Store(**bucket.options()).list("")) == [f"hub/files/{KEY}"]
