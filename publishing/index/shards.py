"""Shards: the index files of one package name each, and the index of shards (CEP 16). Without I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgpack
import zstandard

from publishing.index.repodata import (
    NO_RELATIONS,
    ZSTD_LEVEL,
    Relations,
    Revision,
    Row,
    channel_facts,
    record,
    section_of,
)

SHARD = re.compile(r"shards/([0-9a-f]{64})\.msgpack\.zst\Z")


def shard_chunks(counts: Mapping[str, int], entries: Iterator[bytes], removed: Sequence[str]) -> Iterator[bytes]:
    """Yield one name's shard in msgpack, uncompressed (CEP 16). `entries` come in the order of the sections' counts."""
    pack, v3 = msgpack.Packer(), {section[3:]: n for section, n in counts.items() if section.startswith("v3.")}

    def section(key: str, count: int) -> Iterator[bytes]:
        yield pack.pack(key) + pack.pack_map_header(count)
        yield from islice(entries, count)

    yield pack.pack_map_header(4 if v3 else 3)
    yield from section("packages", counts.get("packages", 0))
    yield from section("packages.conda", counts.get("packages.conda", 0))
    yield pack.pack("removed") + pack.pack(removed)
    if v3:
        yield pack.pack("v3") + pack.pack_map_header(len(v3))
        for extension, count in v3.items():
            yield from section(extension, count)


def shard_entry(row: Row) -> bytes:
    """Pack a record and its key for a shard, with checksums as bytes (CEP 16) and run exports (CEP 21)."""
    _, key = section_of(row)
    digests = {"sha256": bytes.fromhex(row.sha256)} | ({"md5": bytes.fromhex(row.md5)} if row.md5 else {})
    known = {} if row.run_exports is None else {"run_exports": row.run_exports}
    packed = record(row) | digests | known
    return bytes(msgpack.packb(key) + msgpack.packb(packed))


def shard_file(sha256: str) -> str:
    """Return the path of the shard with this SHA-256, relative to its subdir (CEP 16)."""
    return f"shards/{sha256}.msgpack.zst"


def shard_index(
    subdir: str,
    shards: Mapping[str, str],
    *,
    created_at: str,
    revision_3: Revision | None = None,
    relations: Relations = NO_RELATIONS,
) -> bytes:
    """Build the shard index (CEP 16). `shards`: package name → SHA-256 of its shard in hex.

    Both URLs are relative, because absolute URLs would drop `/t/<key>/`.
    """
    info = {"subdir": subdir, "base_url": "./", "shards_base_url": "./shards/", "created_at": created_at}
    content = {
        "version": 1,
        "info": info | channel_facts(revision_3, relations),
        "shards": {name: bytes.fromhex(sha256) for name, sha256 in shards.items()},
    }
    return zstandard.compress(msgpack.packb(content), ZSTD_LEVEL)
