"""The store as a local folder. Its paths are the keys, so a web server can serve it."""

import heapq
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from hub.storage import (
    TEMPORARY_PREFIX,
    Chunks,
    Entry,
    NotInStore,
    Stat,
    StoreError,
    as_store_error,
    check_range,
    checked,
)

# A folder is read again for each of these, since it lists its names in no order.
NAMES_AT_ONCE = 20_000
READABLE = 0o2055  # readable for the group and for all; new entries inherit the group
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FolderStore:
    """A folder. `follows_links`: those that stay inside. In the hub's own store they could lead to other channels."""

    def __init__(self, root: Path | str, *, follows_links: bool = True) -> None:
        self.root = os.path.realpath(root)
        self.follows_links = follows_links

    def put(self, key: str, source: Path | bytes, *, content_type: str = "application/octet-stream") -> None:
        target = self._path(key)
        temporary = target.with_name(TEMPORARY_PREFIX + secrets.token_hex(16))
        with as_store_error("put", key, OSError):
            _make_folder(target.parent)
            try:
                _fill(temporary, source)
                temporary.replace(target)
            finally:
                # After a success it still exists if both are links to one file: rename(2) then does nothing.
                temporary.unlink(missing_ok=True)
            _flush(target.parent)

    def copy(self, source: str, target: str) -> None:
        path = self._path(source)
        with as_store_error("copy", source, OSError):
            if not path.is_file() or self._is_unfollowed(path):
                raise NotInStore(source)
        self.put(target, path)

    def open(self, key: str, *, first: int = 0, last: int | None = None) -> Chunks:
        check_range(key, first, last)
        path = self._path(key)
        with as_store_error("open", key, OSError):
            try:
                file = self._opened(path)
            except _ABSENT:
                raise NotInStore(key) from None
            size_bytes = os.fstat(file.fileno()).st_size
            if (first or last is not None) and first >= size_bytes:
                file.close()
                raise StoreError(f"The store could not open {key}: it has {size_bytes} bytes, none from {first} on")
            file.seek(first)
        end = size_bytes if last is None else min(last + 1, size_bytes)
        return Chunks(key, file, end - first, OSError)

    def stat(self, key: str) -> Stat | None:
        path = self._path(key)
        with as_store_error("stat", key, OSError), suppress(*_ABSENT):
            found = path.stat(follow_symlinks=self.follows_links)
            if stat.S_ISREG(found.st_mode):
                return Stat(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
        return None

    def url(self, key: str, *, method: str, expires_s: int, file_name: str) -> str | None:
        return None

    def delete(self, key: str) -> None:
        path = self._path(key)
        with as_store_error("delete", key, OSError), suppress(*_ABSENT):
            path.unlink()

    def list(self, prefix: str) -> Iterator[str]:
        with as_store_error("list", prefix, OSError):
            for path in self._walk(prefix):
                if not path.name.startswith(TEMPORARY_PREFIX):
                    yield path.relative_to(self.root).as_posix()

    def stats(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        for key in self.list(prefix):
            with as_store_error("stat", key, OSError), suppress(*_ABSENT):
                found = Path(self.root, key).stat(follow_symlinks=self.follows_links)
                if stat.S_ISREG(found.st_mode):
                    yield key, Stat(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def folders(self, prefix: str) -> Sequence[str]:
        with as_store_error("list", prefix, OSError), self._scan(prefix) as found:
            return sorted(each.name for each in found if each.is_dir(follow_symlinks=False))

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        with as_store_error("list", prefix, OSError):
            is_last = False
            while not is_last:
                files = self._files(prefix, after)
                for file in files:
                    with suppress(*_ABSENT):
                        yield _entry(file.name, file.stat(follow_symlinks=False))
                after, is_last = files[-1].name if files else "", len(files) < NAMES_AT_ONCE

    def _files(self, prefix: str, after: str) -> Sequence["os.DirEntry[str]"]:
        """Return the first files of a folder whose names come `after` this one, without those of unfinished puts."""
        with self._scan(prefix) as found:
            later = (each for each in found if each.name > after and not each.name.startswith(TEMPORARY_PREFIX))
            files = (each for each in later if each.is_file(follow_symlinks=False))
            return heapq.nsmallest(NAMES_AT_ONCE, files, key=attrgetter("name"))

    @contextmanager
    def _scan(self, prefix: str) -> Iterator[Iterator["os.DirEntry[str]"]]:
        """Yield the entries of a folder; none if it does not exist."""
        try:
            found = os.scandir(self._folder(prefix))
        except _ABSENT:
            yield iter(())
            return
        with found:
            yield found

    def delete_unfinished(self, *, older_than_s: int) -> int:
        with as_store_error("delete_unfinished", self.root, OSError):
            temporaries = [path for path in self._walk("") if path.name.startswith(TEMPORARY_PREFIX)]
            # A link's mtime can be as old as its source; its ctime is its creation.
            leftovers = [path for path in temporaries if _age_s(path) > older_than_s]
            for path in leftovers:
                path.unlink(missing_ok=True)
        return len(leftovers)

    def remove_empty_folders(self, prefix: str) -> None:
        """Remove the folder `prefix` if it has no files."""
        folders = [folder for folder, _, _ in os.walk(self._folder(prefix))]
        with suppress(OSError):
            for folder in reversed(folders):
                Path(folder).rmdir()

    def _path(self, key: str) -> Path:
        """Return the path of a file. If links are not followed, one that has its name counts as no file."""
        path = Path(self.root, checked(key))
        self._check_links(key, path if self.follows_links else path.parent)
        return path

    def _folder(self, prefix: str) -> Path:
        path = Path(self.root, checked(prefix.removesuffix("/")))
        self._check_links(prefix, path)
        return path

    def _check_links(self, key: str, path: Path) -> None:
        found = Path(os.path.realpath(path))
        if not found.is_relative_to(self.root):
            raise StoreError(f"The store does not accept the key {key!r}: it leads out of the store's folder")
        if found != path and not self.follows_links:
            raise StoreError(f"The store does not accept the key {key!r}: it leads over a symbolic link")

    def _is_unfollowed(self, path: Path) -> bool:
        return not self.follows_links and path.is_symlink()

    def _opened(self, path: Path) -> BinaryIO:
        """Open a file. Raise FileNotFoundError if something else is in its place: a pipe would wait for its writer."""
        if self._is_unfollowed(path):
            raise FileNotFoundError(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if self.follows_links else os.O_NOFOLLOW))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        raise FileNotFoundError(path)

    def _walk(self, prefix: str) -> Iterator[Path]:
        top = self._folder(prefix) if prefix else self.root
        for folder, _, names in os.walk(top, onerror=_raise_unless_absent):
            yield from (Path(folder, name) for name in names)


def _fill(temporary: Path, source: Path | bytes) -> None:
    """Write the bytes of `source` durably to `temporary`, with the permissions and group of the store's other files."""
    if isinstance(source, bytes):
        temporary.write_bytes(source)
    else:
        try:
            temporary.hardlink_to(source.resolve())
        except OSError:  # other filesystem, other owner, or no support for links
            shutil.copyfile(source, temporary)
    above = temporary.parent.stat()
    # A link keeps the group of its source.
    if above.st_mode & stat.S_ISGID and temporary.stat().st_gid != above.st_gid:
        os.chown(temporary, -1, above.st_gid)
    temporary.chmod(above.st_mode & 0o644)
    os.utime(temporary)
    _flush(temporary)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        # The new folder gets the read permissions of its parent, whatever the umask: a web server may send its files.
        above, made = folder.parent.stat().st_mode, folder.stat().st_mode
        if above & READABLE & ~made:
            folder.chmod((made | above & READABLE) & 0o7777)
        _flush(folder.parent)


def _flush(path: Path) -> None:
    """Flush a file's bytes or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_ctime
    except FileNotFoundError:  # its put has just finished
        return 0


def _entry(name: str, found: os.stat_result) -> Entry:
    modified_at, changed_at = (datetime.fromtimestamp(time_s, UTC) for time_s in (found.st_mtime, found.st_ctime))
    version = f"{found.st_mtime_ns:x}-{found.st_ino:x}"
    return Entry(name, found.st_size, modified_at, max(modified_at, changed_at), version)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, _ABSENT):
        raise error
