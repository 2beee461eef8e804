"""Runs of imports from a channel's URL: the files that arrive, those that are refused, and the end of a run."""

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, Member, Removal, Role, User
from hub.errors import HubError
from hub.storage import StoreError
from hub.storage.folder import FolderStore
from publishing.imports import fetched, imports, runs
from publishing.models import Import, ImportState, Reservation, SourceKey, SubdirIndex
from publishing.removal import removal
from tests.archives import make_conda
from tests.builders import make_channel, make_user
from tests.imports.conftest import Importing
from tests.imports.source import SourceServer, change_index, index, source_server
from tests.sample_channel import build_index, publish, read

pytestmark = pytest.mark.django_db

LIBS = ["noarch/lib-1.0-0.conda", "noarch/lib-1.1-0.conda", "noarch/lib-2.0-0.conda"]
ALL = ["linux-64/app-1.0-0.tar.bz2", *LIBS, "noarch/other-1.0-0.conda"]


def paths() -> list[str]:
    return sorted(artifact.path for artifact in Artifact.objects.all())


def refusals(job: Import) -> dict[str, str]:
    return {str(file): file.reason for file in job.refused.all()}


def test_import_of_a_channel_copies_every_file(imported: Importing, channel: Channel, source: SourceServer) -> None:
    job = imported()

    assert (job.state, job.failure, refusals(job)) == (ImportState.DONE, "", {})
    assert paths() == ALL
    assert (job.found_files, job.imported_files, job.present_files) == (5, 5, 0)
    assert job.imported_bytes == job.found_bytes == sum(row.size_bytes for row in Artifact.objects.all())
    for path in ALL:
        assert read(f"demo/{path}") == (source.folder / path).read_bytes()
    build_index(channel)
    assert {f"noarch/{name}" for name in json.loads(read("demo/noarch/repodata.json"))["packages.conda"]} == set(
        ALL[1:]
    )
    assert not Reservation.objects.exists()


@pytest.mark.parametrize("form", ["repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json"])
def test_import_from_each_form_of_index_finds_the_same_files(
    imported: Importing, source: SourceServer, form: str
) -> None:
    forms = ["repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json"]
    for better in forms[: forms.index(form)]:
        for subdir in ("noarch", "linux-64"):
            (source.folder / subdir / better).unlink()

    job = imported(include=["lib", "other"], subdirs=["noarch"])

    assert (job.state, job.failure) == (ImportState.DONE, "")
    assert paths() == ALL[1:]
    assert f"/noarch/{form}" in source.paths()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"include": ["lib >=1.1"]}, LIBS[1:]),
        ({"include": ["l*b"], "exclude": ["lib 2.*"]}, LIBS[:2]),
        ({"exclude": ["lib", "app"]}, ALL[4:]),
        ({"include": ["*"], "exclude": ["* 1.0 0"]}, LIBS[1:]),
        ({"subdirs": ["linux-64"]}, ALL[:1]),
        ({"include": ["lib[version='>=1,<1.1']"]}, LIBS[:1]),
        ({"exclude": ["*[subdir=noarch]"]}, ALL[:1]),
        ({"include": ["none"]}, []),
        ({"newest_versions": 2}, [ALL[0], *LIBS[1:], ALL[4]]),
        ({"newest_versions": 1, "exclude": ["lib 2.*", "app"]}, [LIBS[1], ALL[4]]),
    ],
)
def test_filters_keep_the_files_that_match(imported: Importing, filters: dict[str, Any], expected: list[str]) -> None:
    assert imported(**filters).found_files == len(expected)
    assert paths() == expected


def test_second_run_copies_only_new_files(
    imported: Importing, source: SourceServer, olga: User, tmp_path: Path
) -> None:
    job = imported()
    make_conda(source.folder / "noarch", name="new")
    index(source.folder)
    source.requests.clear()

    imports.resume(actor=Actor(user=olga), channel=job.channel, import_id=job.pk)
    runs.run(job.pk)

    job.refresh_from_db()
    assert (job.state, job.found_files, job.present_files, job.imported_files) == (ImportState.DONE, 6, 5, 6)
    assert source.packages() == ["/noarch/new-1.0-0.conda"]


def test_times_and_yanked_files_of_the_source_are_kept(imported: Importing, source: SourceServer) -> None:
    def change(document: dict[str, Any]) -> None:
        records = document["packages.conda"]
        records["lib-1.0-0.conda"]["indexed_timestamp"] = 1_700_000_000_123
        records["lib-1.1-0.conda"]["indexed_timestamp"] = 99_999_999_999_999  # in the future
        records.pop("lib-2.0-0.conda")
        document["removed"] = ["lib-2.0-0.conda", "long-gone-1.0-0.conda"]

    change_index(source.folder, "noarch", change)

    job = imported(newest_versions=2)  # the removed version does not count

    assert (job.state, refusals(job)) == (ImportState.DONE, {})
    rows = {row.path: row for row in Artifact.objects.all()}
    assert rows[LIBS[0]].indexed_timestamp == 1_700_000_000_123
    assert rows[LIBS[1]].indexed_timestamp < 99_999_999_999_999
    assert [path for path, row in rows.items() if row.removal == Removal.YANKED] == [LIBS[2]]


def wrong_hash(source: SourceServer) -> None:
    change_index(source.folder, "noarch", lambda index: index["packages.conda"][LIBS[0][7:]].update(sha256="0" * 64))


def wrong_place(source: SourceServer) -> None:
    content = (source.folder / LIBS[1]).read_bytes()
    source.answers[f"/{LIBS[0]}"] = lambda: (200, {}, content)
    change_index(source.folder, "noarch", lambda index: index["packages.conda"][LIBS[0][7:]].pop("sha256"))


def no_package(source: SourceServer) -> None:
    (source.folder / LIBS[0]).write_bytes(b"no package")
    change_index(source.folder, "noarch", lambda index: index["packages.conda"][LIBS[0][7:]].pop("sha256"))


def missing(source: SourceServer) -> None:
    (source.folder / LIBS[0]).unlink()


def truncated(source: SourceServer) -> None:
    source.answers[f"/{LIBS[0]}"] = lambda: (200, {"Content-Length": "9999"}, b"short")


def failing(source: SourceServer) -> None:
    source.answers[f"/{LIBS[0]}"] = lambda: (503, {}, b"")


def at_a_private_address(source: SourceServer) -> None:
    source.answers[f"/{LIBS[0]}"] = lambda: (302, {"Location": "http://127.0.0.1:1/secret"}, b"")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (wrong_hash, "the index of the source states 0000"),
        (wrong_place, "the file was renamed"),
        (no_package, "was refused"),
        (missing, "answers 404"),
        (truncated, "ended the response early"),
        (failing, "answers 503"),
        (at_a_private_address, "is not an https URL"),
    ],
)
def test_faulty_file_is_refused_and_the_others_are_imported(
    imported: Importing,
    source: SourceServer,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[SourceServer], None],
    reason: str,
) -> None:
    monkeypatch.setattr(fetched, "PAUSES_S", ())
    fault(source)

    job = imported()

    assert (job.state, job.imported_files) == (ImportState.DONE, 4)
    assert list(refusals(job)) == [LIBS[0]]
    assert reason in refusals(job)[LIBS[0]]
    assert LIBS[0] not in paths()
    assert not Reservation.objects.exists()


def test_failed_request_is_repeated(imported: Importing, source: SourceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "PAUSES_S", (0.0, 0.0))
    content, answers = (source.folder / LIBS[0]).read_bytes(), iter([503, 503])
    source.answers[f"/{LIBS[0]}"] = lambda: (next(answers, 200), {}, content)

    assert refusals(imported()) == {}
    assert paths() == ALL


def test_file_that_exists_with_other_bytes_is_refused_without_a_download(
    imported: Importing, channel: Channel, olga: User, source: SourceServer, tmp_path: Path
) -> None:
    publish(channel, olga, make_conda(tmp_path, name="lib", version="1.0", files={"other": b"bytes"}))
    gone = publish(channel, olga, make_conda(tmp_path, name="other"))
    removal.delete(actor=Actor(user=olga), artifact=gone, reason="")

    job = imported()

    assert set(refusals(job)) == {LIBS[0], "noarch/other-1.0-0.conda"}
    assert "exists with other bytes" in refusals(job)[LIBS[0]]
    assert "was deleted" in refusals(job)["noarch/other-1.0-0.conda"]
    assert f"/{LIBS[0]}" not in source.paths()


def test_name_that_is_being_uploaded_is_refused(imported: Importing, channel: Channel) -> None:
    end = timezone.now() + timedelta(minutes=5)
    place = {"channel": channel, "subdir": "noarch", "file_name": "lib-1.0-0.conda"}
    Reservation.objects.create(**place, sha256="0" * 64, token="theirs", expires_at=end)

    job = imported()

    assert refusals(job) == {LIBS[0]: "Other bytes are being uploaded by this name at this moment."}
    assert Reservation.objects.get().token == "theirs"
    with pytest.raises(StoreError):
        read(f"demo/{LIBS[0]}")


def test_killed_run_is_continued_by_the_next_job(
    start: Importing, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for SIGKILL."""

    monkeypatch.setattr(runs, "GROUP", 2)
    job, original, puts = start(), FolderStore.put, []

    def put(self: FolderStore, key: str, *arguments: Any, **named: Any) -> None:
        puts.append(key)
        if len(puts) == 4:
            raise Killed
        original(self, key, *arguments, **named)

    monkeypatch.setattr(FolderStore, "put", put)
    with pytest.raises(Killed):
        runs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, job.imported_files, len(paths())) == (ImportState.RUNNING, 3, 3)
    source.requests.clear()

    runs.work()

    job.refresh_from_db()
    assert (job.state, job.imported_files, job.present_files) == (ImportState.DONE, 5, 3)
    assert paths() == ALL
    assert len(source.packages()) == 2
    assert not Reservation.objects.exists()


def test_run_that_another_process_holds_is_left_alone(
    start: Importing, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start()
    monkeypatch.setattr(runs, "try_lock", lambda _: nullcontext(False))

    runs.work()
    runs.run(job.pk)

    assert source.requests == []


def test_stopped_import_ends_after_the_current_group(
    start: Importing, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GROUP", 1)
    job, told = start(), []

    def stop(_: Import) -> None:
        told.append(1)
        if len(told) == 2:  # at the beginning, and after the first group
            imports.stop(actor=Actor(user=olga), channel=job.channel, import_id=job.pk)

    runs.run(job.pk, tell=stop)

    job.refresh_from_db()
    assert (job.state, len(paths())) == (ImportState.STOPPED, 1)


def test_import_of_a_user_who_lost_the_right_fails(start: Importing, channel: Channel, olga: User) -> None:
    job = start()
    Member.objects.filter(channel=channel, user=olga).update(role=Role.VIEWER)

    runs.run(job.pk)

    job.refresh_from_db()
    assert (job.state, paths()) == (ImportState.FAILED, [])


def test_import_beyond_the_quota_fails_and_leaves_no_reservation(
    start: Importing, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GROUP", 1)
    job = start()
    Channel.objects.update(quota_bytes=job.channel.artifacts.count() + 2000)

    runs.run(job.pk)

    job.refresh_from_db()
    assert job.state == ImportState.FAILED
    assert "2 KiB are allowed" in job.failure
    assert not Reservation.objects.exists()
    assert sum(row.size_bytes for row in Artifact.objects.all()) <= 2000


@pytest.mark.parametrize(
    ("policy", "reason"),
    [({"require_attestation": True}, "requires an attestation"), ({"max_upload_bytes": 10}, "10 B")],
)
def test_policies_of_the_channel_hold(
    imported: Importing, channel: Channel, policy: dict[str, Any], reason: str
) -> None:
    Channel.objects.update(**policy)
    channel.refresh_from_db()

    job = imported()

    assert (job.state, paths(), len(refusals(job))) == (ImportState.DONE, [], 5)
    assert all(reason in found for found in refusals(job).values())


@pytest.mark.parametrize(
    ("kind", "key", "header"),
    [
        (SourceKey.BEARER, "s3cr3t", ("Authorization", "Bearer s3cr3t")),
        (SourceKey.X_API_KEY, "s3cr3t", ("X-API-Key", "s3cr3t")),
        (SourceKey.BASIC, "me:s3cr3t", ("Authorization", "Basic bWU6czNjcjN0")),
    ],
)
def test_key_is_sent_to_the_source_alone_and_deleted_at_the_end(
    start: Importing, source: SourceServer, settings: Settings, tmp_path: Path, kind: str, key: str, header: Any
) -> None:
    source.credential = header
    with source_server(source.folder, settings) as other:
        source.answers[f"/{LIBS[0]}"] = lambda: (302, {"Location": f"{other.url}/{LIBS[0]}"}, b"")
        job = start(key_kind=kind, key=key)
        assert key not in job.encrypted_key
        runs.run(job.pk)

    job.refresh_from_db()
    assert (job.state, job.failure, job.encrypted_key) == (ImportState.DONE, "", "")
    assert paths() == ALL
    assert [headers.get(header[0]) for _, headers in other.requests] == [None]


def test_quetz_is_a_source(start: Importing, source: SourceServer, settings: Settings, tmp_path: Path) -> None:
    """As serve_path() of quetz/main.py answers: streams of no length, no shards, and redirects to a signed address."""
    shutil.move(source.folder, tmp_path / "moved")
    source.folder.mkdir()
    shutil.move(tmp_path / "moved", source.folder / "get")
    source.credential, source.is_chunked = ("X-API-Key", "s3cr3t"), True
    for subdir in ("noarch", "linux-64"):
        for other in ("repodata.json.zst", "repodata_shards.msgpack.zst"):
            (source.folder / "get" / subdir / other).unlink()
    with source_server(source.folder, settings) as bucket:
        for path in ALL:
            target = f"{bucket.url}/get/{path}?X-Amz-Signature=1"
            source.answers[f"/get/{path}"] = partial(signed, target)
            content = (source.folder / "get" / path).read_bytes()
            bucket.answers[f"/get/{path}?X-Amz-Signature=1"] = partial(answer_of, content)
        job = start(source=f"{source.url}/get", key_kind=SourceKey.X_API_KEY, key="s3cr3t")
        runs.run(job.pk)

    job.refresh_from_db()
    assert (job.state, job.failure, refusals(job)) == (ImportState.DONE, "", {})
    assert paths() == ALL
    assert not any("X-API-Key" in headers for _, headers in bucket.requests)


def signed(target: str) -> tuple[int, dict[str, str], bytes]:
    return 307, {"Location": target}, b""


def answer_of(content: bytes) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, content


def test_key_in_the_path_is_in_no_message(start: Importing, source: SourceServer) -> None:
    job = start(key_kind=SourceKey.PATH, key="s3cr3t", subdirs=["noarch"])
    source.answers["/t/s3cr3t/noarch/repodata.json.zst"] = lambda: (200, {"Content-Length": "9"}, b"short")

    runs.run(job.pk)

    job.refresh_from_db()
    assert job.state == ImportState.FAILED
    assert "ended the response early" in job.failure
    assert "s3cr3t" not in job.failure


def test_source_that_refuses_the_key_fails_the_import(imported: Importing, source: SourceServer) -> None:
    source.credential = ("X-API-Key", "right")

    job = imported(key_kind=SourceKey.X_API_KEY, key="wrong")

    assert (job.state, job.failure) == (ImportState.FAILED, "The source answers 401 for linux-64/repodata.json.zst.")


def test_source_that_fails_again_and_again_fails_the_import(
    imported: Importing, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetched, "PAUSES_S", ())
    monkeypatch.setattr(runs, "FAULTS_MAX", 3)
    for path in ALL:
        source.answers[f"/{path}"] = lambda: (500, {}, b"")

    job = imported()

    assert job.state == ImportState.FAILED
    assert "failed 3 times in a row" in job.failure


@pytest.mark.parametrize("content", [b"{", b'{"packages": []}', b"<html>", b'{"packages": {"a-1-0.conda": 7}}', b""])
def test_unreadable_index_fails_the_import(imported: Importing, source: SourceServer, content: bytes) -> None:
    change_index(source.folder, "noarch", lambda _: None)
    (source.folder / "noarch/repodata.json").write_bytes(content)

    job = imported(subdirs=["noarch"])

    assert job.state == ImportState.FAILED
    assert "noarch/repodata.json of the source can't be read" in job.failure


def test_base_url_of_the_source_is_followed(imported: Importing, source: SourceServer) -> None:
    change_index(
        source.folder, "noarch", lambda index: index.update(info={"subdir": "noarch", "base_url": "../files/"})
    )
    (source.folder / "files").mkdir()
    for path in LIBS:
        (source.folder / path).rename(source.folder / "files" / path[7:])

    assert imported(include=["lib *"]).imported_files == 3


def test_imports_take_turns(
    start: Importing, channel: Channel, olga: User, source: SourceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "GROUP", 1)
    monkeypatch.setattr(runs, "TURN_S", 0.0)
    first = start()
    other = make_channel("second", owner=olga)
    wanted = imports.Wanted(source.url, subdirs=["noarch"])
    second = imports.start(actor=Actor(user=olga), channel=other, wanted=wanted)

    runs.work()

    assert {Import.objects.get(pk=job.pk).imported_files for job in (first, second)} == {1}


def test_events_tell_start_and_end(imported: Importing) -> None:
    job = imported(include=["lib 1.0"])
    events = AuditEvent.objects.filter(action__startswith="import.").order_by("pk")
    assert [(event.action, event.target, event.actor and event.actor.username) for event in events] == [
        ("import.start", job.source, "olga"),
        ("import.end", job.source, None),
    ]
    assert events[1].detail == {"by": "The hub", "import": job.pk, "state": "done", "files": 1, "refused": 0}
    assert Artifact.objects.get().uploaded_by == job.created_by


def test_index_is_marked_stale_once_a_group(imported: Importing) -> None:
    imported()
    assert {row.subdir: row.requested_revision for row in SubdirIndex.objects.filter(subdir__in=["noarch"])} == {
        "noarch": 1
    }


def test_import_of_a_deleted_channel_fails(start: Importing, channel: Channel) -> None:
    job = start()
    Channel.objects.filter(pk=channel.pk).update(deleted_at="2026-01-01T00:00:00Z")
    runs.run(job.pk)
    job.refresh_from_db()
    assert job.state == ImportState.FAILED


def test_stranger_gets_403(channel: Channel, source: SourceServer) -> None:
    with pytest.raises(HubError) as error:
        imports.start(actor=Actor(user=make_user("eve")), channel=channel, wanted=imports.Wanted(source.url))
    assert error.value.status == 403
