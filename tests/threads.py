"""Changes that happen at the same moment, each in a thread and with a database connection of its own."""

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
    """Where the tests' database is in memory, a copy of it in a file: there nobody waits for a lock in memory."""
    if connection.vendor != "sqlite":
        yield
        return
    database = connections.databases["default"]
    name = database["NAME"]
    with closing(sqlite3.connect(folder / "copy.sqlite3")) as copy:
        connection.connection.backup(copy)
        # As a hub's own: two connections that both want to switch to it at once would refuse each other.
        copy.execute("PRAGMA journal_mode=WAL")
    database["NAME"] = folder / "copy.sqlite3"
    try:
        yield
    finally:
        database["NAME"] = name


def at_once(*changes: Callable[[], object]) -> list[object]:
    """What each of `changes` returns or raises, all begun at the same moment, each with a connection of its own."""
    barrier, results, failures = threading.Barrier(len(changes), timeout=START_S), [], []

    def run(change: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            results.append(change())
        except HubError as error:
            results.append(error.code)
        except Exception as error:  # noqa: BLE001  (raised again below, where the test can see it)
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
