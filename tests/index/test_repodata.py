"""The bytes of index files: records, their sections, and that py-rattler can read them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import RepoData

from channels_app.identifiers import KNOWN_SUBDIRS
from publishing.index import current_repodata, empty_files, repodata, shards
from publishing.index.repodata import Revision


@dataclass
class Row:
    """A published artifact with the columns that repodata.py reads."""

    file_name: str = "demo-1.0-0.conda"
    version: str = "1.0"
    subdir: str = "noarch"
    index_json: dict[str, Any] = field(default_factory=lambda: {"name": "demo", "version": "1.0"})
    run_exports: dict[str, Any] = field(default_factory=dict)
    revision: int = 1
    md5: str = "0" * 32
    sha256: str = "1" * 64
    size_bytes: int = 7
    indexed_timestamp: int = 1_790_000_000_000
    attestations_sha256: str = ""


def shard(row: Row) -> dict[str, Any]:
    section, _ = repodata.section_of(row)
    chunks = shards.shard_chunks({section: 1}, iter([shards.shard_entry(row)]), [])
    unpacked: dict[str, Any] = msgpack.unpackb(b"".join(chunks))
    return unpacked


def test_record_keeps_every_key_and_adds_the_hubs_fields() -> None:
    index_json = {"name": "demo", "depends": ["a"], "track_features": "x", "x-new": {"b": [1, None, 2.5, "ü"]}}
    assert repodata.record(Row(index_json=index_json)) == {
        **index_json,
        "constrains": [],
        "subdir": "noarch",
        "md5": "0" * 32,
        "sha256": "1" * 64,
        "size": 7,
        "indexed_timestamp": 1_790_000_000_000,
    }


@pytest.mark.parametrize("stated", [1_500_000_000, 1_500_000_000_000])
def test_record_timestamp_is_in_milliseconds(stated: int) -> None:
    assert repodata.record(Row(index_json={"timestamp": stated}))["timestamp"] == 1_500_000_000_000


def test_record_cannot_set_the_hubs_fields() -> None:
    claims = dict.fromkeys(repodata.HUB_KEYS, "https://evil.example/other.conda")
    record = repodata.record(Row(index_json=claims))
    assert "https://evil.example/other.conda" not in record.values()
    assert set(record) == {"depends", "constrains", "subdir", "md5", "sha256", "size", "indexed_timestamp"}


@pytest.mark.parametrize("key", ["record_version", "self", "cls", "signatures", "defaulted_keys", "requires"])
def test_a_record_has_no_key_that_one_client_alone_takes_for_its_own(key: str) -> None:
    row = Row(index_json={"name": "demo", "version": "1.0", key: ["x"], "x-new": 1})
    assert repodata.record(row).keys() & {key, "x-new"} == {"x-new"}
    assert key not in shard(row)["packages.conda"][row.file_name]
    assert all(key not in orjson.loads(f"{{{body}}}")[row.file_name] for body in records_of(row))


def test_shard_record_with_run_exports_has_the_packages_own() -> None:
    row = Row(index_json={"name": "demo", "version": "1.0", "run_exports": ["x"]}, run_exports={"weak": ["demo >=1"]})
    assert shard(row)["packages.conda"][row.file_name]["run_exports"] == {"weak": ["demo >=1"]}
    assert repodata.record(row).keys().isdisjoint({"run_exports"})


def test_shard_record_without_run_exports_states_that_there_are_none() -> None:
    assert shard(Row())["packages.conda"][Row().file_name]["run_exports"] == {}


def records_of(row: Row) -> list[str]:
    entries = repodata.entries(row, is_newest=True)
    return [body for section, body in entries.items() if not section.startswith("run_exports.")]


@pytest.mark.parametrize(
    ("file_name", "revision", "place"),
    [
        ("a-1-0.conda", 1, ("packages.conda", "a-1-0.conda")),
        ("a-1-0.tar.bz2", 1, ("packages", "a-1-0.tar.bz2")),
        ("a-1-0.conda", 3, ("v3.conda", "a-1-0")),
        ("a-1-0.tar.bz2", 3, ("v3.tar.bz2", "a-1-0")),
    ],
)
def test_each_record_has_its_place(file_name: str, revision: int, place: tuple[str, str]) -> None:
    row = Row(file_name=file_name, revision=revision)
    assert repodata.section_of(row) == place
    section, key = place
    if revision == 3:
        assert list(shard(row)["v3"][section.removeprefix("v3.")]) == [key]
    else:
        assert list(shard(row)[section]) == [key]


def test_the_newest_version_is_by_condas_order() -> None:
    rows = [Row(version=version) for version in ("1.9", "1.10", "1.10rc1", "1.10", "1!0.5")]
    assert [row.version for row in repodata.newest_version(rows)] == ["1!0.5"]
    assert len(repodata.newest_version(rows[:4])) == 2
    assert repodata.newest_version([]) == []


def test_the_shard_index_is_relative_and_carries_its_size() -> None:
    content = shards.shard_index("noarch", {"a": "ab" * 32}, created_at="2026-01-01T00:00:00Z")
    assert zstandard.get_frame_parameters(content).content_size > 0
    assert msgpack.unpackb(zstandard.decompress(content)) == {
        "version": 1,
        "info": {
            "subdir": "noarch",
            "base_url": "./",
            "shards_base_url": "./shards/",
            "created_at": "2026-01-01T00:00:00Z",
        },
        "shards": {"a": b"\xab" * 32},
    }


@pytest.mark.parametrize("subdir", KNOWN_SUBDIRS)
def test_py_rattler_reads_the_empty_files(subdir: str, tmp_path: Path) -> None:
    for name in (repodata.REPODATA, repodata.CURRENT):
        content = empty_files.empty_file(subdir, name)
        assert content is not None
        (tmp_path / name).write_bytes(content)
        info = RepoData.from_path(tmp_path / name).info
        assert info is not None
        assert info.subdir == subdir


def test_there_are_no_empty_files_of_unknown_subdirs_or_names() -> None:
    assert empty_files.empty_file("plan9-64", repodata.REPODATA) is None
    assert empty_files.empty_file("noarch", "other.json") is None
    assert empty_files.empty_file("", repodata.REPODATA) is None
    assert empty_files.empty_file("noarch", repodata.NOTICES) is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=10), json_values, max_size=5), max_size=5))
def test_fragments_joined_are_the_records(index_jsons: list[dict[str, Any]]) -> None:
    rows = [Row(file_name=f"demo-1.0-{n}.conda", index_json=content) for n, content in enumerate(index_jsons)]
    joined = {"packages.conda": ",".join(repodata.entries(row, is_newest=True)["packages.conda"] for row in rows)}
    layout = repodata.repodata_layout("noarch", Revision(1, 2, 3))
    whole = "".join(part if isinstance(part, str) else joined.get(part.name, "") for part in layout)
    parsed = json.loads(whole)
    assert parsed["packages.conda"] == {row.file_name: repodata.record(row) for row in rows}
    assert orjson.loads(whole) == parsed


def packages(*entries: tuple[str, str, list[str]]) -> current_repodata.Packages:
    common = {"build": "0", "build_number": 0, "subdir": "noarch"}
    records = {
        f"{name}-{version}-0.conda": {"name": name, "version": version, "depends": depends, **common}
        for name, version, depends in entries
    }
    return {"packages.conda": records}


def test_current_repodata_contains_dependencies_of_the_newest_versions() -> None:
    newest = packages(
        ("app", "2", ["lib <2", "tool", "absent >=1"]), ("lib", "3", []), ("tool", "1", ["deep =1"]), ("deep", "2", [])
    )
    everything = {
        "lib": packages(("lib", "3", []), ("lib", "1.10", ["deep =1.5"]), ("lib", "1.9", [])),
        "deep": packages(("deep", "2", []), ("deep", "1", []), ("deep", "1.5", [])),
    }
    chosen = current_repodata.select(newest, everything.__getitem__)["packages.conda"]
    assert sorted(chosen) == [
        "app-2-0.conda", "deep-1.5-0.conda", "deep-2-0.conda", "lib-1.10-0.conda", "lib-3-0.conda", "tool-1-0.conda",
    ]  # fmt: skip
