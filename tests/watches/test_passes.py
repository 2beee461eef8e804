"""Passes over a watched prefix: what is taken in, what is refused, and what meets an upload."""

import os
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.channels import channels
from channels_app.models import Artifact, AuditEvent, Channel, Removal, User
from hub.errors import HubError, forbidden
from hub.observability import metrics
from hub.storage import store
from publishing.imports import stored
from publishing.imports.records import CheckedPackage, ImportOutcome, Records
from publishing.models import Reservation, SubdirIndex
from publishing.removal import removal
from publishing.uploads import upload
from publishing.verification import unknown_files, verification
from publishing.watches import adoption, comparison, listing, passes, watches
from publishing.watches.passes import Pass
from tests.archives import make_conda
from tests.builders import received
from tests.sample_channel import LIB, found, known, lib, other_lib, publish, put_unrecorded_packages, read
from tests.watches.conftest import Passing


def refused(channel: Channel) -> dict[str, str]:
    return {str(row): row.code for row in watches.of(channel).refused.all()}


def counted(outcome: str) -> float:
    return metrics.REGISTRY.get_sample_value("channelhub_watched_files_total", {"outcome": outcome}) or 0.0


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that sets an action to run once, after files are read and before they are confirmed."""

    def set_up(work: Callable[[], object]) -> None:
        confirm, todo = Records.confirm, [work]

        def after_work(self: Records, checked: Sequence[CheckedPackage]) -> list[CheckedPackage]:
            while todo:
                todo.pop()()
            return confirm(self, checked)

        monkeypatch.setattr(Records, "confirm", after_work)

    return set_up


def test_pass_takes_in_a_package_by_the_hub_and_marks_the_index(one_pass: Passing, tmp_path: Path) -> None:
    before = counted("adopted")
    put_unrecorded_packages(tmp_path, "lib")
    watch = one_pass()
    artifact = lib()
    assert (artifact.uploaded_by, artifact.size_bytes) == (None, len(read(LIB)))
    assert (watch.adopted_files, watch.cursor, watch.error_code) == (1, "", "")
    event = AuditEvent.objects.get(action="artifact.adopt")
    assert (event.target, event.actor) == ("noarch/lib-1.0-0.conda", None)
    assert not SubdirIndex.objects.get(subdir="noarch").is_current
    assert not Reservation.objects.exists()
    assert counted("adopted") == before + 1


def test_pass_after_a_pass_reads_no_rows(one_pass: Passing, tmp_path: Path) -> None:
    put_unrecorded_packages(tmp_path, "lib", "app")
    one_pass()
    with CaptureQueriesContext(
        connection,
    ) as quiet:
        one_pass()
    assert not [query for query in quiet.captured_queries if "channels_app_artifact" in query["sql"]]
    put_unrecorded_packages(tmp_path, "new")
    one_pass()
    assert known() == {"lib", "app", "new"}


def test_queries_of_a_quiet_pass_do_not_grow_with_files(one_pass: Passing, tmp_path: Path) -> None:
    counts = []
    for names in (["lib"], ["app", "mine", "new"]):
        put_unrecorded_packages(tmp_path, *names)
        one_pass()
        with CaptureQueriesContext(connection) as quiet:
            one_pass()
        counts.append(len(quiet))
    assert counts[0] == counts[1]


def test_file_that_is_being_written_waits_for_a_later_pass(
    one_pass: Passing, watched: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "SETTLED_AFTER", timedelta(seconds=60))
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    assert (known(), refused(watched)) == (set(), {})
    monkeypatch.setattr(comparison, "SETTLED_AFTER", timedelta(0))
    one_pass()
    assert known() == {"lib"}


def test_file_that_changes_while_it_is_read_is_not_taken_in(
    one_pass: Passing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_unrecorded_packages(tmp_path, "lib")
    check = stored.check

    def written_again(*args: Any, **more: Any) -> CheckedPackage | ImportOutcome:
        result = check(*args, **more)
        store().put(LIB, other_lib(tmp_path))
        return result

    monkeypatch.setattr(stored, "check", written_again)
    one_pass()
    assert known() == set()
    monkeypatch.setattr(stored, "check", check)
    one_pass()
    assert lib().size_bytes == len(read(LIB))


def test_refused_file_is_read_again_only_when_it_changes_and_forgotten_when_it_is_gone(
    one_pass: Passing, watched: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store().put(LIB, b"half a package")
    store().put("demo/noarch/gone-1.0-0.conda", b"no package")
    one_pass()
    assert refused(watched) == {"noarch/gone-1.0-0.conda": "bad_package", "noarch/lib-1.0-0.conda": "bad_package"}
    with monkeypatch.context() as patched:
        patched.setattr(stored, "check", None)
        one_pass()
    assert len(refused(watched)) == 2
    put_unrecorded_packages(tmp_path, "lib")
    store().delete("demo/noarch/gone-1.0-0.conda")
    one_pass()
    assert (known(), refused(watched)) == ({"lib"}, {})


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("demo/linux-64/lib-1.0-0.conda", "wrong_place"),
        ("demo/noarch/renamed-1.0-0.conda", "bad_package"),
        ("demo/noarch/nothing.conda", "bad_package"),
        ("demo/noarch/lib 1.0-0.conda", "bad_package"),
    ],
)
def test_file_in_a_wrong_place_is_refused(
    one_pass: Passing, watched: Channel, tmp_path: Path, key: str, code: str
) -> None:
    store().put(key, make_conda(tmp_path, name="lib"))
    one_pass()
    assert (known(), refused(watched)) == (set(), {key.removeprefix("demo/"): code})


def test_other_files_below_the_prefix_are_left_alone(
    one_pass: Passing, watched: Channel, tmp_path: Path, store_folder: Path
) -> None:
    path = make_conda(tmp_path, name="lib")
    subdir = store_folder / "demo" / "noarch"
    for key in ("noarch/repodata.json", "noarch/shards/lib-1.0-0.conda", "label/dev/noarch/lib-1.0-0.conda", "x.conda"):
        store().put(f"demo/{key}", path)
    (subdir / ".tmp-lib-1.0-0.conda").write_bytes(b"")
    (subdir / "lib-1.0-0.conda").symlink_to(path)
    (subdir / os.fsdecode(b"\xff-1.0-0.conda")).write_bytes(b"")
    os.mkfifo(subdir / "pipe-1.0-0.conda")
    (store_folder / "demo" / "linux-64").symlink_to(subdir)
    before = set(store().list("demo/"))
    one_pass()
    assert (known(), refused(watched), set(store().list("demo/"))) == (set(), {}, before)


def test_policies_of_the_channel_hold(one_pass: Passing, watched: Channel, tmp_path: Path, olga: User) -> None:
    Channel.objects.update(require_attestation=True)
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    assert (known(), refused(watched)) == (set(), {"noarch/lib-1.0-0.conda": "attestation_missing"})
    Channel.objects.update(require_attestation=False)
    one_pass()
    assert known() == set()
    watches.retry(actor=Actor(user=olga), channel=watched)
    one_pass()
    assert (known(), refused(watched)) == ({"lib"}, {})


def test_retry_during_a_pass_holds_for_the_next_one(
    one_pass: Passing, watched: Channel, tmp_path: Path, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    Channel.objects.update(require_attestation=True)
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    Channel.objects.update(require_attestation=False)
    forget_gone = Pass._forget_gone
    monkeypatch.setattr(
        Pass, "_forget_gone", lambda self, begin: watches.retry(actor=Actor(user=olga), channel=watched) and None
    )
    one_pass()
    monkeypatch.setattr(Pass, "_forget_gone", forget_gone)
    one_pass()
    assert known() == {"lib"}


def test_file_is_checked_again_when_its_sidecar_appears(one_pass: Passing, watched: Channel, tmp_path: Path) -> None:
    Channel.objects.update(require_attestation=True)
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    store().put(f"{LIB}.sigs", b"[]")
    seen_at = watches.of(watched).refused.get().seen_at
    one_pass()
    assert watches.of(watched).refused.get().seen_at > seen_at


def test_channel_for_trusted_publishers_alone_takes_no_file_in(one_pass: Passing, tmp_path: Path) -> None:
    Channel.objects.update(only_trusted_publishers=True)
    put_unrecorded_packages(tmp_path, "lib")
    assert (one_pass().error_code, known()) == ("trusted_publishers_only", set())
    Channel.objects.update(only_trusted_publishers=False)
    watch = one_pass()
    assert (watch.error_code, watch.failing_since, known()) == ("", None, {"lib"})


def test_file_above_the_channels_limit_is_refused_unread(
    one_pass: Passing, watched: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Channel.objects.update(max_upload_bytes=10)
    put_unrecorded_packages(tmp_path, "lib")
    monkeypatch.setattr(adoption, "adopt", None)
    one_pass()
    assert refused(watched) == {"noarch/lib-1.0-0.conda": "too_large"}


def test_pass_stops_at_a_full_quota_and_takes_in_the_first_files(one_pass: Passing, tmp_path: Path) -> None:
    put_unrecorded_packages(tmp_path, "app", "lib")
    Channel.objects.update(quota_bytes=len(read("demo/noarch/app-1.0-0.conda")))
    one_pass()
    assert (one_pass().error_code, known()) == ("channel_quota", {"app"})
    Channel.objects.update(quota_bytes=None)
    assert (one_pass().error_code, known()) == ("", {"app", "lib"})


def test_packages_count_for_the_users_quota(one_pass: Passing, tmp_path: Path, settings: Settings) -> None:
    settings.HUB_USER_PACKAGES_A_DAY = 1
    put_unrecorded_packages(tmp_path, "app", "lib")
    one_pass()
    assert (one_pass().error_code, known()) == ("quota_packages", {"app"})
    settings.HUB_USER_PACKAGES_A_DAY = 2
    assert (one_pass().error_code, known()) == ("", {"app", "lib"})


def test_deleted_file_does_not_come_back(one_pass: Passing, watched: Channel, olga: User, tmp_path: Path) -> None:
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    removal.delete(actor=Actor(user=olga), artifact=lib(), reason="")
    watches.retry(actor=Actor(user=olga), channel=watched)
    one_pass()
    assert (lib().removal, refused(watched)) == (Removal.DELETED, {})


def test_name_of_a_purged_file_is_refused_until_an_owner_releases_it(
    one_pass: Passing, watched: Channel, olga: User, tmp_path: Path
) -> None:
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    removal.delete(actor=Actor(user=olga), artifact=lib(), reason="")
    Artifact.objects.update(removed_at=timezone.now() - channels.grace() - timedelta(days=1))
    removal.purge_deleted()
    store().put(LIB, other_lib(tmp_path))
    one_pass()
    assert refused(watched) == {"noarch/lib-1.0-0.conda": "name_deleted"}
    removal.release(actor=Actor(user=olga), artifact=lib())
    one_pass()
    assert (lib().removal, refused(watched)) == ("", {})


@pytest.mark.parametrize("is_same_size", [False, True])
def test_replaced_file_is_told_and_the_row_stays(
    one_pass: Passing, watched: Channel, tmp_path: Path, is_same_size: bool
) -> None:
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    whole = read(LIB)
    Artifact.objects.update(indexed_timestamp=1_790_000_000_000)
    store().put(LIB, whole[:-1] + b"?" if is_same_size else other_lib(tmp_path))
    for _ in range(2):
        one_pass()
        assert refused(watched) == {"noarch/lib-1.0-0.conda": "exists"}
    assert lib().size_bytes == len(whole)
    store().put(LIB, whole)
    one_pass()
    assert refused(watched) == {}


def test_upload_under_way_is_left_to_the_upload(
    one_pass: Passing, watched: Channel, tmp_path: Path, olga: User
) -> None:
    path = make_conda(tmp_path, name="lib")
    checked = received(path)
    Reservation.objects.create(
        channel=watched, subdir="noarch", file_name=path.name, sha256=checked.sha256, token="upload",
        expires_at=timezone.now() + timedelta(minutes=1),
    )  # fmt: skip
    store().put(LIB, path)
    one_pass()
    assert (known(), refused(watched)) == (set(), {})
    publish(watched, olga, path)
    one_pass()
    assert (lib().uploaded_by, AuditEvent.objects.filter(action="artifact.adopt").exists()) == (olga, False)


def test_file_of_an_upload_that_was_killed_is_refused_until_it_is_uploaded_again(
    one_pass: Passing, watched: Channel, tmp_path: Path, olga: User
) -> None:
    path = make_conda(tmp_path, name="lib")
    Reservation.objects.create(
        channel=watched, subdir="noarch", file_name=path.name, sha256="a" * 64, token="upload",
        expires_at=timezone.now() - timedelta(hours=7),
    )  # fmt: skip
    store().put(LIB, path)
    one_pass()
    Reservation.objects.all().delete()
    one_pass()
    assert (known(), refused(watched)) == (set(), {"noarch/lib-1.0-0.conda": "upload_interrupted"})
    publish(watched, olga, path)
    one_pass()
    assert (lib().uploaded_by, refused(watched)) == (olga, {})


def test_file_of_an_upload_that_was_refused_at_the_end_is_not_taken_in(
    one_pass: Passing, watched: Channel, tmp_path: Path, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise forbidden("no_access", "The right has ended.")

    path = make_conda(tmp_path, name="lib")
    with monkeypatch.context() as patched:
        patched.setattr(upload, "record", refuse)
        with pytest.raises(HubError):
            publish(watched, olga, path)
    one_pass()
    assert (known(), refused(watched)) == (set(), {"noarch/lib-1.0-0.conda": "upload_interrupted"})
    publish(watched, olga, other_lib(tmp_path))
    one_pass()
    assert (lib().uploaded_by, refused(watched)) == (olga, {})


@pytest.mark.parametrize("is_other", [False, True])
def test_upload_that_overtakes_a_pass_keeps_the_name(
    one_pass: Passing, watched: Channel, tmp_path: Path, olga: User, is_other: bool,
    meanwhile: Callable[[Callable[[], object]], None],
) -> None:  # fmt: skip
    put_unrecorded_packages(tmp_path, "lib")
    path = other_lib(tmp_path) if is_other else make_conda(tmp_path, name="lib")
    meanwhile(lambda: publish(watched, olga, path))
    one_pass()
    one_pass()
    assert (lib().uploaded_by, lib().sha256) == (olga, received(path).sha256)
    assert (lib().size_bytes, refused(watched)) == (len(read(LIB)), {})


def test_pass_that_was_killed_is_made_again(
    one_pass: Passing, watched: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_unrecorded_packages(tmp_path, "lib")

    class Killed(BaseException):
        pass

    def killed(self: Records, found: Sequence[object]) -> list[ImportOutcome]:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Records, "add", killed)
        with pytest.raises(Killed):
            one_pass()
    # A killed process runs no `finally`, so its reservation stays.
    Reservation.objects.create(
        channel=watched, subdir="noarch", file_name="lib-1.0-0.conda", sha256="a" * 64,
        token=f"{adoption.RESERVED_BY}killed", expires_at=timezone.now() + timedelta(minutes=1),
    )  # fmt: skip
    one_pass()
    assert (known(), refused(watched), Reservation.objects.count()) == ({"lib"}, {}, 0)


def test_backlog_is_taken_in_by_bounded_passes_over_all_channels(
    one_pass: Passing, watched: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "FILES_MAX", 2)
    monkeypatch.setattr(passes, "GROUP", 2)
    monkeypatch.setattr(listing, "FILES_MAX", 3)
    sent: list[object] = []
    monkeypatch.setattr(passes, "send", sent.append)
    put_unrecorded_packages(tmp_path, *(f"lib{number}" for number in range(7)))
    store().put("demo/linux-64/bad-1.0-0.conda", b"bad")
    counts: list[int] = []
    while len(counts) < 2 or counts[-1] != counts[-2]:
        one_pass()
        counts.append(len(known()))
    assert counts == [2, 5, 7, 7]
    assert (len(sent), refused(watched)) == (2, {"linux-64/bad-1.0-0.conda": "bad_package"})


def test_too_many_refused_files_stop_the_watch_until_some_are_gone(
    one_pass: Passing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "REFUSED_MAX", 1)
    store().put("demo/noarch/bad-1.0-0.conda", b"bad")
    one_pass()
    put_unrecorded_packages(tmp_path, "lib")
    assert (one_pass().error_code, known()) == ("too_many_refused", set())
    store().delete("demo/noarch/bad-1.0-0.conda")
    one_pass()
    assert (one_pass().error_code, known()) == ("", {"lib"})


def test_store_that_fails_is_told_and_asked_again(one_pass: Passing, tmp_path: Path, store_folder: Path) -> None:
    put_unrecorded_packages(tmp_path, "lib")
    shutil.move(store_folder / "demo", tmp_path / "moved")
    (store_folder / "demo").symlink_to(tmp_path / "moved")
    assert (one_pass().error_code, known()) == ("store_failed", set())
    (store_folder / "demo").unlink()
    shutil.move(tmp_path / "moved", store_folder / "demo")
    assert (one_pass().error_code, known()) == ("", {"lib"})


def test_watch_that_is_turned_off_during_a_pass_takes_no_file_in(
    one_pass: Passing, watched: Channel, tmp_path: Path, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_unrecorded_packages(tmp_path, "lib")
    check_allowed = passes._check_allowed

    def turned_off(channel: Channel) -> None:
        check_allowed(channel)
        watches.stop(actor=Actor(user=olga), channel=watched)

    monkeypatch.setattr(passes, "_check_allowed", turned_off)
    passes.work()
    assert known() == set()


def test_verification_removes_no_file_of_a_watched_channel_that_others_may_have_put(
    one_pass: Passing, watched: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_files, "FRESH", timedelta(0))
    put_unrecorded_packages(tmp_path, "lib")
    one_pass()
    Artifact.objects.update(removal=Removal.DELETED, is_purged=True)
    store().put("demo/noarch/app-1.0-0.conda.sigs", b"[]")
    kinds = {key: kind for kind, key in found(watched)}
    assert (kinds[LIB], kinds["demo/noarch/app-1.0-0.conda.sigs"]) == ("unknown file", "unknown file")
    watches.stop(actor=Actor(user=olga), channel=watched)
    kinds = {key: kind for kind, key in found(watched)}
    assert (kinds[LIB], kinds["demo/noarch/app-1.0-0.conda.sigs"]) == ("leftover", "leftover")


def test_verification_names_the_reason_of_the_watch(
    one_pass: Passing, watched: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_files, "FRESH", timedelta(0))
    store().put(LIB, b"half a package")
    one_pass()
    (difference,) = (each for each in verification.verify(watched).differences if each.key == LIB)
    assert difference.sentence.startswith("The watch of the channel refused it: lib-1.0-0.conda was refused")
