"""Listing of the files that an import takes, in a temporary database, so that memory is flat for any source."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from channels_app.identifiers import EXTENSIONS, KNOWN_SUBDIRS
from publishing.archive.errors import BadPackage
from publishing.archive.identity import parse_file_name
from publishing.imports.sources import Source
from publishing.record_filters import Filters, older

TABLE = """CREATE TABLE file (
    subdir TEXT, name TEXT, sha256 TEXT, size_bytes INTEGER, indexed_timestamp INTEGER,
    is_removed INTEGER, is_attested INTEGER, package TEXT, version TEXT, PRIMARY KEY (subdir, name)) WITHOUT ROWID"""
# Facts of an index add to those of a listing, and never replace a record by less.
ADD = """INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    sha256 = COALESCE(excluded.sha256, sha256), size_bytes = MAX(size_bytes, excluded.size_bytes),
    indexed_timestamp = COALESCE(excluded.indexed_timestamp, indexed_timestamp),
    is_removed = MAX(is_removed, excluded.is_removed), is_attested = MAX(is_attested, excluded.is_attested)"""
VERSIONS = """SELECT subdir, package, version, MIN(is_removed) FROM file
    GROUP BY subdir, package, version ORDER BY subdir, package"""
OLDER = "CREATE TABLE older (subdir TEXT, package TEXT, version TEXT, PRIMARY KEY (subdir, package, version))"
DROP_OLDER = "DELETE FROM file WHERE (subdir, package, version) IN (SELECT subdir, package, version FROM older)"
INT64 = 2**63


class Listed(NamedTuple):
    """A file of the source. `sha256` is "" and `size_bytes` 0 if the source does not state them."""

    subdir: str
    file_name: str
    sha256: str
    size_bytes: int
    indexed_timestamp: int | None
    is_removed: bool
    is_attested: bool

    @property
    def path(self) -> str:
        return f"{self.subdir}/{self.file_name}"


@dataclass(frozen=True, slots=True)
class Listing:
    rows: sqlite3.Connection

    def totals(self) -> tuple[int, int]:
        """Return the number of files, and their bytes as far as the source states them."""
        found: tuple[int, int] = self.rows.execute("SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM file").fetchone()
        return found

    def per_subdir(self) -> dict[str, tuple[int, int]]:
        """Return subdir → number of files and bytes."""
        query = "SELECT subdir, COUNT(*), SUM(size_bytes) FROM file GROUP BY subdir ORDER BY subdir"
        return {subdir: (count, size_bytes) for subdir, count, size_bytes in self.rows.execute(query)}

    def batches(self, count: int) -> Iterator[list[Listed]]:
        """Yield the files of one subdir after another, `count` at a time, sorted by name."""
        for subdir in self.per_subdir():
            rows = self.rows.execute("SELECT * FROM file WHERE subdir = ? ORDER BY name", [subdir])
            while batch := rows.fetchmany(count):
                yield [
                    Listed(subdir, name, sha256 or "", size, timestamp, bool(removed), bool(attested))
                    for _, name, sha256, size, timestamp, removed, attested, *_ in batch
                ]


@contextmanager
def listing_of(
    source: Source, filters: Filters, subdirs: Sequence[str], newest_versions: int | None
) -> Iterator[Listing]:
    """Yield the files of the subdirs, or of all, that the filters keep. Raise SourceError.

    `newest_versions`: of each name and subdir, among the files that the source does not list as removed; None: all.
    """
    rows = sqlite3.connect("")  # a temporary file, deleted when the connection closes
    try:
        rows.execute(TABLE)
        for subdir in subdirs or KNOWN_SUBDIRS:
            rows.executemany(ADD, _kept(source, subdir, filters))
        if newest_versions:
            rows.execute(OLDER)
            rows.executemany("INSERT INTO older VALUES (?, ?, ?)", _older(rows, newest_versions))
            rows.execute(DROP_OLDER)
        yield Listing(rows)
    finally:
        rows.close()


def _kept(source: Source, subdir: str, filters: Filters) -> Iterator[tuple[Any, ...]]:
    for name, record in source.entries(subdir, filters):
        if not name.endswith(EXTENSIONS) or "/" in name:
            continue
        try:
            file = parse_file_name(name)
        except BadPackage:
            continue
        found = record or {}
        if not filters.reason(file.name, subdir, found | {"version": file.version, "build": file.build}):
            yield (
                subdir,
                name,
                _sha256(found.get("sha256")),
                _number(found.get("size")) or 0,
                _number(found.get("indexed_timestamp")),
                record is None,
                bool(found.get("attestations_sha256")),
                file.name,
                file.version,
            )


def _older(rows: sqlite3.Connection, newest: int) -> Iterator[tuple[str, str, str]]:
    """Yield the versions beyond the newest ones, with subdir and name."""
    for (subdir, package), group in groupby(rows.execute(VERSIONS), key=lambda row: row[:2]):
        removed = {version: bool(is_removed) for _, _, version, is_removed in group}
        listed = [version for version in removed if not removed[version]]
        for version in older(listed, newest, removed):
            yield subdir, package, version


def _sha256(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and len(value) == 64 else None


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 < value < INT64 else None
