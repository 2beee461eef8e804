"""Import by batches: the effect of one package on the others, and of concurrent changes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from itertools import count as numbered
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.channels import channels
from channels_app.models import Artifact, AuditEvent, Channel, Package, Removal, User
from channels_app.packages import packages
from hub.errors import HubError
from hub.storage import store
from publishing.imports import old_indexes
from publishing.imports.records import CheckedPackage, ImportOutcome, Records
from publishing.index import builds
from publishing.management.commands import importchannel
from publishing.models import Reservation, SubdirIndex
from publishing.transfer import channel_import
from publishing.uploads import upload, values
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, received
from tests.sample_channel import LIB, known, other_lib, put_unrecorded_packages, read
from tests.transfer.test_channel_import import run


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that sets an action to run once, after packages are read and before rows are written."""

    def set_up(work: Callable[[], object]) -> None:
        add, todo = Records.add, [work]

        def after_work(self: Records, found: Sequence[CheckedPackage | ImportOutcome]) -> list[ImportOutcome]:
            while todo:
                todo.pop()()
            return add(self, found)

        monkeypatch.setattr(Records, "add", after_work)

    return set_up


def publish(channel: Channel, path: Path) -> None:
    owner = channel.members.get().user
    upload.publish(actor=Actor(user=owner), channel=channel, received=received(path))


def reserved(channel: Channel, path: Path, *, sha256: str = "") -> values.Upload:
    """Make the reservation of an upload in progress."""
    arrived = received(path)
    info = upload.read(channel, arrived)
    found = values.Upload(
        Actor(user=channel.members.get().user), channel, replace(arrived, sha256=sha256 or arrived.sha256), info
    )
    upload.reserve(found)
    return found


def test_batch_of_many_names_asks_no_more_than_of_few(olga: User, tmp_path: Path, settings: Settings) -> None:
    counts = []
    for prefix, count in (("a", 3), ("b", 30)):
        put_unrecorded_packages(tmp_path, *(f"{prefix}{number}" for number in range(count)))
        with CaptureQueriesContext(connection) as queries:
            list(
                channel_import.import_packages(Channel.objects.filter(name="demo").first() or make_channel(owner=olga))
            )
        counts.append(len([each for each in queries if "indexedname" not in each["sql"]]))
    assert counts[1] <= counts[0] + 2
    assert SubdirIndex.objects.get(subdir="noarch").requested_revision == 2
    assert AuditEvent.objects.filter(action="artifact.import").count() == 33


def test_batch_with_a_bad_package_takes_the_others_in(olga: User, tmp_path: Path) -> None:
    put_unrecorded_packages(tmp_path, "a", "b", "c")
    store().put("demo/noarch/b-1.0-0.conda", b"<!DOCTYPE html>")
    code, lines = run("demo", "--owner", "olga")
    assert (code, known()) == (1, {"a", "c"})
    assert [line.partition(":")[0] for line in lines[:-1]] == ["demo/noarch/b-1.0-0.conda"]
    assert not Reservation.objects.exists()


def test_batch_with_a_row_that_the_database_refuses_takes_the_others_in(
    olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_unrecorded_packages(tmp_path, "a", "b", "c")
    facts = upload.artifact_columns

    def too_large(found: values.Upload) -> dict[str, Any]:
        return facts(found) | ({"build_number": 2**70} if found.info.name == "b" else {})

    monkeypatch.setattr(upload, "artifact_columns", too_large)
    code, lines = run("demo", "--owner", "olga")
    assert (code, known()) == (1, {"a", "c"})
    assert lines[0].startswith("demo/noarch/b-1.0-0.conda: The database rejects it: ")
    assert not Package.objects.filter(name="b").exists()


def test_batch_with_names_that_differ_by_case_takes_one(olga: User, tmp_path: Path) -> None:
    for build in ("A", "a"):
        store().put(f"demo/noarch/lib-1.0-{build}.conda", make_conda(tmp_path, name="lib", build=build))
    code, lines = run("demo", "--owner", "olga")
    assert (code, Artifact.objects.get().file_name) == (1, "lib-1.0-A.conda")
    assert lines[0].startswith("demo/noarch/lib-1.0-a.conda: demo/noarch/lib-1.0-A.conda exists with other bytes")


@pytest.mark.parametrize("name", ["lib 1.0.conda", f"{'x' * 230}-1-0.conda"])
def test_batch_with_an_impossible_name_takes_the_others_in(olga: User, tmp_path: Path, name: str) -> None:
    put_unrecorded_packages(tmp_path, "a", "z")
    store().put(f"demo/noarch/{name}", make_conda(tmp_path))
    code, _ = run("demo", "--owner", "olga")
    assert (code, known()) == (1, {"a", "z"})


STEPS = {
    "before a claim": (Records, "claim"),
    "with a claim": (Records, "_reserve"),
    "while a package is read": (channel_import, "check"),
    "before a batch": (Records, "add"),
    "within a transaction": (log, "record_each"),
    "before the commit": (builds, "schedule_build"),
    "before the old index goes": (channel_import, "_missing_files"),
    "before the index": (builds, "build_channel"),
}


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_import_interrupted_goes_on_where_it_ended(
    olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, step: str, is_late: bool
) -> None:
    monkeypatch.setattr(channel_import, "BATCH", 2)
    put_unrecorded_packages(tmp_path, "a", "b", "c", "d", "e")
    owner, name = STEPS[step]
    original, numbers = getattr(owner, name), numbered(1)

    def die(*arguments: Any, **named: Any) -> Any:
        number = next(numbers)
        answer = original(*arguments, **named) if is_late or number < 2 else None
        if number == 2 or step.startswith("before the "):
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(CommandError, match="continues where it stopped") as stopped:
            run("demo", "--owner", "olga")
    assert stopped.value.returncode == importchannel.INTERRUPTED
    assert (list(settings.UPLOAD_DIR.iterdir()), Reservation.objects.count()) == ([], 0)
    assert run("demo", "--owner", "olga")[0] == 0
    assert known() == {"a", "b", "c", "d", "e"}
    assert AuditEvent.objects.filter(action="artifact.import").count() == 5
    assert read("demo/noarch/repodata.json").count(b'"sha256"') == 5


def test_upload_of_other_bytes_meanwhile_wins(
    olga: User, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    channel, other = make_channel(owner=olga), other_lib(tmp_path)
    put_unrecorded_packages(tmp_path, "app", "lib")
    meanwhile(lambda: publish(channel, other))
    code, lines = run("demo", "--owner", "olga")
    assert (code, known()) == (1, {"app", "lib"})
    assert lines[0].startswith(f"{LIB}: {LIB} exists with other bytes")
    assert Artifact.objects.get(package__name="lib").sha256 == received(other).sha256
    assert read(LIB) == other.read_bytes()


def test_upload_of_the_same_bytes_meanwhile_is_no_fault(
    olga: User, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    channel = make_channel(owner=olga)
    put_unrecorded_packages(tmp_path, "app", "lib")
    meanwhile(lambda: publish(channel, tmp_path / "lib-1.0-0.conda"))
    assert run("demo", "--owner", "olga") == (0, ["demo: imported: 1, not imported: 0, yanked: 0."])
    assert known() == {"app", "lib"}
    assert not Reservation.objects.exists()


def test_upload_under_way_of_other_bytes_keeps_its_name(
    olga: User, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    channel, other = make_channel(owner=olga), other_lib(tmp_path)
    put_unrecorded_packages(tmp_path, "app", "lib")
    meanwhile(lambda: reserved(channel, other))
    code, lines = run("demo", "--owner", "olga")
    assert (code, known()) == (1, {"app"})
    assert "Other bytes are being uploaded as lib-1.0-0.conda" in lines[0]
    assert Reservation.objects.get().sha256 == received(other).sha256


def test_upload_that_ended_in_an_error_meanwhile_leaves_the_file_to_the_next_run(
    olga: User, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    channel, other = make_channel(owner=olga), other_lib(tmp_path)
    put_unrecorded_packages(tmp_path, "app", "lib")

    def fail() -> None:
        upload.put(reserved(channel, other))
        Reservation.objects.filter(file_name="lib-1.0-0.conda").delete()

    meanwhile(fail)
    assert (run("demo", "--owner", "olga")[0], known()) == (1, {"app"})
    assert (run("demo", "--owner", "olga")[0], known()) == (0, {"app", "lib"})
    assert Artifact.objects.get(package__name="lib").sha256 == received(other).sha256


def test_upload_that_died_after_its_put_is_taken_in(olga: User, tmp_path: Path) -> None:
    channel = make_channel(owner=olga)
    put_unrecorded_packages(tmp_path, "lib")
    reserved(channel, tmp_path / "lib-1.0-0.conda")
    assert (run("demo", "--owner", "olga")[0], known()) == (0, {"lib"})
    assert not Reservation.objects.exists()


def test_upload_that_died_long_ago_stands_in_no_way(olga: User, tmp_path: Path) -> None:
    channel = make_channel(owner=olga)
    put_unrecorded_packages(tmp_path, "lib")
    reserved(channel, other_lib(tmp_path))
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert (run("demo", "--owner", "olga")[0], known()) == (0, {"lib"})


def claim(channel: Channel, key: str) -> Reservation:
    """Make the claim that a killed import leaves behind."""
    Records(channel, "noarch", old_indexes.OldIndex(), Lock()).claim([key])
    return Reservation.objects.get()


def test_claim_of_a_killed_import_stands_in_no_ways(olga: User, tmp_path: Path) -> None:
    channel = make_channel(owner=olga)
    put_unrecorded_packages(tmp_path, "lib")
    assert claim(channel, LIB).sha256 == ""
    assert (run("demo", "--owner", "olga")[0], known()) == (0, {"lib"})
    assert not Reservation.objects.exists()


def test_claim_gives_way_to_an_upload(olga: User, tmp_path: Path) -> None:
    channel, other = make_channel(owner=olga), other_lib(tmp_path)
    put_unrecorded_packages(tmp_path, "lib")
    claim(channel, LIB)
    publish(channel, other)
    assert Artifact.objects.get().sha256 == received(other).sha256
    assert not Reservation.objects.exists()


def test_import_into_a_deleted_channel_stops(
    olga: User, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None], settings: Settings
) -> None:
    channel = make_channel(owner=olga)
    put_unrecorded_packages(tmp_path, "lib")
    meanwhile(lambda: channels.delete(actor=Actor(user=olga), channel=channel))
    with pytest.raises(CommandError, match="The channel 'demo' was deleted"):
        run("demo", "--owner", "olga")
    assert (known(), Reservation.objects.count(), list(settings.UPLOAD_DIR.iterdir())) == (set(), 0, [])


def test_import_into_a_removed_channel_stops(
    olga: User, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    channel = make_channel(owner=olga)
    put_unrecorded_packages(tmp_path, "lib")
    meanwhile(channel.delete)
    with pytest.raises(CommandError, match="The channel 'demo' was deleted"):
        run("demo", "--owner", "olga")


def test_checks_ahead_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_import, "WAITING", 3)
    begun = []

    def checks() -> Iterator[Future[CheckedPackage | ImportOutcome]]:
        for number in range(10):
            begun.append(number)
            done: Future[CheckedPackage | ImportOutcome] = Future()
            done.set_result(ImportOutcome(str(number)))
            yield done

    for ended, found in enumerate(channel_import._in_order(checks()), 1):
        assert found.key == str(ended - 1)
        assert len(begun) <= ended + 3
    assert len(begun) == 10


def test_batch_is_bounded_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_import, "BATCH", 3)
    monkeypatch.setattr(channel_import, "BATCH_BYTES", 100)
    found = [ImportOutcome(str(number), facts_bytes=size) for number, size in enumerate([1, 1, 1, 1, 200, 60, 60, 1])]
    sizes = [[each.facts_bytes for each in batch] for batch in channel_import._batches(iter(found))]
    assert sizes == [[1, 1, 1], [1, 200], [60, 60], [1]]


def test_progress_shows_total_and_rate(olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importchannel, "PROGRESS_S", 0)
    put_unrecorded_packages(tmp_path, "a", "b")
    lines = run("demo", "--owner", "olga")[1]
    assert lines[0].startswith("1 of 2 packages in 0 s, ")
    assert lines[2].endswith("/s; building the index")


def test_refresh_each_equals_refresh(channel: Channel, other_channel: Channel) -> None:
    makings: list[tuple[str, int, dict[str, Any]]] = [
        ("1.0", 0, {"index_json": {"depends": ["old"]}}),
        ("1.10", 0, {"index_json": {"depends": ["a >=1", "b"]}, "about_json": {"summary": "x"}}),
        ("1.10", 1, {"index_json": {"depends": ["c"]}, "about_json": {"summary": "y"}}),
        ("1.9", 5, {"subdir": "linux-64"}),
        ("2.0", 0, {"removal": Removal.YANKED}),
        ("3.0", 0, {"quarantine_reason": "odd"}),
    ]
    for each in (channel, other_channel):
        for version, build_number, fields in makings:
            artifact = make_artifact(each, "lib", version, build=str(build_number), **fields)
            Artifact.objects.filter(pk=artifact.pk).update(build_number=build_number)
        make_artifact(each, "gone", removal=Removal.YANKED)
        Package.objects.get(channel=each, name="gone").dependencies.create(name="left")
    held = packages.packages_for_update(channel, ["lib", "gone", "new"])
    packages.refresh_each(held.values())
    for name in held:
        packages.refresh(packages.package_for_update(other_channel, name))
    assert described(channel) == described(other_channel)
    assert described(channel)["lib"][0] == "1.10"
    assert described(channel)["lib"][-1] == {"a", "b", "c"}


@pytest.fixture
def other_channel(olga: User) -> Channel:
    return make_channel("other", owner=olga)


def described(channel: Channel) -> dict[str, tuple[Any, ...]]:
    return {
        package.name: (
            package.latest_version,
            package.summary,
            package.subdirs,
            set(package.dependencies.values_list("name", flat=True)),
        )
        for package in channel.packages.all()
    }


def test_import_into_a_deleted_channel_is_refused(olga: User, tmp_path: Path) -> None:
    channels.delete(actor=Actor(user=olga), channel=make_channel(owner=olga))
    put_unrecorded_packages(tmp_path, "lib")
    with pytest.raises(CommandError, match="The channel 'demo' was deleted"):
        run("demo", "--owner", "olga")


def test_claim_in_a_deleted_channel_is_refused(channel: Channel) -> None:
    channel.delete()
    with pytest.raises(HubError) as caught:
        Records(channel, "noarch", old_indexes.OldIndex(), Lock()).claim([LIB])
    assert caught.value.code == "channel_gone"
