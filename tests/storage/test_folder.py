"""The folder store: atomic replacement, links, modes and leftovers."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.storage import CHUNK_BYTES, NotInStore, StoreError
from hub.storage.folder import FolderStore

KEY = "conda-forge/noarch/tiny-1.0-0.conda"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    mask: int = request.param
    before = os.umask(mask)
    yield mask
    os.umask(before)


def raising(number: int) -> Callable[..., None]:
    def call(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("linked", [True, False])
def test_readers_never_see_a_mixture(root: Path, tmp_path: Path, *, linked: bool) -> None:
    folder = FolderStore(root)
    size_bytes = 3 * CHUNK_BYTES
    folder.put(KEY, b"." * size_bytes)
    seen: list[bytes] = []
    done = threading.Event()

    def keep_reading() -> None:
        while not done.is_set():
            seen.append(b"".join(folder.open(KEY)))

    readers = [threading.Thread(target=keep_reading) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(50):
        content = bytes([65 + number]) * size_bytes
        source = tmp_path / str(number)
        source.write_bytes(content)
        folder.put(KEY, source if linked else content)
    done.set()
    for reader in readers:
        reader.join()

    assert len({content[:1] for content in seen}) > 1
    assert all(content == content[:1] * size_bytes for content in seen)


def test_writers_of_one_key_do_not_meet(root: Path) -> None:
    folder = FolderStore(root)
    contents = [bytes([65 + number]) * CHUNK_BYTES for number in range(16)]
    writers = [threading.Thread(target=folder.put, args=(KEY, content)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert (root / KEY).read_bytes() in contents
    assert [path.name for path in (root / KEY).parent.iterdir()] == ["tiny-1.0-0.conda"]


def test_a_file_of_the_same_disk_is_linked_not_copied(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")

    FolderStore(root).put(KEY, source)

    assert source.samefile(root / KEY)


def test_a_file_that_can_not_be_linked_is_copied(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    monkeypatch.setattr(os, "link", raising(errno.EXDEV))

    FolderStore(root).put(KEY, source)

    assert (root / KEY).read_bytes() == b"x"
    assert not source.samefile(root / KEY)


def test_a_link_as_source_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "link").symlink_to("source")

    FolderStore(root).put(KEY, tmp_path / "link")

    assert not (root / KEY).is_symlink()
    assert (root / KEY).read_bytes() == b"x"


def test_a_file_that_is_put_twice_leaves_no_second_name(root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")

    FolderStore(root).put(KEY, source)
    FolderStore(root).put(KEY, source)

    assert [path.name for path in (root / KEY).parent.iterdir()] == ["tiny-1.0-0.conda"]


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o027, 0o077], indirect=True, ids=oct)
def test_files_are_as_readable_as_the_umask_allows(root: Path, tmp_path: Path, umask: int) -> None:
    source = tmp_path / "source"
    source.touch(0o600)

    FolderStore(root).put("c/linked", source)
    FolderStore(root).put("c/written", b"x")

    modes = {name: (root / "c" / name).stat().st_mode & 0o777 for name in (".", "linked", "written")}
    assert modes == {".": 0o777 & ~umask, "linked": 0o644 & ~umask, "written": 0o644 & ~umask}


def test_a_full_disk_leaves_the_old_file_and_no_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FolderStore(root)
    folder.put(KEY, b"old")
    monkeypatch.setattr(os, "fsync", raising(errno.ENOSPC))

    with pytest.raises(StoreError, match=f"could not put {KEY}: .*No space left on device") as raised:
        folder.put(KEY, b"new")

    assert isinstance(raised.value.__cause__, OSError)
    assert [path.name for path in (root / KEY).parent.iterdir()] == ["tiny-1.0-0.conda"]
    assert (root / KEY).read_bytes() == b"old"


def test_a_folder_in_the_way_is_a_store_error(root: Path) -> None:
    folder = FolderStore(root)
    folder.put(KEY, b"x")

    with pytest.raises(StoreError, match=r"could not put conda-forge: .*Is a directory"):
        folder.put("conda-forge", b"x")
    with pytest.raises(StoreError, match=f"could not put {KEY}/below: "):
        folder.put(f"{KEY}/below", b"x")
    folder.delete("conda-forge")
    folder.delete(f"{KEY}/below")

    assert list(folder.list("")) == [KEY]


def test_a_file_that_shrinks_while_it_is_read_is_noticed(root: Path) -> None:
    folder = FolderStore(root)
    folder.put(KEY, b"x" * 2 * CHUNK_BYTES)
    chunks = folder.open(KEY)
    next(chunks)
    os.truncate(root / KEY, CHUNK_BYTES + 1)

    with pytest.raises(StoreError, match=f"could not read {KEY}: the body ended {CHUNK_BYTES - 1} bytes early"):
        list(chunks)


@pytest.mark.parametrize("key", ["out", "out/secret", "file"])
def test_links_do_not_lead_out(root: Path, tmp_path: Path, key: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    root.mkdir()
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "file").symlink_to(tmp_path / "outside" / "secret")
    folder = FolderStore(root)

    for refused in (folder.open, folder.stat, folder.delete, lambda key: list(folder.list(key))):
        with pytest.raises(StoreError, match="leads out of the store's folder"):
            refused(key)
    with pytest.raises(StoreError, match="leads out of the store's folder"):
        folder.put(key, b"x")
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"


def test_a_root_that_is_itself_a_link_works(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (tmp_path / "link").symlink_to(root)

    FolderStore(tmp_path / "link").put(KEY, b"x")

    assert list(FolderStore(root).list("")) == [KEY]


def test_leftovers_are_neither_listed_nor_served_and_are_swept(root: Path) -> None:
    folder = FolderStore(root)
    folder.put(KEY, b"x")
    leftover = (root / KEY).with_name(".tmp-0123")
    leftover.write_bytes(b"half a pack")

    assert list(folder.list("")) == [KEY]
    with pytest.raises(StoreError, match="does not accept the key"):
        folder.open("conda-forge/noarch/.tmp-0123")
    assert folder.delete_unfinished(older_than_s=60) == 0
    time.sleep(0.05)
    assert folder.delete_unfinished(older_than_s=0) == 1
    assert [path.name for path in leftover.parent.iterdir()] == ["tiny-1.0-0.conda"]


def test_a_missing_root_is_an_empty_store(root: Path) -> None:
    folder = FolderStore(root)

    assert list(folder.list("")) == []
    assert folder.delete_unfinished(older_than_s=0) == 0
    assert folder.stat(KEY) is None
    with pytest.raises(NotInStore):
        folder.open(KEY)
    assert folder.url(KEY, method="GET", expires_s=60, file_name="tiny-1.0-0.conda") is None
