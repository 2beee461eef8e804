"""Locks that end with their holder: PostgreSQL's advisory locks, or file locks beside the SQLite database."""

import fcntl
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

WAIT_S = 0.05


@contextmanager
def try_lock(name: str) -> Iterator[bool]:
    """Yield whether this block got the lock `name`, without waiting. The lock ends with the block or the process."""
    with _advisory_lock(name) if connection.vendor == "postgresql" else _file_lock(name) as held:
        yield held


@contextmanager
def try_lock_for_slow_io(name: str) -> Iterator[bool]:
    """Do the same as try_lock(), but hold no connection of the pool meanwhile: all such locks share one."""
    if connection.vendor != "postgresql":
        with _file_lock(name) as held:
            yield held
        return
    held = _shared.take(name)
    try:
        yield held
    finally:
        if held:
            _shared.give_back(name)


@contextmanager
def wait_for_lock(name: str, *, timeout_s: float, is_for_slow_io: bool = False) -> Iterator[bool]:
    """Wait for the lock `name`. Yield False if it was not free within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        with try_lock_for_slow_io(name) if is_for_slow_io else try_lock(name) as held:
            if held or time.monotonic() > deadline:
                yield held
                return
        time.sleep(WAIT_S)


def lock_until_commit(name: str) -> None:
    """Wait for the lock `name`, which ends with the transaction. SQLite's transactions exclude each other anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_key(name)])


def try_lock_until_commit(name: str) -> bool:
    """Return whether the transaction got the same lock, without waiting for it."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_key(name)])
        return bool(cursor.fetchone()[0])


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@contextmanager
def _advisory_lock(name: str) -> Iterator[bool]:
    key = _key(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        held = bool(cursor.fetchone()[0])
    session = connection.connection
    try:
        yield held
    finally:
        if held:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
            except DatabaseError:
                # A closed session holds no lock. Back in the pool, it would hold the lock until the process ends.
                session.close()
                raise


class _SharedSession:
    """The database session of this process that holds the locks for slow I/O of all its threads."""

    def __init__(self) -> None:
        self._using = Lock()
        self._names: set[str] = set()
        self._wrapper: BaseDatabaseWrapper | None = None

    def take(self, name: str) -> bool:
        """Return whether the lock was free. Within one session, PostgreSQL would give it twice."""
        with self._using:
            is_free = name not in self._names and self._ask("SELECT pg_try_advisory_lock(%s)", name)
            if is_free:
                self._names.add(name)
            self._close_if_idle()
            return is_free

    def give_back(self, name: str) -> None:
        with self._using:
            self._names.remove(name)
            with suppress(DatabaseError):  # its locks end with the session
                self._ask("SELECT pg_advisory_unlock(%s)", name)
            self._close_if_idle()

    def _ask(self, query: str, name: str) -> bool:
        if self._wrapper is None:
            self._wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
            self._wrapper.inc_thread_sharing()
        try:
            with self._wrapper.cursor() as cursor:
                cursor.execute(query, [_key(name)])
                return bool(cursor.fetchone()[0])
        except DatabaseError:
            if self._wrapper.connection:
                self._wrapper.connection.close()  # back in the pool, it would keep its locks
            self._wrapper.close()
            self._wrapper = None
            raise

    def _close_if_idle(self) -> None:
        if self._wrapper and not self._names:
            self._wrapper.close()
            self._wrapper = None


_shared = _SharedSession()


@contextmanager
def _file_lock(name: str) -> Iterator[bool]:
    path = Path(settings.HUB_DATA_DIR) / "locks" / hashlib.sha256(name.encode()).hexdigest()[:32]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
