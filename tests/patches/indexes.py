"""Reads of the index files of the channel `demo`, as tests of patches compare them."""

import json
from collections.abc import Iterator
from typing import Any

import msgpack
import zstandard

from channels_app.models import Channel
from hub.storage import NotInStore, store
from publishing.index import builds, repodata

SECTIONS = ("packages", "packages.conda")


def built(channel: Channel) -> None:
    builds.build_channel(channel)


def content(key: str) -> bytes:
    return b"".join(store().open(f"demo/{key}"))


def document(key: str) -> dict[str, Any]:
    """Return a JSON file. Its .zst has the same bytes."""
    plain = content(key)
    assert zstandard.decompress(content(f"{key}.zst")) == plain
    found: dict[str, Any] = json.loads(plain)
    return found


def packed(key: str) -> dict[str, Any]:
    """Return a file in msgpack."""
    found: dict[str, Any] = msgpack.unpackb(zstandard.decompress(content(key)))
    return found


def all_records(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return file name → record of a JSON file or a shard, also of revision 3."""
    found = {name: record for section in SECTIONS for name, record in document[section].items()}
    for extension, entries in document.get("v3", {}).items():
        found |= {f"{stem}.{extension}": record for stem, record in entries.items()}
    return found


def records(file_name: str = repodata.REPODATA, subdir: str = "noarch") -> dict[str, dict[str, Any]]:
    """Return file name → record of a file."""
    return all_records(document(f"{subdir}/{file_name}"))


def unpatched_records(subdir: str = "noarch") -> dict[str, dict[str, Any]]:
    return records(repodata.FROM_PACKAGES, subdir)


def shard_records(subdir: str = "noarch") -> dict[str, dict[str, Any]]:
    """Return file name → record of every shard, with checksums in hex and without run exports."""
    found: dict[str, dict[str, Any]] = {}
    for name, record in _shard_entries(subdir):
        found[name] = record | {"md5": record["md5"].hex(), "sha256": record["sha256"].hex()}
        del found[name]["run_exports"]
    return found


def shard_run_exports(subdir: str = "noarch") -> dict[str, dict[str, list[str]]]:
    """Return file name → run exports of every shard."""
    return {name: record["run_exports"] for name, record in _shard_entries(subdir)}


def _shard_entries(subdir: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield file names and records of every shard that the index of shards names."""
    for sha256 in packed(f"{subdir}/{repodata.SHARD_INDEX}")["shards"].values():
        yield from all_records(packed(f"{subdir}/shards/{sha256.hex()}.msgpack.zst")).items()


def exists(key: str) -> bool:
    try:
        return bool(content(key))
    except NotInStore:
        return False
