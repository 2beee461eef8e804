"""repodata.json of an upstream, read as a stream: its records lie in a temporary database, by package name."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import msgpack

from channels_app import identifiers
from hub.sizes import MIB
from publishing.index.repodata import REVISION_KEY
from publishing.json_stream import BadJson, JsonStream

RECORD_MAX_CHARACTERS = 16 * MIB
# Limits of what is in memory: the hashes of all names, and the records of one name.
NAMES_MAX, NAME_MAX_BYTES = 500_000, 32 * MIB
ROWS_AT_ONCE = 1000
# Buckets of `v3` with packages that this hub serves. That of wheels can be large.
EXTENSIONS, WHEELS = ("tar.bz2", "conda"), "whl"
SECTIONS = ("packages", "packages.conda", "v3")


class JsonIndex(NamedTuple):
    """The records of the document, by name. `hashes`: name → SHA-256 of its records."""

    rows: sqlite3.Connection
    info: dict[str, Any]
    hashes: dict[str, str]

    def records(self, name: str) -> dict[str, Any]:
        found = self.rows.execute("SELECT file_name, record FROM record WHERE name = ? ORDER BY file_name", [name])
        rows = [(file_name, msgpack.unpackb(record)) for file_name, record in found]
        # As in a shard, a record outside `v3` replaces one of the same file in it.
        return dict(sorted(rows, key=lambda row: REVISION_KEY not in row[1]))


@contextmanager
def opened(chunks: Iterable[str]) -> Iterator[JsonIndex]:
    """Read the document, and yield its records. Raise BadJson if it can't be read."""
    with closing(sqlite3.connect("")) as rows:  # a temporary file, deleted when the connection closes
        rows.execute("CREATE TABLE record (name TEXT, file_name TEXT, record BLOB)")
        info: dict[str, Any] = {}
        rows.executemany("INSERT INTO record VALUES (?, ?, ?)", _rows(chunks, info))
        rows.execute("CREATE INDEX by_name ON record (name, file_name)")
        yield JsonIndex(rows, info, _hashes(rows))


def _rows(chunks: Iterable[str], info: dict[str, Any]) -> Iterator[tuple[str, str, bytes]]:
    for section, key, value in entries(chunks):
        if section == "info":
            if key == "base_url":
                info[key] = value
        elif isinstance(value, dict) and identifiers.is_package_name(value.get("name")) and _is_text(key):
            yield value["name"], key, _packed(value)


def _packed(record: dict[str, Any]) -> bytes:
    """Pack a record; of one that can't be stored, such as with a number of 70 bits, the name alone."""
    try:
        packed: bytes = msgpack.packb(record)
    except (OverflowError, ValueError):
        packed = msgpack.packb({"name": record["name"]})
    return packed


def _is_text(text: str) -> bool:
    """Tell whether the text has no half of a surrogate pair, which JSON can escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _hashes(rows: sqlite3.Connection) -> dict[str, str]:
    ordered = rows.execute("SELECT name, file_name, record FROM record ORDER BY name, file_name")
    found: dict[str, str] = {}
    for name, of_name in groupby(ordered, key=lambda row: row[0]):
        digest, size_bytes = hashlib.sha256(), 0
        for _, file_name, record in of_name:
            size_bytes += len(file_name) + len(record)
            if len(found) >= NAMES_MAX or size_bytes > NAME_MAX_BYTES:
                raise BadJson("it has too many names, or one has too many records")
            digest.update(file_name.encode() + b"\0" + record)
        found[name] = digest.hexdigest()
    return found


def entries(chunks: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield (section, key, value) for each entry of the sections of records and of `info`."""
    stream = JsonStream(iter(chunks), value_max_characters=RECORD_MAX_CHARACTERS)
    has_records = False
    for section in stream.members():
        if section in SECTIONS:
            has_records = True
            for key, value, revision in section_entries(stream, section):
                yield section, key, placed(value, revision)
        elif section == "info":
            for key in stream.members():
                yield section, key, stream.value()
        else:
            stream.value()
    if not has_records:
        raise BadJson("it has no packages, not even an empty list")


def section_entries(stream: JsonStream, section: str) -> Iterator[tuple[str, Any, int]]:
    """Yield (file name, value, repodata revision) of one of SECTIONS, also of run_exports.json."""
    if section != "v3":
        yield from ((key, stream.value(), 1) for key in stream.members())
        return
    for bucket in stream.members():
        if bucket in (*EXTENSIONS, WHEELS):
            entries = ((f"{key}.{bucket}", stream.value(), 3) for key in stream.members())
            yield from (entry for entry in entries if bucket != WHEELS)
        else:
            stream.value()


def placed(record: Any, revision: int) -> Any:
    """Return the record with the repodata revision of its section, not the one that it states."""
    if not isinstance(record, dict) or (revision == 1 and REVISION_KEY not in record):
        return record
    kept = {key: value for key, value in record.items() if key != REVISION_KEY}
    return kept | {REVISION_KEY: revision} if revision == 3 else kept
