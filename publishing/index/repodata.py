"""Conversion of artifact rows into the bytes of index files, without I/O (CEP 12, 16, 36, 47, 48).

A record is an artifact's info/index.json plus the keys that only the hub knows. A package name has one fragment for
each section of a file: `"file name":{record},…`. Fragments are joined by commas.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import orjson
from rattler import Version

from channels_app.packages import timestamps
from hub.sizes import KIB

REPODATA = "repodata.json"
REPODATA_ZST = "repodata.json.zst"
CURRENT = "current_repodata.json"
CURRENT_ZST = "current_repodata.json.zst"
RUN_EXPORTS = "run_exports.json"
RUN_EXPORTS_ZST = "run_exports.json.zst"
SHARD_INDEX = "repodata_shards.msgpack.zst"
SIDECAR = re.compile(r"([^/]+)\.sigs(?:\.([0-9a-f]{64}))?\Z")
CHANNELDATA = "channeldata.json"
NOTICES = "notices.json"
FROM_PACKAGES = "repodata_from_packages.json"
FROM_PACKAGES_ZST = "repodata_from_packages.json.zst"

SUBDIR_FILES = (SHARD_INDEX, REPODATA_ZST, REPODATA, RUN_EXPORTS_ZST, RUN_EXPORTS, CURRENT_ZST, CURRENT)
CURRENT_FILES = (CURRENT, CURRENT_ZST)
# Records without patches. The store has them while patches change some record; else they are repodata.json's records.
UNPATCHED_FILES = (FROM_PACKAGES_ZST, FROM_PACKAGES)
CHANNEL_FILES = (CHANNELDATA, NOTICES)
# The store also has each of these as one zstd frame, `<name>.zst`.
ALSO_AS_ZST = (REPODATA, CURRENT, RUN_EXPORTS, FROM_PACKAGES, CHANNELDATA)

# Keys that only the hub may set, and keys by which a record could direct a client elsewhere.
HUB_KEYS = {
    *("md5", "sha256", "size", "subdir", "indexed_timestamp", "attestations_sha256"),
    *("legacy_bz2_md5", "legacy_bz2_size", "url", "fn", "channel"),
}
# Keys that no CEP gives to info/index.json and that one client alone takes for its own, so that it fails on the record
# or the whole subdir, or takes it otherwise than the others. conda: the first three, `record_version` above 1 or no
# number; conda-libmamba-solver: the next two; libsolv, mamba 1: `requires`, more dependencies; rattler: `run_exports`.
CLIENT_KEYS = {"record_version", "self", "cls", "signatures", "defaulted_keys", "requires", "run_exports"}
LEFT_OUT = HUB_KEYS | CLIENT_KEYS
# A stored record of an upstream has this key with 3 if it is of revision 3, as its info/index.json may have.
REVISION_KEY = "repodata_revision"
ABOUT_KEYS = ("dev_url", "doc_url", "home", "license", "source_url", "summary")
# Limits per package in channeldata.json, which every client reads completely.
ABOUT_MAX_CHARACTERS, ABOUT_LIST_MAX = 1000, 10
RUN_EXPORTS_MAX_BYTES = 64 * KIB
FEATURES = ("activate.d", "binary_prefix", "deactivate.d", "post_link", "pre_link", "pre_unlink", "text_prefix")
# On repodata, level 1 is faster than level 3 and compresses better.
ZSTD_LEVEL = 1
EMPTY_NOTICES = b'{"notices":[]}'


class Listed(Protocol):
    """The columns that decide the section and key of a record."""

    file_name: str
    version: str
    revision: int


class Row(Listed, Protocol):
    """The columns of a published artifact that make its record."""

    subdir: str
    index_json: Any
    run_exports: Any
    md5: str
    sha256: str
    size_bytes: int
    indexed_timestamp: int
    attestations_sha256: str


class SummaryRow(Row, Protocol):
    """A published artifact with the additional columns for channeldata.json."""

    build_number: int
    about_json: Any
    features: Any


@dataclass(frozen=True, slots=True)
class Section:
    """A placeholder in a layout for the fragments of one section, ordered by name and joined by commas.

    `is_unpatched`: names that patches change have the fragments of their unpatched records, in another section.
    """

    name: str
    is_unpatched: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """Summary of the records of one repodata revision: their number, and the first and last time in ms."""

    n_packages: int
    oldest: int
    newest: int


AnyRow = TypeVar("AnyRow", bound=Listed)
Layout = tuple[str | Section, ...]
# `base` or `overrides` → the other channel, as a path relative to this one (CEP 42).
Relations = Mapping[str, str]
NO_RELATIONS: Relations = {}


def record(row: Row) -> dict[str, Any]:
    """Build the repodata record of one artifact: every key of its index.json, known or not, and the hub's keys."""
    kept = {key: value for key, value in row.index_json.items() if key not in LEFT_OUT}
    if timestamp := timestamps.stated_ms(kept.get("timestamp")):
        kept["timestamp"] = timestamp
    attested = {"attestations_sha256": row.attestations_sha256} if row.attestations_sha256 else {}
    return {
        "depends": [],
        "constrains": [],
        **kept,
        "subdir": row.subdir,
        **({"md5": row.md5} if row.md5 else {}),
        "sha256": row.sha256,
        "size": row.size_bytes,
        "indexed_timestamp": row.indexed_timestamp,
        **attested,
    }


def section_of(row: Listed) -> tuple[str, str]:
    """Return the section and the key of a record. CEP 48 drops the extension in the sections of revision 3."""
    extension = "conda" if row.file_name.endswith(".conda") else "tar.bz2"
    if row.revision >= 3:
        return f"v3.{extension}", row.file_name.removesuffix(f".{extension}")
    return ("packages.conda" if extension == "conda" else "packages"), row.file_name


def entries(row: Row, *, is_newest: bool) -> dict[str, str]:
    """Return the JSON of one artifact for each section. Sections `newest.…` hold only the newest version."""
    section, key = section_of(row)
    entry = _inside({key: record(row)})
    newest = {f"newest.{section}": entry} if is_newest and row.revision < 3 else {}
    return {section: entry} | run_exports_entry(row) | newest


def run_exports_entry(row: Row) -> dict[str, str]:
    """Return the JSON of one artifact for run_exports.json, which also has records that patches remove (CEP 12).

    Unknown run exports (None) of an upstream's record are left out.
    """
    if row.run_exports is None:
        return {}
    section, key = section_of(row)
    return {f"run_exports.{section}": _inside({key: {"run_exports": row.run_exports}})}


def unpatched(section: str) -> str:
    """Return the section of the same records without patches. Names have it while a patch selects one of their files.

    Each of these names has the section of `removed`, which may be empty.
    """
    return f"unpatched.{section}"


def unpatched_entries(row: Row) -> dict[str, str]:
    """Return the JSON of one artifact for the sections without patches."""
    section, key = section_of(row)
    return {unpatched(section): _inside({key: record(row)})}


def removed_entry(names: Sequence[str]) -> str:
    """Return the JSON of one name's file names that were removed from the index (CEP 36)."""
    return _text(names)[1:-1]


def newest_version(rows: Sequence[AnyRow]) -> list[AnyRow]:
    """Return the rows of the newest version, by conda's version order (CEP 33)."""
    versions = [Version(row.version) for row in rows]
    last = max(versions, default=None)
    return [row for row, version in zip(rows, versions, strict=True) if version == last]


def repodata_layout(
    subdir: str,
    revision_3: Revision | None = None,
    relations: Relations = NO_RELATIONS,
    *,
    is_unpatched: bool = False,
) -> Layout:
    """Return the layout of repodata.json: literal text and sections (CEP 36, CEP 42, CEP 48)."""
    section = partial(Section, is_unpatched=is_unpatched)
    layout: Layout = (
        f'{{"info":{_text({"subdir": subdir} | channel_facts(revision_3, relations))},"packages":{{',
        section("packages"),
        '},"packages.conda":{',
        section("packages.conda"),
        '},"removed":[',
        section("removed"),
        '],"repodata_version":1',
    )
    if revision_3:
        layout += (',"v3":{"tar.bz2":{', section("v3.tar.bz2"), '},"conda":{', section("v3.conda"), "}}")
    return (*layout, "}")


def run_exports_layout(subdir: str) -> Layout:
    """Return the layout of run_exports.json (CEP 12), with revision 3 in the form that rattler reads."""
    return (
        f'{{"info":{{"subdir":"{subdir}","version":1}},"packages":{{',
        Section("run_exports.packages"),
        '},"packages.conda":{',
        Section("run_exports.packages.conda"),
        '},"v3":{"tar.bz2":{',
        Section("run_exports.v3.tar.bz2"),
        '},"conda":{',
        Section("run_exports.v3.conda"),
        "}}}",
    )


def current_layout(subdir: str, packages: Mapping[str, Any]) -> Layout:
    """Return the layout of current_repodata.json with the selected records."""
    content = {"info": {"subdir": subdir}, **packages, "removed": [], "repodata_version": 1}
    return (_text(content),)


def channeldata_layout(subdirs: Iterable[str]) -> Layout:
    """Return the layout of channeldata.json (CEP 38)."""
    return (f'{{"channeldata_version":1,"subdirs":{_text(sorted(subdirs))},"packages":{{', Section("channeldata"), "}}")


def channeldata_fragment(name: str, rows: Sequence[SummaryRow]) -> str:
    """Build a package's channeldata.json fragment: texts of its newest artifact, facts of all listed artifacts."""
    newest = max(newest_version(rows), key=lambda row: (row.build_number, row.indexed_timestamp))
    about = {key: value for key in ABOUT_KEYS if (value := _truncated(newest.about_json.get(key)))}
    features = {feature for row in rows for feature in row.features}
    entry = {
        **about,
        **{feature: feature in features for feature in FEATURES},
        "run_exports": _newest_run_exports(rows),
        "subdirs": sorted({row.subdir for row in rows}),
        "timestamp": max(timestamps.stated_ms(row.index_json.get("timestamp")) or 0 for row in rows) // 1000,
        "version": newest.version,
    }
    return _inside({name: entry})


def _truncated(value: object) -> object:
    """Return a string or a list of strings (CEP 38), truncated to the limits, or None for other types."""
    if isinstance(value, list):
        return [each[:ABOUT_MAX_CHARACTERS] for each in value[:ABOUT_LIST_MAX] if isinstance(each, str)]
    return value[:ABOUT_MAX_CHARACTERS] if isinstance(value, str) else None


def _newest_run_exports(rows: Sequence[SummaryRow]) -> dict[str, Any]:
    """Return version → run exports, newest first, up to RUN_EXPORTS_MAX_BYTES."""
    stated = {row.version: row.run_exports for row in rows if row.run_exports}
    room, kept = RUN_EXPORTS_MAX_BYTES, {}
    for version in sorted(stated, key=lambda version: (Version(version), version), reverse=True):
        room -= len(orjson.dumps(stated[version]))
        if room < 0:
            break
        kept[version] = stated[version]
    return kept


def timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def channel_facts(revision_3: Revision | None, relations: Relations) -> dict[str, Any]:
    """Return the keys that `info` of repodata.json and of the shard index share."""
    related = {"channel_relations": relations} if relations else {}
    if revision_3 is None:
        return related
    v3 = {"n_packages": revision_3.n_packages, "oldest": revision_3.oldest, "newest": revision_3.newest}
    return related | {"repodata_revisions": {"v3": v3}}


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _inside(entries: dict[str, Any]) -> str:
    """Return the JSON of an object without its braces."""
    return _text(entries)[1:-1]
