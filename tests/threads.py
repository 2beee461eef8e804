"""Changes that happen at the same moment, each in a thread and with a database connection of its own."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection, connections

from hub.errors import HubError


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
    database["NAME"] = folder / "copy.sqlite3"
    try:
        yield
    finally:
        database["NAME"] = name


def at_once(*changes: Callable[[], object]) -> list[object]:
    """What each of `changes` returns or raises, all begun at the same moment, each with a connection of its own."""
    barrier, results = threading.Barrier(len(changes)), []

    def run(change: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait()
            results.append(change())
        except HubError as error:
            results.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[change]) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
