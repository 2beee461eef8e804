"""Concurrent changes, each in its own thread with its own database connection."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection, connections

from hub.errors import HubError

START_S = 60


@contextmanager
def shared_database(folder: Path) -> Iterator[None]:
    """Copy an in-memory test database to a file: SQLite does not wait for locks in memory."""
    if connection.vendor != "sqlite":
        yield
        return
    database = connections.databases["default"]
    name = database["NAME"]
    with closing(sqlite3.connect(folder / "copy.sqlite3")) as copy:
        connection.connection.backup(copy)
        # As for a hub. Two connections that switch to it at the same time would fail.
        copy.execute("PRAGMA journal_mode=WAL")
    database["NAME"] = folder / "copy.sqlite3"
    try:
        yield
    finally:
        database["NAME"] = name


def at_once(*changes: Callable[[], object]) -> list[object]:
    """Run all `changes` at the same moment, each with its own connection. Return their results or exceptions."""
    barrier, results, failures = threading.Barrier(len(changes), timeout=START_S), [], []

    def run(change: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            results.append(change())
        except HubError as error:
            results.append(error.code)
        except Exception as error:  # noqa: BLE001  (raised again below, in the test's thread)
            failures.append(error)
            barrier.abort()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[change]) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
