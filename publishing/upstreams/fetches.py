"""Fetches that run in this process: a thread writes each file, and the client that asked first reads it meanwhile.

The thread depends on no client. One that reads slowly holds nobody up, and one that leaves ends no fetch.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from threading import Condition, Thread

from django.db import connection

from hub.sizes import KIB

CHUNK_BYTES = 256 * KIB
# The end of a package, which its first client gets only after all bytes were verified: a wrong one stays incomplete.
HELD_BACK_BYTES = 4 * KIB
# A fetch that ends so soon is answered as if the file had been there, so that an error has its status and sentence.
SOON_S = 0.2


class Fetch:
    """The state of one fetch. Its thread calls begin(), add(), verified() and end(), requests call the others."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._changed = Condition()
        self._written_bytes, self._is_verified, self._is_over = 0, False, False
        self._error: Exception | None = None
        self._reader: FileIO | None = None

    def begin(self, path: Path) -> None:
        """Begin to write the file `path`, which exists. It may be deleted while its first client reads it."""
        self._reader = FileIO(path)

    def add(self, count: int) -> None:
        """Note that `count` more bytes are in the file."""
        with self._changed:
            self._written_bytes += count
            self._changed.notify_all()

    def verified(self) -> None:
        with self._changed:
            self._is_verified = True
            self._changed.notify_all()

    def end(self, error: Exception | None = None) -> None:
        """End the fetch. Without an error, the store has the file now."""
        with self._changed:
            self._is_over, self._error = True, error
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end. Return False if it did not come, and raise the error of the fetch."""
        with self._changed:
            is_over = self._changed.wait_for(lambda: self._is_over, timeout_s)
        if self._error:
            raise self._error.with_traceback(None)
        return is_over

    def followed(self, timeout_s: float) -> "Arriving | None":
        """Wait for the first bytes and return all bytes as they come; None if the fetch ends within a moment.

        Call it once, by the request that began the fetch.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._sendable_bytes() > 0, timeout_s)
            is_over = self._changed.wait_for(lambda: self._is_over, SOON_S)
            if is_over or self._sendable_bytes() <= 0 or not self._reader:
                return None
            return Arriving(self, self._reader)

    def sendable_bytes(self, sent_bytes: int) -> int:
        """Wait until more than `sent_bytes` may be sent, and return how many. Raise ConnectionResetError if none will.

        gunicorn then closes the connection before the end of the body, without writing to the log.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._sendable_bytes() > sent_bytes)
            if self._sendable_bytes() > sent_bytes:
                return self._sendable_bytes()
        raise ConnectionResetError(errno.ECONNRESET, "The upstream did not deliver the package.")

    def _sendable_bytes(self) -> int:
        return self.size_bytes if self._is_verified else min(self._written_bytes, self.size_bytes - HELD_BACK_BYTES)


class Arriving(Iterator[bytes]):
    """The bytes of a package that is being fetched, as they come."""

    def __init__(self, fetch: Fetch, reader: FileIO) -> None:
        self._fetch, self._reader, self._sent_bytes = fetch, reader, 0

    def __next__(self) -> bytes:
        if self._sent_bytes == self._fetch.size_bytes:
            raise StopIteration
        count = self._fetch.sendable_bytes(self._sent_bytes) - self._sent_bytes
        chunk = self._reader.read(min(count, CHUNK_BYTES))
        self._sent_bytes += len(chunk)
        return chunk

    def close(self) -> None:
        self._reader.close()


def start(work: Callable[[], None], turn: AbstractContextManager[object]) -> None:
    """Do the work in a thread of its own, which ends with the process, and then end the turn. Without one, wait."""

    def do() -> None:
        with turn:
            try:
                work()
            finally:
                connection.close()

    try:
        Thread(target=do, daemon=True).start()
    except RuntimeError:  # the machine has no thread left
        do()
