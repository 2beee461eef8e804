"""Listing of the store below a channel, kept in a temporary database so that memory use is constant.

A bucket lists a thousand keys per request. A separate stat of each key would cost a request per key.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from hub.storage import store

KEYS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Inventory:
    rows: sqlite3.Connection

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return key → size in bytes for those of at most 500 `keys` that the store has, and mark them as known."""
        wanted = list(keys)
        marks = ",".join("?" * len(wanted))
        self.rows.execute(f"UPDATE held SET is_known = 1 WHERE key IN ({marks})", wanted)  # noqa: S608  # nosec B608  # question marks
        return dict(self.rows.execute(f"SELECT key, size_bytes FROM held WHERE key IN ({marks})", wanted))  # noqa: S608  # nosec B608  # question marks

    def mark_known(self, keys: Iterable[str]) -> None:
        self.rows.executemany("UPDATE held SET is_known = 1 WHERE key = ?", ((key,) for key in keys))

    def unknown(self, *, before: datetime) -> Iterator[str]:
        """Return the sorted keys that are not marked as known and that were modified `before`."""
        query = "SELECT key FROM held WHERE NOT is_known AND modified_at < ? ORDER BY key"
        return (key for (key,) in self.rows.execute(query, [before.timestamp()]))

    def all_keys(self) -> Iterator[str]:
        return (key for (key,) in self.rows.execute("SELECT key FROM held ORDER BY key"))


@contextmanager
def inventory_of(prefix: str) -> Iterator[Inventory]:
    """Yield the inventory of the folder `prefix`, or of the whole store if it is empty."""
    rows = sqlite3.connect("")  # a temporary file, deleted when the connection closes
    try:
        rows.execute(
            "CREATE TABLE held (key TEXT PRIMARY KEY, size_bytes INTEGER, modified_at REAL, is_known DEFAULT 0)"
        )
        found = ((_text(key), stat.size_bytes, stat.modified_at.timestamp()) for key, stat in store().stats(prefix))
        rows.executemany("INSERT OR REPLACE INTO held (key, size_bytes, modified_at) VALUES (?, ?, ?)", found)
        yield Inventory(rows)
    finally:
        rows.close()


def _text(key: str) -> str:
    """Return the key as valid Unicode. A folder may contain other names, which the hub never creates."""
    return key.encode(errors="backslashreplace").decode()
