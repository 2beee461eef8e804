"""Fragments and shards of an upstream's names, made from the stored records (`UpstreamName`) instead of artifacts."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import msgpack
import zstandard

from publishing.index import repodata, shards
from publishing.index.canary import ArtifactEntry
from publishing.index.spool import Spool
from publishing.models import SubdirIndex, UpstreamName

ROWS_AT_ONCE = 20
STORED_LEVEL = 3
# The upstream's own value of indexed_timestamp is kept under this key.
UPSTREAM_TIMESTAMP = "upstream_indexed_timestamp"

SHA256 = re.compile(r"[0-9a-f]{64}\Z")

Record = dict[str, Any]


class NameRecords(NamedTuple):
    """The records of one name: file name → record, and file name → why a record can't be used."""

    records: dict[str, Record]
    left_out: dict[str, str]


@dataclass(slots=True)
class UpstreamRow:
    """A record of an upstream, in the form of an artifact's columns."""

    file_name: str
    subdir: str
    version: str
    index_json: Mapping[str, Any]
    run_exports: Any
    md5: str
    sha256: str
    size_bytes: int
    indexed_timestamp: int
    revision: int = 1
    attestations_sha256: str = ""

    @classmethod
    def of(cls, subdir: str, file_name: str, record: Record, indexed_timestamp: int) -> Self:
        """Make the row. `indexed_timestamp`: ms since 1970 when the hub first saw the record."""
        stated = record.get("indexed_timestamp")
        return cls(
            file_name,
            subdir,
            record["version"],
            record if stated is None else record | {UPSTREAM_TIMESTAMP: stated},
            record.get("run_exports"),
            record.get("md5", ""),
            record["sha256"],
            record["size"],
            indexed_timestamp,
            record.get(repodata.REVISION_KEY, 1),
            attestations_sha256=attestations_sha256(record),
        )


def attestations_sha256(record: Record) -> str:
    """Return the SHA-256 of the record's sidecar (CEP 50), or an empty string."""
    stated = record.get("attestations_sha256")
    return stated if isinstance(stated, str) and SHA256.match(stated) else ""


def pack(found: NameRecords) -> bytes:
    """Return the bytes of the column `records`."""
    return zstandard.compress(msgpack.packb(tuple(found)), STORED_LEVEL)


def unpack(stored: bytes | memoryview) -> NameRecords:
    return NameRecords(*msgpack.unpackb(zstandard.decompress(bytes(stored))))


def pack_run_exports(stated: Mapping[str, Any]) -> bytes:
    """Return the bytes of the column `run_exports`. `stated`: file name → run exports."""
    return zstandard.compress(msgpack.packb(stated), STORED_LEVEL)


def _with_run_exports(row: UpstreamName, found: Mapping[str, Record]) -> dict[str, Record]:
    """Return the records, with run exports that only the upstream's run_exports.json states."""
    beside = msgpack.unpackb(zstandard.decompress(bytes(row.run_exports))) if row.run_exports else {}
    return {
        file_name: {"run_exports": beside[file_name]} | record if file_name in beside else record
        for file_name, record in found.items()
    }


def entry(row: UpstreamRow) -> ArtifactEntry:
    """Return the parts of one record. Unknown run exports are in no file."""
    return ArtifactEntry(repodata.entries(row, is_newest=False), shards.shard_entry(row))


def make(index: SubdirIndex, names: Sequence[str], spool: Spool) -> None:
    """Fill the spool with the listed records of `names`."""
    for start in range(0, len(names), ROWS_AT_ONCE):
        some = names[start : start + ROWS_AT_ONCE]
        for row in index.upstream_names.filter(name__in=some).order_by("name"):
            _add(index, row, spool)


def listed(subdir: str, row: UpstreamName) -> Iterator[UpstreamRow]:
    """Yield the listed records of a name, in the order of a shard."""
    found = _with_run_exports(row, unpack(row.records).records)
    shown = (file_name for file_name in found if file_name not in row.hidden)
    rows = [UpstreamRow.of(subdir, name, found[name], row.first_seen[name][1]) for name in shown]
    yield from sorted(rows, key=lambda row: (row.revision, row.file_name.endswith(".conda"), row.file_name))


def _add(index: SubdirIndex, row: UpstreamName, spool: Spool) -> None:
    entries, counts = [], Counter[str]()
    for each in listed(index.platform, row):
        made = entry(each)
        entries.append(made.packed)
        counts[repodata.section_of(each)[0]] += 1
        for section, text in made.texts.items():
            spool.add(section, text)
    if entries:
        spool.add_shard(row.name, shards.shard_chunks(counts, iter(entries), []))
    spool.end(row.name)
