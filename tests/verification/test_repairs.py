"""Output and repairs of `verify`, differences that it leaves, and artifacts that return to the index."""

import hashlib
import json
from contextlib import nullcontext
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, User
from hub.storage import store
from publishing import housekeeping
from publishing.attestations import sidecars
from publishing.index import builds
from publishing.models import Reservation, RetiredShard, SubdirIndex, Verification
from publishing.removal import removal
from publishing.verification import repairs, stored_indexes, unknown_files, verification
from publishing.verification.differences import DifferenceKind
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel
from tests.clients.reader import Reader
from tests.clients.test_store import web_server
from tests.sample_channel import LIB, MINE, REPODATA, SIGS, build_index, found, lib, publish, read


def run(*arguments: str) -> tuple[int, list[str]]:
    """Run `manage.py verify …`. Return its exit code and its lines."""
    out, code = StringIO(), 0
    try:
        call_command("verify", *arguments, stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    return code, out.getvalue().splitlines()


def listed() -> set[str]:
    return set(json.loads(read(REPODATA))["packages.conda"])


def test_verify_of_a_clean_channel_prints_no_difference(channel_with_packages: Channel) -> None:
    assert run() == (0, ["demo: 3 artifacts, 0 differences", "3 artifacts, 0 differences, 0 left."])
    kept = Verification.objects.get()
    assert (kept.channel, kept.file_count, kept.difference_count, kept.is_hashed) == (
        channel_with_packages,
        3,
        0,
        False,
    )


def test_difference_without_repair_is_reported_and_kept(channel_with_packages: Channel) -> None:
    expected = lib()
    store().delete(LIB)
    told = (
        f"  missing bytes: {LIB}: Found nothing, expected {expected.size_bytes:,} bytes with the SHA-256 "
        f"{expected.sha256[:16]}…. Put the file back from a backup, or upload it again; until then --repair leaves it "
        "out of the index and a later verification puts it back."
    )
    assert run("demo") == (1, ["demo: 3 artifacts, 1 difference", told, "3 artifacts, 1 difference, 1 left."])
    assert listed() >= {"lib-1.0-0.conda"}
    assert Verification.objects.get().differences == [["missing bytes", LIB, told.split(": ", 2)[2]]]


def test_json_is_one_document(channel_with_packages: Channel) -> None:
    store().delete(LIB)
    code, lines = run("demo", "--json")
    document = json.loads("".join(lines))
    assert (code, document["packages"], document["differences"], document["left"]) == (1, 3, 1, 1)
    assert document["differences_left"][0] | {"sentence": ""} == {
        "kind": "missing bytes", "key": LIB, "name": "", "sentence": "",
    }  # fmt: skip


def test_there_must_be_such_a_channel(db: None) -> None:
    with pytest.raises(CommandError, match="There is no channel 'nowhere'"):
        call_command("verify", "nowhere")


def test_missing_bytes_leave_the_index_until_they_are_back(channel_with_packages: Channel) -> None:
    content = read(LIB)
    store().delete(LIB)
    assert run("demo", "--repair") == (
        0,
        [
            "demo: 3 artifacts, 1 difference",
            f"  repaired: missing bytes: {LIB}",
            "Left out of the index until their bytes are right again: 1",
            "3 artifacts, 1 difference, 0 left.",
        ],
    )
    assert listed() == {"app-1.0-0.conda", "mine-1.0-0.conda"}
    assert lib().quarantine_reason.startswith("Its bytes are missing. Found nothing, expected ")
    assert (lib().package.latest_version, AuditEvent.objects.filter(action="artifact.damage").count()) == ("", 1)
    store().put(LIB, content[:-1])
    assert found(channel_with_packages) == []
    store().put(LIB, content)
    assert found(channel_with_packages) == [("right again", LIB)]
    assert run("demo", "--repair")[0] == 0
    assert listed() == {"lib-1.0-0.conda", "app-1.0-0.conda", "mine-1.0-0.conda"}
    assert (lib().quarantine_reason, lib().package.latest_version) == ("", "1.0")
    assert AuditEvent.objects.filter(action="artifact.mend").count() == 1


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_same_upload_repairs_damaged_bytes(
    channel_with_packages: Channel, olga: User, tmp_path: Path, damage: str
) -> None:
    content = read(LIB)
    store().delete(LIB)
    if damage != "missing":
        store().put(LIB, content[:-1] if damage == "cut" else content[:-1] + b"?")
    run("demo", "--repair", "--hash")
    stamp = lib().indexed_timestamp
    publish(channel_with_packages, olga, make_conda(tmp_path, name="lib"))
    build_index(channel_with_packages)
    assert read(LIB) == content
    assert listed() >= {"lib-1.0-0.conda"}
    assert found(channel_with_packages, is_hashed=True) == []
    assert (lib().indexed_timestamp, Reservation.objects.exists()) == (stamp, False)


def test_the_same_upload_brings_lost_bytes_back_at_once(
    channel_with_packages: Channel, olga: User, tmp_path: Path
) -> None:
    content = read(LIB)
    store().delete(LIB)
    publish(channel_with_packages, olga, make_conda(tmp_path, name="lib"))
    assert read(LIB) == content
    assert AuditEvent.objects.filter(target="noarch/lib-1.0-0.conda").count() == 1


def test_repairing_twice_changes_no_row(channel_with_packages: Channel) -> None:
    store().delete(LIB)
    store().delete(SIGS)
    run("demo", "--repair")
    before = AuditEvent.objects.count(), sorted(SubdirIndex.objects.values_list("builds", flat=True))
    assert run("demo", "--repair")[0] == 0
    assert (AuditEvent.objects.count(), sorted(SubdirIndex.objects.values_list("builds", flat=True))) == before


def test_a_client_reads_the_repaired_channel(
    channel_with_packages: Channel, store_folder: Path, olga: User, tmp_path: Path, old_files: None
) -> None:
    for key in list(store().list("demo/")):
        if not key.endswith(".conda"):
            store().delete(key)
    store().delete(LIB)
    assert run("demo", "--repair")[0] == 0
    with web_server(store_folder) as url:
        for shards in (True, False):
            records = Reader(f"{url}/demo", shards=shards).records()
            assert set(records) == {"noarch/app-1.0-0.conda", "noarch/mine-1.0-0.conda"}


def test_unknown_files_are_reported_and_kept(channel_with_packages: Channel, old_files: None) -> None:
    for key in ("noarch/new-1-0.conda", "linux-64/new-1-0.tar.bz2", "linux-64/repodata.json", "noarch/README", "x"):
        store().put(f"demo/{key}", b"?")
    for key in ("noarch/new-1-0.conda.sigs", f"noarch/new-1-0.conda.sigs.{'0' * 64}"):
        store().put(f"demo/{key}", b"[]")
    store().put("old/noarch/repodata.json", b"{}")
    before = set(store().list(""))
    code, lines = run("--repair")
    assert code == 1
    assert lines == [
        "demo: 3 artifacts, 5 differences",
        *(
            f"  {kind}: demo/{key}: {unknown_files.SENTENCES[kind].format(channel='demo')}"
            for kind, key in (
                (DifferenceKind.UNKNOWN_PACKAGE, "linux-64/new-1-0.tar.bz2"),
                (DifferenceKind.UNKNOWN_FILE, "linux-64/repodata.json"),
                (DifferenceKind.UNKNOWN_FILE, "noarch/README"),
                (DifferenceKind.UNKNOWN_PACKAGE, "noarch/new-1-0.conda"),
                (DifferenceKind.UNKNOWN_FILE, "x"),
            )
        ),
        f"  unknown channel: old/: {unknown_files.SENTENCES[DifferenceKind.UNKNOWN_CHANNEL].format(channel='old')}",
        "3 artifacts, 6 differences, 6 left.",
    ]
    assert set(store().list("")) == before


def test_file_of_a_running_upload_is_no_difference(
    channel_with_packages: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store().put("demo/noarch/fresh-1-0.conda", b"?")
    assert found(channel_with_packages) == []
    monkeypatch.setattr(unknown_files, "FRESH", timedelta(hours=-1))
    assert found(channel_with_packages) == [("unknown package", "demo/noarch/fresh-1-0.conda")]
    for file_name in ("fresh-1-0.conda", "lib-1.0-0.conda"):
        place = {"channel": channel_with_packages, "subdir": "noarch", "file_name": file_name}
        Reservation.objects.create(**place, sha256="0", token="t", expires_at=timezone.now())
    # As after an overwriting upload has put its bytes and before it records them.
    store().put(LIB, b"other bytes")
    assert found(channel_with_packages, is_hashed=True) == []


def test_retired_shards_yanked_and_deleted_artifacts_are_no_faults(
    channel_with_packages: Channel,
    olga: User,
    old_files: None,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    removal.yank(actor=Actor(user=olga), artifact=lib(), reason="")
    removal.delete(actor=Actor(user=olga), artifact=Artifact.objects.get(file_name="mine-1.0-0.conda"), reason="")
    build_index(channel_with_packages)
    assert RetiredShard.objects.count() == 2
    assert found(channel_with_packages, is_hashed=True) == []
    Artifact.objects.update(removed_at=timezone.now() - timedelta(days=2))
    with django_capture_on_commit_callbacks(execute=True):
        housekeeping.remove_leftovers()
    assert (store().stat(MINE), store().stat(SIGS)) == (None, None)
    assert found(channel_with_packages) == []


def test_a_stale_index_is_built_first(channel_with_packages: Channel, olga: User, tmp_path: Path) -> None:
    publish(channel_with_packages, olga, make_conda(tmp_path, name="late"))
    assert found(channel_with_packages) == []
    assert listed() >= {"late-1.0-0.conda"}


def test_a_new_channel_and_a_subdir_without_index_are_opened(channel: Channel) -> None:
    assert found(channel) == []
    artifact = make_artifact(channel, "lib", subdir="linux-64", size_bytes=1)
    store().put("demo/linux-64/lib-1.0-0.conda", b"x")
    artifact.channel.indexes.filter(subdir="linux-64").delete()
    assert found(channel)[:1] == [("index", "demo/linux-64/")]
    assert run("demo", "--repair")[0] == 0
    assert set(json.loads(read("demo/linux-64/repodata.json"))["packages.conda"]) == {"lib-1.0-0.conda"}


def test_an_index_that_others_build_all_the_time_is_left_out(
    channel_with_packages: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store().delete(REPODATA)
    monkeypatch.setattr(stored_indexes, "LOCK_S", 0)
    monkeypatch.setattr("hub.locks.try_lock", lambda name: nullcontext(False))
    assert found(channel_with_packages) == []


@pytest.mark.parametrize("count", [1, 40])
def test_queries_do_not_grow_with_the_artifacts(
    channel: Channel, count: int, django_assert_max_num_queries: Any
) -> None:
    for number in range(count):
        make_artifact(channel, "lib", f"1.{number}", size_bytes=1, sha256=hashlib.sha256(b"x").hexdigest())
        store().put(f"demo/noarch/lib-1.{number}-0.conda", b"x")
    build_index(channel)
    with django_assert_max_num_queries(62):
        assert found(channel, is_hashed=True) == []


def test_sidecars_that_follow_at_this_moment_are_no_fault(channel_with_packages: Channel) -> None:
    mine = Artifact.objects.get(file_name="mine-1.0-0.conda")
    mine.attestations.create(position=2, bundle='{"c":3}')
    store().put(sidecars.key(mine, "0" * 64), b"")
    assert [key for kind, key in found(channel_with_packages) if kind == "sidecar"] == []


def test_only_given_kinds_are_repaired(channel_with_packages: Channel) -> None:
    store().delete(LIB)
    store().delete(REPODATA)
    left = repairs.repair(
        channel_with_packages, verification.verify(channel_with_packages).differences, verification.REPAIRED_BY_NIGHT
    )
    assert [difference.kind for difference in left] == ["missing bytes"]
    assert listed() >= {"lib-1.0-0.conda"}


def test_a_deleted_channel_is_left_in_peace(channel_with_packages: Channel, olga: User) -> None:
    make_channel("gone", deleted_at=timezone.now())
    store().put("gone/noarch/a-1-0.conda", b"x")
    assert run() == (0, ["demo: 3 artifacts, 0 differences", "3 artifacts, 0 differences, 0 left."])


def test_reindex_makes_all_files_from_rows_alone(channel_with_packages: Channel) -> None:
    kept = {key for key in store().list("") if ".conda" in key}
    before = set(store().list(""))
    for key in before - kept:
        store().delete(key)
    channel_with_packages.indexes.all().delete()
    call_command("reindex", "demo", stdout=StringIO())
    assert set(store().list("")) == before
    assert found(channel_with_packages, is_hashed=True) == []
    assert builds.all_names(SubdirIndex.objects.get(subdir="noarch")) == ["app", "lib", "mine"]
