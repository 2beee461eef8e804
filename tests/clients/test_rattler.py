"""Channels as py-rattler reads them, by the same code as pixi and rattler-build."""

import asyncio
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rattler.index import index_fs

from channels_app.packages.timestamps import milliseconds
from tests.clients.conftest import Keys
from tests.clients.plain import (
    Records,
    from_json,
    records,
    run_exports,
    seconds_until_indexed,
    shard_records,
    zst_records,
)
from tests.clients.reader import Reader, ReadError
from tests.live import LiveHub

pytestmark = pytest.mark.usefixtures("indexed")

FORMS: dict[str, dict[str, Any]] = {
    "shards": {"shards": True},
    "zst": {"shards": False, "zstd": True},
    "plain JSON": {"shards": False, "zstd": False},
}
CREDENTIALS: dict[str, Callable[[str], Any]] = {
    "bearer": lambda key: {"BearerToken": key},
    "basic": lambda key: {"BasicHTTP": {"username": "anyone", "password": key}},
    "conda token": lambda key: {"CondaToken": key},
}
# Linux and noarch, .conda and .tar.bz2, with and without dependencies, and the package built for this run.
SPECS = ("package", "dummy-a", "clobber-1", "built-here")
SOLVED = [
    "built-here-1.2.3-h4616a5c_0.conda",
    "clobber-1-0.2.0-h4616a5c_0.tar.bz2",
    "dummy-a-0.1.0-hb0f4dca_0.conda",
    "dummy-c-0.1.0-hb0f4dca_0.conda",
    "package-0.2.0-hb0f4dca_0.conda",
]
# Keys in which rattler-index's records of the same files differ from the hub's.
DIFFERENCES = {
    "indexed_timestamp": "when each of the two first saw the file (CEP 47)",
    "run_exports": "rattler-index has them in repodata.json, too; the hub in shards and run_exports.json",
}


@pytest.fixture(scope="session")
def subdirs(packages: list[Path]) -> dict[str, set[str]]:
    """Return subdir → file names of its packages."""
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(package.parent.name, set()).add(package.name)
    return found


@pytest.fixture(scope="package")
def indexed(hub: LiveHub, filled: dict[str, float], keys: Keys, subdirs: dict[str, set[str]]) -> None:
    """Wait until every package is in every index of both channels."""
    for channel in filled:
        for subdir, names in subdirs.items():
            seconds_until_indexed(hub, channel, subdir, names, keys.olga)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_the_index_has_every_record(
    hub: LiveHub, keys: Keys, subdirs: dict[str, set[str]], form: dict[str, Any]
) -> None:
    reader = Reader(f"{hub.url}/private", {"BearerToken": keys.olga}, **form)
    published = {subdir: records(hub, "private", subdir, keys.olga) for subdir in subdirs}
    exports = {subdir: run_exports(hub, "private", subdir, keys.olga) for subdir in subdirs if reader.shards}
    assert reader.records() == {
        f"{subdir}/{name}": as_rattler_writes(record) | {"fn": name} | exports.get(subdir, {}).get(name, {})
        for subdir, found in published.items()
        for name, record in found.items()
        if reader.shards or not is_second_choice(name, found)
    }


def test_all_forms_say_the_same(hub: LiveHub, keys: Keys, subdirs: dict[str, set[str]]) -> None:
    for subdir, names in subdirs.items():
        plain = records(hub, "private", subdir, keys.olga)
        assert set(plain) == names
        assert zst_records(hub, "private", subdir, keys.olga) == plain
        exports = run_exports(hub, "private", subdir, keys.olga)
        in_shards = {name: record | exports[name] for name, record in plain.items()}
        assert shard_records(hub, "private", subdir, keys.olga) == in_shards


def test_rattlers_own_indexer_makes_the_same_records(
    hub: LiveHub, packages: list[Path], subdirs: dict[str, set[str]], tmp_path: Path
) -> None:
    for package in packages:
        (tmp_path / package.parent.name).mkdir(exist_ok=True)
        shutil.copy(package, tmp_path / package.parent.name)
    # In another thread: this one may have the event loop of browser tests.
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, index_fs(tmp_path)).result()
    for subdir in subdirs:
        theirs = from_json(json.loads((tmp_path / subdir / "repodata.json").read_bytes()))
        ours = records(hub, "public", subdir)
        assert set(ours) == set(theirs)
        for name, record in ours.items():
            expected = without(in_milliseconds(theirs[name]), *DIFFERENCES)
            assert without(as_rattler_writes(record), *DIFFERENCES) == expected
        exports = run_exports(hub, "public", subdir)
        assert {name: entry["run_exports"] for name, entry in exports.items()} == {
            name: record.get("run_exports", {}) for name, record in theirs.items()
        }


@pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS)
def test_private_channel_is_installed_from_with_a_key(
    hub: LiveHub, keys: Keys, credential: Callable[[str], Any]
) -> None:
    reader = Reader(f"{hub.url}/private", credential(keys.vera))
    assert reader.solve(*SPECS) == SOLVED
    installed = reader.install(*SPECS)
    assert installed["share/built-here.txt"] == "hello\n"
    assert {"bin/dummy-a", "bin/dummy-c", "bin/package0.2.0", "clobber.txt"} <= set(installed)


def test_key_in_netrc_reads_and_stays_there(hub: LiveHub, keys: Keys) -> None:
    installed = Reader(f"{hub.url}/private", netrc_key=keys.vera).install(*SPECS)
    assert installed["share/built-here.txt"] == "hello\n"
    assert not any(keys.vera in content for content in installed.values())


def test_key_in_the_address_stays_in_the_environment_as_the_docs_say(hub: LiveHub, keys: Keys) -> None:
    installed = Reader(f"{hub.url}/t/{keys.vera}/private").install(*SPECS)
    kept = {path.partition("/")[0] for path, content in installed.items() if keys.vera in content}
    assert kept == {"conda-meta"}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_private_channel_needs_a_key(hub: LiveHub, form: dict[str, Any]) -> None:
    with pytest.raises(ReadError, match="401 Unauthorized"):
        Reader(f"{hub.url}/private", **form).solve(*SPECS)


@pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS)
def test_strangers_key_is_not_enough_for_a_private_channel(
    hub: LiveHub, keys: Keys, credential: Callable[[str], Any]
) -> None:
    with pytest.raises(ReadError, match="403 Forbidden"):
        Reader(f"{hub.url}/private", credential(keys.sam)).solve(*SPECS)


def test_public_channel_needs_no_key(hub: LiveHub) -> None:
    reader = Reader(f"{hub.url}/public")
    assert reader.solve(*SPECS) == SOLVED
    assert reader.install("built-here")["share/built-here.txt"] == "hello\n"


@pytest.mark.parametrize("credential", CREDENTIALS.values(), ids=CREDENTIALS)
def test_wrong_key_is_refused_by_a_public_channel_too(hub: LiveHub, credential: Callable[[str], Any]) -> None:
    with pytest.raises(ReadError, match="401 Unauthorized"):
        Reader(f"{hub.url}/public", credential("chub-wrong")).solve(*SPECS)


def as_rattler_writes(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record as rattler writes it, without null values and without an empty `constrains`."""
    return {name: value for name, value in record.items() if value is not None and (name, value) != ("constrains", [])}


def in_milliseconds(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record with its timestamp in ms, as the hub writes it. rattler-index copies seconds unchanged."""
    return {name: milliseconds(value) if name == "timestamp" else value for name, value in record.items()}


def is_second_choice(name: str, found: Records) -> bool:
    """Tell whether a .tar.bz2 also exists as .conda: rattler then reads only the .conda from repodata.json."""
    return name.endswith(".tar.bz2") and name.replace(".tar.bz2", ".conda") in found


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}
