"""The package store: one interface over a folder (folder.py) or an S3 bucket (s3.py).

Keys are relative paths with `/` between their segments. Every method raises only StoreError or NotInStore.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, cast

from django.core.files.storage import storages

from hub.observability import metrics
from hub.sizes import KIB

CHUNK_BYTES = 256 * KIB
TEMPORARY_PREFIX = ".tmp-"


class StoreError(Exception):
    """The operation failed: a timeout, a 5xx, no space, no permission, or a truncated body."""


class NotInStore(StoreError):  # noqa: N818
    """The store has no object with this key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"{self.key} is not in the store"


@dataclass(frozen=True, slots=True)
class Stat:
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A file directly in a folder of the store.

    `version` differs if other bytes were written to it. `changed_at`: when its bytes, name or permissions last changed.
    """

    name: str
    size_bytes: int
    modified_at: datetime
    changed_at: datetime
    version: str


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class Chunks(Iterator[bytes]):
    """Chunks of one read. Close it if you stop before the end: it holds a connection or a file."""

    def __init__(self, key: str, source: Readable, size_bytes: int, *faults: type[Exception]) -> None:
        self._key = key
        self._source = source
        self.size_bytes = size_bytes
        self._left_bytes = size_bytes
        self._faults = faults

    def __next__(self) -> bytes:
        if not self._left_bytes:
            self.close()
            raise StopIteration
        with as_store_error("read", self._key, *self._faults):
            chunk = self._source.read(min(CHUNK_BYTES, self._left_bytes))
        if not chunk:
            raise StoreError(f"The store could not read {self._key}: the body ended {self._left_bytes} bytes early")
        self._left_bytes -= len(chunk)
        return chunk

    def close(self) -> None:
        self._source.close()


class Store(Protocol):
    def put(self, key: str, source: Path | bytes, *, content_type: str = "application/octet-stream") -> None:
        """Store `source` atomically and durably: a reader sees all of the old bytes or all of the new.

        The file of a Path stays. The store may link to it and set its mode and time, so don't write to it again.
        """

    def copy(self, source: str, target: str) -> None:
        """Copy the package `source` to the key `target` within the store, as put() does. No byte comes to the hub.

        Raise NotInStore if there is no `source`.
        """

    def open(self, key: str, *, first: int = 0, last: int | None = None) -> Chunks:
        """Return the bytes `first` to `last`, inclusive, as in HTTP's Range.

        NotInStore is raised here, not while reading.
        """

    def stat(self, key: str) -> Stat | None: ...

    def url(self, key: str, *, method: str, expires_s: int, file_name: str) -> str | None:
        """Return a signed URL for `method`, GET or HEAD; None if the store can't sign."""

    def delete(self, key: str) -> None:
        """Remove the key. A missing key is no error."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield all keys below the folder `prefix`, or all keys if it is empty, in no order."""

    def stats(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        """Yield the same keys with their Stat. A bucket returns a thousand per request."""

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the sorted names of the folders directly in `prefix`. Symbolic links are left out."""

    def entries(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        """Yield the files directly in `prefix` whose names come `after` this one, in the order of code points.

        Symbolic links are left out. Memory stays flat. A bucket returns a thousand names per request.
        """

    def delete_unfinished(self, *, older_than_s: int) -> int:
        """Remove leftovers of interrupted puts and return their number."""


def store() -> Store:
    """Return the configured store, one per process. Don't use it before a fork: its connections would be shared."""
    return cast(Store, storages["channels"])


def checked(key: str) -> str:
    """Return `key`. Raise StoreError unless it names the same object in a folder and in a bucket."""
    plain = key.isprintable() and "\\" not in key
    if not plain or any(part in ("", ".", "..") or part.startswith(TEMPORARY_PREFIX) for part in key.split("/")):
        raise StoreError(
            f"The store does not accept the key {key!r}: expected a relative path of printable characters without "
            f"backslashes, empty segments, '.', '..' and names that start with {TEMPORARY_PREFIX}"
        )
    return key


def checked_folder(prefix: str) -> str:
    return checked(prefix.removesuffix("/")) + "/" if prefix else ""


def check_range(key: str, first: int, last: int | None) -> None:
    if first < 0 or (last is not None and last < first):
        raise StoreError(f"The store could not open {key}: bytes {first} to {last} are not a valid range")


def kept(chunks: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """Yield the chunks and also write them to `path`."""
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            yield chunk


def hashed(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of all chunks together, in hex."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return sha256.hexdigest()


def _reason(error: Exception) -> str:
    """Return the text of the error, without paths of the server: members of channels read it."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


@contextmanager
def as_store_error(verb: str, key: str, *faults: type[Exception]) -> Iterator[None]:
    began = time.perf_counter()
    outcome = "ok"
    try:
        yield
    except NotInStore:
        outcome = "absent"
        raise
    except faults as error:
        outcome = "failed"
        raise StoreError(f"The store could not {verb} {key}: {_reason(error)}") from error
    finally:
        metrics.STORE.labels(verb, outcome).observe(time.perf_counter() - began)
