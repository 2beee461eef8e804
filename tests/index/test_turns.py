"""Scheduler of index builds: order, time limits, and builds that fail, wait or stop half-way."""

import errno
import json
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from hub.locks import try_lock
from hub.storage import StoreError, store
from hub.storage.folder import FolderStore
from publishing import tasks
from publishing.index import builds, channel_files, fragments, subdir_files, turns
from publishing.index.turns import Turn
from publishing.models import FailedJob, IndexedName, SubdirIndex
from publishing.removal import removal
from publishing.uploads import queries
from tests.builders import make_artifact, make_channel

Jobs = list[tuple[object, ...]]
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def turn(index_id: int, *, last_s: float, **values: Any) -> Turn:
    """Make a turn of a channel that had its last turn `last_s` seconds ago."""
    facts: dict[str, Any] = {
        "owner_id": None,
        "is_whole_channel": False,
        "removes": False,
        "requested_at": ago(1),
        "due_at": ago(1),
    }
    return Turn(index_id, **{**facts, "turn_at": ago(last_s), "channel_turn_at": ago(last_s), **values})


def ordered(*found: Turn, removals_first: bool = True) -> list[int]:
    return [each.index_id for each in turns.in_order(found, NOW, removals_first=removals_first)]


def listed(channel: Channel, subdir: str = "noarch") -> set[str]:
    content = json.loads(b"".join(store().open(f"{channel}/{subdir}/repodata.json")))
    return set(content["packages.conda"])


def work_all() -> None:
    """Build as workers do, until no index is stale."""
    while SubdirIndex.objects.filter(pk__in=[each.index_id for each in turns.stale()]).exists():
        SubdirIndex.objects.update(due_at=None)
        turns.work()


@pytest.fixture(autouse=True)
def job_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the time limit of jobs, which a busy machine would exceed. work() still ends if no index is due."""
    monkeypatch.setattr(turns, "_owners_turns", {})
    monkeypatch.setattr(turns, "JOB_S", 60.0)


@pytest.fixture
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit a build to two names."""
    monkeypatch.setattr(turns, "BUILD_S", 0.0)
    for module in (fragments, channel_files):
        monkeypatch.setattr(module, "NAMES_AT_ONCE", 2)


# Order


def test_order_channel_with_a_burst_comes_after_the_others() -> None:
    assert ordered(turn(1, last_s=0), turn(2, last_s=1), turn(3, last_s=3600)) == [3, 2, 1]


def test_order_subdirs_of_one_channel_have_one_turn_together() -> None:
    subdirs = [turn(number, last_s=0, turn_at=ago(number)) for number in range(1, 9)]
    assert ordered(*subdirs, turn(9, last_s=1)) == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_order_removal_goes_first() -> None:
    assert ordered(turn(1, last_s=3600), turn(2, last_s=60, removes=True)) == [2, 1]


def test_order_burst_of_removals_delays_no_addition() -> None:
    assert ordered(turn(1, last_s=0.5, removes=True), turn(2, last_s=1)) == [2, 1]


@pytest.mark.parametrize("removals_first", [True, False])
def test_order_removal_with_an_addition_waiting_has_every_other_turn(*, removals_first: bool) -> None:
    removals = [turn(1, last_s=60, removes=True), turn(2, last_s=90, removes=True)]
    expected = [2, 1, 3] if removals_first else [3, 2, 1]
    assert ordered(*removals, turn(3, last_s=3), removals_first=removals_first) == expected


@pytest.mark.parametrize(("channels", "build_s"), [(60, 0.05), (10, 0.25), (200, 0.02), (200, 2.5)])
def test_order_removals_in_many_channels_delay_an_addition_by_one_build(channels: int, build_s: float) -> None:
    """Each channel has a new removal at each of its turns."""
    now, went_first = NOW, False
    begun: list[int] = []
    last = {number: ago(100 + number) for number in range(channels)}
    addition = turn(channels, last_s=10)
    while len(begun) < 2 * channels:
        removals = [turn(number, last_s=0, removes=True, channel_turn_at=at) for number, at in last.items()]
        first = turns.in_order([*removals, addition], now, removals_first=not went_first)[0]
        went_first = turns.has_priority(first, now)
        begun.append(first.index_id)
        addition = replace(addition, channel_turn_at=now) if first == addition else addition
        last |= {first.index_id: now} if first != addition else {}
        now += timedelta(seconds=build_s)
    assert channels in begun[:2]
    assert set(range(channels)) <= set(begun)


def test_order_whole_channel_waits_then_comes_in_line() -> None:
    whole = {"is_whole_channel": True, "turn_at": ago(3600)}
    assert ordered(turn(1, last_s=60, requested_at=ago(5), **whole), turn(2, last_s=0)) == [2, 1]
    assert ordered(turn(1, last_s=60, requested_at=ago(15), **whole), turn(2, last_s=0)) == [1, 2]


def test_order_whole_channel_of_a_burst_delays_other_indexes_once() -> None:
    whole = turn(1, last_s=0, is_whole_channel=True, requested_at=ago(600))
    assert ordered(whole, turn(2, last_s=1)) == [2, 1]


def test_order_whole_channel_puts_off_no_subdir_of_its_own(channel: Channel) -> None:
    make_artifact(channel, "lib")
    builds.build_channel(channel)
    make_artifact(channel, "more")
    [waiting] = turns.stale()
    assert waiting.channel_turn_at == channel.indexes.get(subdir="noarch").turn_at
    assert waiting.channel_turn_at < channel.indexes.get(subdir="").turn_at  # type: ignore[operator]


def test_order_index_that_kills_its_workers_comes_last() -> None:
    """A turn is recorded when it begins."""
    assert ordered(turn(1, last_s=0.1), turn(2, last_s=30)) == [2, 1]


def test_order_omits_indexes_that_are_not_due() -> None:
    assert ordered(turn(1, last_s=9, due_at=NOW + timedelta(seconds=1)), turn(2, last_s=9)) == [2]


# Stale indexes in the database


def test_stale_returns_turns_and_removals(channel: Channel, olga: User) -> None:
    gone = make_artifact(channel, "gone")
    make_artifact(channel, "kept", subdir="linux-64")
    builds.build_channel(channel)
    removal.delete(actor=Actor(user=olga), artifact=gone, reason="It contained a password.")
    make_artifact(channel, "more", subdir="linux-64")

    found = {each.index_id: each for each in turns.stale()}

    noarch, linux = (channel.indexes.get(subdir=subdir) for subdir in ("noarch", "linux-64"))
    assert (found[noarch.pk].removes, found[linux.pk].removes) == (True, False)
    assert found[noarch.pk].channel_turn_at == found[linux.pk].channel_turn_at == linux.turn_at
    assert found[noarch.pk].turn_at == noarch.turn_at


def test_removal_is_forgotten_once_it_is_built(channel: Channel, olga: User) -> None:
    gone = make_artifact(channel, "gone")
    removal.yank(actor=Actor(user=olga), artifact=gone, reason="")
    builds.build_channel(channel)
    make_artifact(channel, "gone", "2.0")
    assert [each.removes for each in turns.stale()] == [False]


def test_stale_costs_one_query(channel: Channel, django_assert_num_queries: Any) -> None:
    for number in range(3):
        make_artifact(make_channel(f"other-{number}"))
    with django_assert_num_queries(1):
        assert len(turns.stale()) == 3


# Working


def test_work_builds_every_stale_index_and_opens_channels(channel: Channel, sent_jobs: Jobs) -> None:
    other = make_channel("other")
    make_artifact(channel, "lib")
    turns.work()
    assert turns.stale() == []
    assert listed(channel) == {"lib-1.0-0.conda"}
    assert listed(other) == set()


def test_work_on_a_burst_gives_another_channel_its_turn(
    channel: Channel, one_batch: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        make_artifact(channel, f"lib{number}")
    other = make_channel("other")
    built: list[tuple[str, int]] = []
    original = builds.build

    def build(row: SubdirIndex, **options: Any) -> None:
        if not built:
            make_artifact(other, "urgent")
        original(row, **options)
        if row.subdir:
            built.append((row.channel.name, len(listed(row.channel))))

    monkeypatch.setattr(builds, "build", build)
    turns.work()
    assert built[:2] == [("demo", 2), ("other", 1)]
    assert [count for name, count in built if name == "demo"] == [2, 4, 6, 7]


def test_work_on_removals_in_many_channels_gives_an_addition_every_other_turn(
    olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_went_first", False)
    for number in range(4):
        channel = make_channel(f"removes-{number}", owner=olga)
        gone = make_artifact(channel)
        builds.build_channel(channel)
        removal.yank(actor=Actor(user=olga), artifact=gone, reason="")
    SubdirIndex.objects.update(due_at=None, turn_at=timezone.now() - timedelta(seconds=60))
    other = make_channel("adds")
    builds.build_channel(other)
    make_artifact(other)
    begun: list[str] = []
    original = builds.build

    def build(row: SubdirIndex, **options: Any) -> None:
        original(row, **options)
        begun.append(row.channel.name)

    monkeypatch.setattr(builds, "build", build)
    turns.work()
    assert begun[0] == "removes-0"
    assert begun[1] == "adds"
    assert set(begun[2:5]) > {"removes-1"}


def test_bounded_build_leaves_the_index_stale_and_logs_its_names(channel: Channel, one_batch: None) -> None:
    for number in range(3):
        make_artifact(channel, f"lib{number}")
    row = SubdirIndex.objects.get()
    builds.build_once(row.pk, bound_s=0)
    row.refresh_from_db()
    assert (row.requested_revision, row.built_revision, row.builds) == (3, 0, 1)
    states = queries.upload_states(channel, [f"noarch/lib{number}-1.0-0.conda" for number in range(3)])
    assert list(states.values()) == ["indexed", "indexed", "published"]
    builds.build_once(row.pk, bound_s=0)
    row.refresh_from_db()
    assert (row.built_revision, row.builds, builds.stale_names(row).count()) == (3, 2, 0)


def test_bounded_build_takes_removed_names_first(channel: Channel, olga: User, one_batch: None) -> None:
    gone = make_artifact(channel, "zz")
    builds.build_channel(channel)
    for number in range(5):
        make_artifact(channel, f"lib{number}")
    removal.delete(actor=Actor(user=olga), artifact=gone, reason="It contained a password.")
    builds.build_once(channel.indexes.get(subdir="noarch").pk, bound_s=0)
    assert listed(channel) == {"lib0-1.0-0.conda"}


def test_name_that_changes_during_a_bounded_build_stays_stale(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel, "lib")
    original = subdir_files.write

    def write(row: SubdirIndex) -> None:
        make_artifact(channel, "lib", "2.0")
        monkeypatch.setattr(subdir_files, "write", original)
        original(row)

    monkeypatch.setattr(subdir_files, "write", write)
    row = SubdirIndex.objects.get()
    builds.build_once(row.pk, bound_s=1)
    assert IndexedName.objects.get(index=row, changed__gt=1).made == 0
    builds.build_once(row.pk, bound_s=1)
    assert len(listed(channel)) == 2


def test_files_of_the_whole_channel_wait_until_all_names_are_made(channel: Channel, one_batch: None) -> None:
    for number in range(5):
        make_artifact(channel, f"lib{number}")
    builds.build_until_current(SubdirIndex.objects.get().pk)
    whole = channel.indexes.get(subdir="")
    assert [builds.build_once(whole.pk, bound_s=0) and whole.fragments.count() for _ in range(2)] == [2, 4]
    assert store().stat(f"{channel}/channeldata.json") is None
    builds.build_once(whole.pk, bound_s=0)
    assert len(json.loads(b"".join(store().open(f"{channel}/channeldata.json")))["packages"]) == 5


def test_index_is_not_due_for_a_moment_after_a_build(channel: Channel, settings: Settings) -> None:
    settings.HUB_INDEX_PAUSE_MS = 10_000
    make_artifact(channel)
    turns.work()
    make_artifact(channel, "second")
    [waiting] = turns.stale()
    assert timedelta(seconds=9) < waiting.due_at - timezone.now() <= timedelta(seconds=10)
    begun = time.monotonic()
    turns.work()
    assert time.monotonic() - begun < turns.WAIT_MAX_S
    assert listed(channel) == {"demo-1.0-0.conda"}


def test_worker_waits_for_an_index_that_is_due_soon(channel: Channel, settings: Settings) -> None:
    settings.HUB_INDEX_PAUSE_MS = 300
    make_artifact(channel)
    turns.work()
    make_artifact(channel, "second")
    turns.work()
    assert len(listed(channel)) == 2


def test_files_of_a_whole_channel_take_a_small_share_of_the_time(
    channel: Channel, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel)
    original = channel_files.write_files

    def write(row: SubdirIndex) -> None:
        time.sleep(0.2)
        original(row)

    monkeypatch.setattr(channel_files, "write_files", write)
    builds.build_channel(channel)
    whole = channel.indexes.get(subdir="")
    assert whole.due_at
    assert whole.built_at
    assert whole.due_at - whole.built_at >= builds.WHOLE_CHANNEL_SHARE * timedelta(seconds=0.2)


def test_job_ends_after_its_time_and_sends_another(
    channel: Channel, sent_jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs end early, so that one worker with one thread also runs other jobs."""
    monkeypatch.setattr(turns, "JOB_S", -1.0)
    make_artifact(channel)
    sent_jobs.clear()
    turns.work()
    assert sent_jobs == [(builds.BUILD,)]


def test_worker_that_sees_more_stale_indexes_wakes_another(channel: Channel, sent_jobs: Jobs) -> None:
    for name in ("noarch", "linux-64"):
        make_artifact(channel, subdir=name)
    sent_jobs.clear()
    turns._build_first_free(turns.stale())
    assert sent_jobs == [(builds.BUILD,)]
    turns._build_first_free([each for each in turns.stale() if not each.is_whole_channel])
    assert sent_jobs == [(builds.BUILD,)]


def test_worker_skips_an_index_that_another_builds(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(channel)
    other = make_channel("other")
    make_artifact(other)
    busy = SubdirIndex.objects.get(channel=channel)
    original = try_lock
    monkeypatch.setattr(builds, "try_lock", lambda name: original(name if name != f"index-{busy.pk}" else "held"))
    with original("held") as held:
        assert held
        if connection.vendor == "postgresql":  # one connection can hold an advisory lock twice
            pytest.skip("covered by live hubs")
        turns.work()
    assert listed(other)
    assert SubdirIndex.objects.get(pk=busy.pk).built_revision == 0


# Failing


def test_build_that_fails_is_noted_and_stops_no_other(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(channel, "bad")
    other = make_channel("other")
    make_artifact(other)
    broken = SubdirIndex.objects.get(channel=channel)
    original = subdir_files.write

    def write(row: SubdirIndex) -> None:
        if row.pk == broken.pk:
            raise StoreError("no space left")
        original(row)

    with monkeypatch.context() as patch:
        patch.setattr(subdir_files, "write", write)
        turns.work()
    assert listed(other)
    assert [(job.task, job.args) for job in FailedJob.objects.all()] == [(turns.FAILED_BUILD, [broken.pk])]
    assert turns.in_order(turns.stale(), timezone.now(), removals_first=True) == []
    tasks.build_index(broken.pk)  # as "Retry" does
    assert listed(channel)
    assert not FailedJob.objects.exists()


class FullDisk:
    """A database on a full disk: reads work, writes fail."""

    def __call__(self, execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(("UPDATE", "INSERT", "DELETE")):
            raise OperationalError("database or disk is full")
        return execute(sql, *arguments)


def raise_full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.django_db(transaction=True)
def test_build_whose_failure_can_not_be_noted_is_not_due_for_a_moment_either(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel)
    [row] = SubdirIndex.objects.all()
    tried: list[int] = []
    original = builds.build_once

    def build_once(index_id: int, **options: Any) -> bool:
        tried.append(index_id)
        assert len(tried) < 5
        return original(index_id, **options)

    monkeypatch.setattr(builds, "delayed_builds", {})
    monkeypatch.setattr(builds, "build_once", build_once)
    with connection.execute_wrapper(FullDisk()):
        turns.work()
        turns.work()
    assert tried == [row.pk]
    [waiting] = turns.stale()
    assert timedelta(seconds=5) < waiting.due_at - timezone.now() <= builds.RETRY_AFTER
    tasks.build_index(row.pk)  # as "Retry" does
    assert listed(channel)


@pytest.mark.parametrize("target", [(FolderStore, "put"), (tempfile, "NamedTemporaryFile")])
def test_full_disk_fails_the_build_alone_and_blames_no_record(
    channel: Channel, target: tuple[Any, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    artifact = make_artifact(channel)
    with monkeypatch.context() as patch:
        patch.setattr(*target, raise_full)
        turns.work()
    artifact.refresh_from_db()
    assert artifact.quarantine_reason == ""
    assert "can't be read by clients" not in caplog.text
    assert "No space left on device" in FailedJob.objects.get().error
    assert turns.in_order(turns.stale(), timezone.now(), removals_first=True) == []


def test_failed_build_of_an_index_that_is_gone_is_forgotten(db: None) -> None:
    FailedJob.objects.create(task=turns.FAILED_BUILD, args=[7], error="x")
    tasks.build_index(7)
    assert not FailedJob.objects.exists()


def test_every_job_of_the_index_is_the_same_wake_up(channel: Channel) -> None:
    for number, job in enumerate((tasks.build_stale_indexes, tasks.wake_stale_indexes)):
        make_artifact(channel, f"lib{number}")
        job()
        assert len(listed(channel)) == number + 1
    make_artifact(channel, "lib2")
    tasks.build_index(10**6)
    make_artifact(channel, "lib3")
    tasks.open_channel(10**6)
    assert len(listed(channel)) == 4


# Enqueueing


def test_many_changes_wake_once_and_again_where_the_worker_may_be_dead(
    channel: Channel,
    sent_jobs: Jobs,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def woken() -> int:
        sent_jobs.clear()
        with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
            builds.schedule_build(channel, "noarch", ["demo"])
        return len(sent_jobs)

    monkeypatch.setattr(builds, "_woken_again_at", -1e9)
    assert [woken(), woken(), woken()] == [1, 0, 0]
    SubdirIndex.objects.update(requested_at=timezone.now() - timedelta(seconds=2))
    assert [woken(), woken()] == [1, 0]
    monkeypatch.setattr(builds, "_woken_again_at", -1e9)
    assert woken() == 1
    work_all()
    assert [woken(), woken()] == [1, 0]
