"""Locks that end with their holder: PostgreSQL's advisory locks, or file locks beside the SQLite database."""

import fcntl
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

WAIT_S = 0.05


@contextmanager
def try_lock(name: str) -> Iterator[bool]:
    """Yield whether this block got the lock `name`, without waiting. The lock ends with the block or the process."""
    with _advisory_lock(name) if connection.vendor == "postgresql" else _file_lock(name) as held:
        yield held


@contextmanager
def wait_for_lock(name: str, *, timeout_s: float) -> Iterator[bool]:
    """Wait for the lock `name`. Yield False if it was not free within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        with try_lock(name) as held:
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
