"""Index builds: the written files, their cost, and interruptions."""

import json
from contextlib import nullcontext
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from channels_app.models import Artifact, AuditEvent, Channel
from hub.plain_text import UNSEEN
from hub.storage import StoreError, store
from publishing import housekeeping
from publishing.index import builds, fragments, marks, repodata, writer
from publishing.index.canary import ArtifactEntry
from publishing.models import Fragment, IndexedName, RetiredShard, SubdirIndex
from tests.builders import make_artifact


def build(channel: Channel, subdir: str = "noarch") -> SubdirIndex:
    row = SubdirIndex.objects.get(channel=channel, subdir=subdir)
    builds.build_until_current(row.pk)
    row.refresh_from_db()
    return row


def read(key: str) -> bytes:
    return b"".join(store().open(f"demo/{key}"))


def read_json(key: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(read(key))
    assert json.loads(zstandard.decompress(read(f"{key}.zst"))) == content
    return content


def read_msgpack(key: str) -> dict[str, Any]:
    content: dict[str, Any] = msgpack.unpackb(zstandard.decompress(read(key)))
    return content


def shards(subdir: str = "noarch") -> dict[str, dict[str, Any]]:
    """Return name → decoded shard, for every shard that the index names."""
    names: dict[str, bytes] = read_msgpack(f"{subdir}/repodata_shards.msgpack.zst")["shards"]
    return {name: read_msgpack(f"{subdir}/shards/{sha256.hex()}.msgpack.zst") for name, sha256 in names.items()}


def stored(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_new_channel_gets_every_file(channel: Channel, store_folder: Path) -> None:
    builds.open_channel(channel)
    builds.build_channel(channel)
    assert stored(store_folder) == {
        "demo/channeldata.json",
        "demo/channeldata.json.zst",
        "demo/notices.json",
        *(f"demo/noarch/{name}" for name in repodata.SUBDIR_FILES),
    }
    assert read_json("noarch/repodata.json") == {
        "info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {}, "removed": [], "repodata_version": 1,
    }  # fmt: skip
    assert json.loads(read("notices.json")) == {"notices": []}
    assert builds.open_channel(channel) == []
    builds.build_channel(channel)
    assert SubdirIndex.objects.get(subdir="noarch").builds == 1


def test_a_build_writes_all_files_from_one_state(channel: Channel, store_folder: Path) -> None:
    make_artifact(channel, "liba", run_exports={"weak": ["liba >=1"]})
    make_artifact(channel, "liba", "2.0", extension=".tar.bz2")
    make_artifact(channel, "libb", index_json={"license": "MIT", "x-unknown": [1, {"a": None}]})
    row = build(channel)
    assert (row.requested_revision, row.built_revision, row.builds) == (3, 3, 1)
    content = read_json("noarch/repodata.json")
    assert set(content["packages"]) == {"liba-2.0-0.tar.bz2"}
    assert set(content["packages.conda"]) == {"liba-1.0-0.conda", "libb-1.0-0.conda"}
    record = content["packages.conda"]["libb-1.0-0.conda"]
    assert (record["license"], record["x-unknown"], record["constrains"]) == ("MIT", [1, {"a": None}], [])
    as_shards: dict[str, dict[str, Any]] = {"packages": {}, "packages.conda": {}}
    for shard in shards().values():
        for section in as_shards:
            for file_name, entry in shard[section].items():
                as_shards[section][file_name] = entry | {
                    "md5": entry["md5"].hex(), "sha256": entry["sha256"].hex(),
                }  # fmt: skip
    run_exports = read_json("noarch/run_exports.json")
    assert as_shards == {
        section: {name: record | run_exports[section][name] for name, record in content[section].items()}
        for section in as_shards
    }
    assert run_exports["packages.conda"]["liba-1.0-0.conda"] == {"run_exports": {"weak": ["liba >=1"]}}
    assert run_exports["packages"]["liba-2.0-0.tar.bz2"] == {"run_exports": {}}
    assert len([name for name in stored(store_folder) if "/shards/" in name]) == 2


def test_a_further_build_touches_the_changed_name_alone(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        make_artifact(channel, f"lib{number}")
    build(channel)
    before = dict(IndexedName.objects.filter(index__subdir="noarch").values_list("name", "shard_sha256"))
    made: list[str] = []
    original = fragments._entry

    def counted(artifact: Artifact, *args: Any) -> ArtifactEntry:
        made.append(artifact.file_name)
        return original(artifact, *args)

    monkeypatch.setattr(fragments, "_entry", counted)
    make_artifact(channel, "lib3", "2.0")
    row = build(channel)
    assert sorted(made) == ["lib3-1.0-0.conda", "lib3-2.0-0.conda"]
    after = dict(IndexedName.objects.filter(index__subdir="noarch").values_list("name", "shard_sha256"))
    assert {name for name in after if after[name] != before[name]} == {"lib3"}
    assert [shard.sha256 for shard in RetiredShard.objects.all()] == [before["lib3"]]
    assert (row.builds, len(read_json("noarch/repodata.json")["packages.conda"])) == (2, 6)


def test_queries_of_a_build_do_not_grow_with_the_names(channel: Channel) -> None:
    counts = []
    for names in (range(3), range(3, 30)):
        for number in names:
            make_artifact(channel, f"lib{number}")
        build(channel)
        make_artifact(channel, "lib1", f"2.{len(names)}")
        with CaptureQueriesContext(connection) as queries:
            build(channel)
        counts.append(len(queries))
    assert counts[0] == counts[1] < 50


def test_more_names_than_a_batch(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "NAMES_AT_ONCE", 2)
    monkeypatch.setattr(writer, "FRAGMENTS_AT_ONCE", 2)
    for number in range(7):
        make_artifact(channel, f"lib{number}")
    build(channel)
    names = [f"lib{number}" for number in range(7)]
    assert [record["name"] for record in read_json("noarch/repodata.json")["packages.conda"].values()] == names
    assert sorted(shards()) == names


def test_removed_names_leave_files_and_shards(channel: Channel) -> None:
    gone = make_artifact(channel, "gone")
    make_artifact(channel, "kept")
    build(channel)
    gone.delete()
    marks.mark_stale(channel, "noarch", ["gone"])
    build(channel)
    assert set(read_json("noarch/repodata.json")["packages.conda"]) == {"kept-1.0-0.conda"}
    assert set(shards()) == {"kept"}
    assert not Fragment.objects.filter(name="gone", index__subdir="noarch").exists()


def test_revision_3_has_a_place_of_its_own(channel: Channel) -> None:
    make_artifact(channel, "old")
    make_artifact(channel, "new", revision=3, indexed_timestamp=5)
    make_artifact(channel, "new", "2.0", revision=3, extension=".tar.bz2", indexed_timestamp=7)
    build(channel)
    content = read_json("noarch/repodata.json")
    assert content["info"]["repodata_revisions"] == {"v3": {"n_packages": 2, "oldest": 5, "newest": 7}}
    assert set(content["packages.conda"]) == {"old-1.0-0.conda"}
    assert {extension: set(records) for extension, records in content["v3"].items()} == {
        "conda": {"new-1.0-0"}, "tar.bz2": {"new-2.0-0"},
    }  # fmt: skip
    assert set(shards()["new"]["v3"]) == {"conda", "tar.bz2"}
    assert read_msgpack("noarch/repodata_shards.msgpack.zst")["info"]["repodata_revisions"]["v3"]["n_packages"] == 2


def test_channeldata_and_current_repodata_follow(channel: Channel) -> None:
    about = {"summary": "A library", "home": "https://example.org", "license": "MIT", "description": "long"}
    make_artifact(channel, "lib", "1.9", about_json=about | {"summary": "Old"}, index_json={"timestamp": 1_500_000_000})
    facts: dict[str, Any] = {"about_json": about, "features": ["activate.d"], "run_exports": {"weak": ["a"]}}
    make_artifact(channel, "lib", "1.10", subdir="linux-64", **facts)
    make_artifact(channel, "app", index_json={"depends": ["lib <1.10", "elsewhere"]})
    make_artifact(channel, "app", "0.9")
    for subdir in ("noarch", "linux-64", ""):
        build(channel, subdir)
    content = read_json("channeldata.json")
    assert content["subdirs"] == ["linux-64", "noarch"]
    assert content["packages"]["lib"] == {
        "activate.d": True, "binary_prefix": False, "deactivate.d": False, "home": "https://example.org",
        "license": "MIT", "post_link": False, "pre_link": False, "pre_unlink": False,
        "run_exports": {"1.10": {"weak": ["a"]}}, "subdirs": ["linux-64", "noarch"], "summary": "A library",
        "text_prefix": False, "timestamp": 1_500_000_000, "version": "1.10",
    }  # fmt: skip
    assert set(read_json("noarch/current_repodata.json")["packages.conda"]) == {"app-1.0-0.conda", "lib-1.9-0.conda"}


def test_an_upload_during_a_build_is_in_the_next_one(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(channel, "first")
    original = fragments.remake
    calls: list[list[str]] = []

    def remake(row: SubdirIndex, names: list[str], deadline: float | None) -> list[str]:
        calls.append(names)
        made = original(row, names, deadline)
        if len(calls) == 1:
            make_artifact(channel, "second")
        return made

    monkeypatch.setattr(fragments, "remake", remake)
    row = build(channel)
    assert calls == [["first"], ["second"]]
    assert (row.requested_revision, row.built_revision, row.builds) == (2, 2, 2)
    assert len(read_json("noarch/repodata.json")["packages.conda"]) == 2


@pytest.mark.parametrize("victim", ["subdir_files.write", "builds._finish"])
def test_a_build_that_dies_is_done_again(channel: Channel, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    make_artifact(channel)

    def die(*args: object) -> None:
        raise StoreError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(f"publishing.index.{victim}", die)
        with pytest.raises(StoreError):
            build(channel)
    assert SubdirIndex.objects.get(subdir="noarch").built_revision == 0
    assert build(channel).built_revision == 1
    assert len(read_json("noarch/repodata.json")["packages.conda"]) == 1


def test_a_build_that_dies_between_two_files_leaves_readable_ones(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel, "old")
    build(channel)
    make_artifact(channel, "new")
    original = writer.write_json

    def die(row: SubdirIndex, key: str, layout: repodata.Layout) -> None:
        if key.endswith("run_exports.json"):
            raise StoreError("gone")
        original(row, key, layout)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_json", die)
        with pytest.raises(StoreError):
            build(channel)
    assert set(shards()) == {"old", "new"}
    assert len(read_json("noarch/run_exports.json")["packages.conda"]) == 1
    build(channel)
    assert len(read_json("noarch/run_exports.json")["packages.conda"]) == 2


def test_build_of_a_locked_index_returns_at_once(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(channel)
    with monkeypatch.context() as patch:
        patch.setattr(builds, "try_lock", lambda name: nullcontext(False))
        assert build(channel).built_revision == 0
    assert build(channel).built_revision == 1


def test_repeated_message_builds_no_index(channel: Channel) -> None:
    make_artifact(channel)
    etag = build(channel).etag
    assert build(channel).etag == etag
    builds.build_until_current(10**6)


@pytest.mark.parametrize(
    "poison",
    [
        {"depends": "not a list"},
        {"build_number": "one"},
        {"timestamp": [1]},
        {"version": 7},
        {"noarch": "\x1b[2J\u202e"},
        {"x-number": 10**30},
    ],
)
def test_unreadable_record_is_quarantined_and_reported(
    channel: Channel, poison: dict[str, Any], django_capture_on_commit_callbacks: Any, settings: Settings
) -> None:
    settings.ADMINS = [("Root", "root@example.org")]
    make_artifact(channel, "good")
    build(channel)
    bad = make_artifact(channel, "mixed", index_json=poison)
    make_artifact(channel, "mixed", "2.0")
    with django_capture_on_commit_callbacks(execute=True):
        row = build(channel)
    assert row.built_revision == row.requested_revision
    assert set(read_json("noarch/repodata.json")["packages.conda"]) == {"good-1.0-0.conda", "mixed-2.0-0.conda"}
    assert set(shards()) == {"good", "mixed"}
    bad.refresh_from_db()
    assert bad.quarantine_reason
    assert AuditEvent.objects.get(action="artifact.set_aside").target == "demo/noarch/mixed-1.0-0.conda"
    (message,) = mail.outbox
    assert message.subject == "[Django] demo/noarch/mixed-1.0-0.conda was left out of its index"
    assert not UNSEEN.search(str(message.body))


def test_retired_shards_go_after_a_week_and_return_where_they_are_wanted_again(channel: Channel) -> None:
    make_artifact(channel, "lib")
    build(channel)
    first = IndexedName.objects.get(index__subdir="noarch").shard_sha256
    second = make_artifact(channel, "lib", "2.0")
    build(channel)
    newer = IndexedName.objects.get(index__subdir="noarch").shard_sha256
    second.delete()
    marks.mark_stale(channel, "noarch", ["lib"])
    build(channel)
    assert [shard.sha256 for shard in RetiredShard.objects.all()] == [newer]
    housekeeping.remove_leftovers()
    assert store().stat(f"demo/noarch/shards/{newer}.msgpack.zst") is not None
    RetiredShard.objects.update(retired_at=timezone.now() - timedelta(days=8))
    housekeeping.remove_leftovers()
    assert store().stat(f"demo/noarch/shards/{newer}.msgpack.zst") is None
    assert store().stat(f"demo/noarch/shards/{first}.msgpack.zst") is not None
    assert not RetiredShard.objects.exists()


def test_a_rebuild_makes_everything_anew_from_the_database(channel: Channel, store_folder: Path) -> None:
    for subdir in ("noarch", "linux-64"):
        make_artifact(channel, "lib", subdir=subdir)
    for subdir in ("noarch", "linux-64", ""):
        build(channel, subdir)
    before = stored(store_folder)
    for path in store_folder.rglob("*.*"):
        path.unlink()
    Fragment.objects.all().delete()
    out = StringIO()
    call_command("reindex", "demo", stdout=out)
    assert out.getvalue() == "linux-64: done\nnoarch: done\nthe whole channel: done\n"
    assert stored(store_folder) == before
    assert len(read_json("linux-64/repodata.json")["packages.conda"]) == 1


def test_reindex_needs_a_channel(db: None) -> None:
    with pytest.raises(CommandError, match="There is no channel 'nowhere'"):
        call_command("reindex", "nowhere")


def test_abandoned_files_are_removed(settings: Settings, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.UPLOAD_DIR / "upload-x").write_bytes(b"x")
    (settings.UPLOAD_DIR / "index-y").mkdir()
    housekeeping.remove_leftovers()
    assert len(list(settings.UPLOAD_DIR.iterdir())) == 2
    monkeypatch.setattr(housekeeping, "ABANDONED_S", -1)
    housekeeping.remove_leftovers()
    assert list(settings.UPLOAD_DIR.iterdir()) == []


def test_build_versions_with_capitals_are_ordered_as_clients_do(channel: Channel) -> None:
    for version in ("1.0RC1", "1.0rc2", "1.0", "0.9Z"):
        make_artifact(channel, "lib", version)

    build(channel)
    build(channel, "")

    assert read_json("channeldata.json")["packages"]["lib"]["version"] == "1.0"
    assert "lib-1.0RC1-0.conda" in read_json("noarch/repodata.json")["packages.conda"]
    assert set(read_json("noarch/current_repodata.json")["packages.conda"]) == {"lib-1.0-0.conda"}


def test_build_dependency_with_a_channel_or_capitals_brings_its_older_version(channel: Channel) -> None:
    make_artifact(channel, "lib", "1.9")
    make_artifact(channel, "lib", "1.10")
    make_artifact(channel, "app", index_json={"depends": ["Lib<1.10"]})

    build(channel)
    build(channel, "")

    assert "lib-1.9-0.conda" in read_json("noarch/current_repodata.json")["packages.conda"]
