"""Queues of jobs, and jobs without a worker or with a killed worker."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.beat import ScheduleEntry
from celery.schedules import schedule
from kombu import Connection
from pytest_django import Settings
from redis import Redis

from hub import celery
from hub.celery import app
from hub.queue import queues
from hub.queue.schedule import Scheduler
from publishing.index import builds

OF_THE_INDEX = {
    f"publishing.tasks.{name}" for name in ("build_index", "build_stale_indexes", "open_channel", "wake_stale_indexes")
}
OF_CHECKS = {
    *("publishing.tasks.verify_channels", "publishing.tasks.verify_channel"),
    *("publishing.tasks.apply_retention", "publishing.tasks.apply_retention_rules"),
}


@pytest.fixture(params=["folder", "Redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Connection]:
    """Yield a connection to an empty broker: a folder and, if available, Redis."""
    options = {"data_folder_in": str(tmp_path), "polling_interval": 0.01}
    if request.param == "folder":
        settings.REDIS_URL, settings.QUEUE_DIR = "", tmp_path
        with Connection("folder://localhost", transport_options=options) as connection:
            yield connection
        return
    if not settings.REDIS_URL:
        pytest.skip("there is no Redis here")
    with Redis.from_url(settings.REDIS_URL) as redis, Connection(settings.REDIS_URL) as connection:
        redis.delete("index", "housekeeping")
        yield connection
        redis.delete("index", "housekeeping")


@pytest.fixture
def sends(broker: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the hub enqueue its jobs at `broker`."""

    def send_task(task: str, *_: Any, **__: Any) -> None:
        put(broker, queue_of(task), 1)

    monkeypatch.setattr(app, "send_task", send_task)


def put(broker: Connection, name: str, count: int) -> None:
    with broker.SimpleQueue(name) as queue:
        for number in range(count):
            queue.put({"number": number})


def take_all(broker: Connection, name: str) -> list[int]:
    """Take all messages by a separate connection: one that waits at Redis could receive later messages."""
    found: list[int] = []
    with broker.clone() as own, own.SimpleQueue(name) as queue:
        while True:
            try:
                message = queue.get(timeout=0.2)
            except queue.Empty:
                return found
            message.ack()
            found.append(message.payload["number"])


def queue_of(task: str) -> str:
    found: str = app.amqp.router.route({}, task)["queue"].name
    return found


def test_every_job_has_its_queue() -> None:
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if name.startswith(("publishing.", "channels_app."))}
    assert ours > OF_THE_INDEX | OF_CHECKS
    for name in ours:
        expected = "index" if name in OF_THE_INDEX else "checks" if name in OF_CHECKS else "housekeeping"
        assert queue_of(name) == expected, name


def test_worker_without_queue_names_takes_all_queues() -> None:
    assert set(app.amqp.queues) == {"index", "checks", "housekeeping"}


def test_schedule_entries_expire_within_a_day() -> None:
    for entry in app.conf.beat_schedule.values():
        assert entry["options"]["expires"] <= 24 * 3600


def test_the_folder_keeps_queues_apart(tmp_path: Path) -> None:
    options = {"data_folder_in": str(tmp_path), "polling_interval": 0.01}
    with (
        Connection("folder://localhost", transport_options=options) as connection,
        connection.SimpleQueue("checks") as checks,
        connection.SimpleQueue("index") as index,
    ):
        checks.put("verify")
        index.put("build")
        checks.put("verify more")
        for queue, expected in ((index, ["build"]), (checks, ["verify", "verify more"])):
            for payload in expected:
                message = queue.get(timeout=5)
                message.ack()
                assert message.payload == payload
            with pytest.raises(queue.Empty):
                queue.get(timeout=0.05)


def test_wake_leaves_a_bounded_number_of_jobs(broker: Connection, sends: None) -> None:
    for _ in range(50):
        celery.wake(builds.BUILD)
    assert queues.waiting()["index"].count == queues.MAX_WAITING["index"]


def test_wake_where_a_job_was_taken_sends_another(broker: Connection, sends: None) -> None:
    celery.wake(builds.BUILD)
    take_all(broker, "index")
    celery.wake(builds.BUILD)
    assert queues.waiting()["index"].count == 1


def test_wake_without_a_broker_raises_no_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    sent: list[object] = []
    monkeypatch.setattr(app, "send_task", lambda *job, **_: sent.append(job))
    celery.wake(builds.BUILD)
    assert sent == []
    assert "the schedule will" in caplog.text


def test_schedule_sends_no_job_to_a_full_queue(broker: Connection, sends: None) -> None:
    beat = Scheduler(app, lazy=True)
    for task, queue in (("publishing.tasks.wake_stale_indexes", "index"), ("publishing.tasks.remove_leftovers", "")):
        entry = ScheduleEntry(name=task, task=task, schedule=schedule(15.0), app=app)
        for _ in range(20):
            beat.apply_async(entry, advance=False)
        name = queue or "housekeeping"
        assert queues.waiting()[name].count == queues.MAX_WAITING.get(name, queues.MOST_OF_OTHERS)


def test_shorten_many_waiting_jobs_leaves_the_newest(broker: Connection) -> None:
    put(broker, "index", 500)
    put(broker, "housekeeping", 30)
    queues.drop_surplus("index")
    assert take_all(broker, "index") == [498, 499]
    assert take_all(broker, "housekeeping") == list(range(30))


def test_shorten_few_waiting_jobs_leaves_all(broker: Connection) -> None:
    put(broker, "index", queues.SURPLUS - 1)
    queues.drop_surplus("index")
    assert queues.waiting()["index"].count == queues.SURPLUS - 1


@pytest.mark.parametrize("broker", ["folder"], indirect=True)
def test_messages_of_an_earlier_version_are_found_and_counted(broker: Connection, tmp_path: Path) -> None:
    put(broker, "checks", 3)
    for path in (tmp_path / "checks").iterdir():
        path.rename(tmp_path / path.name)
    put(broker, "checks", 1)
    assert queues.waiting()["checks"].count == 4
    assert take_all(broker, "checks") == [0, 1, 2, 0]


@pytest.mark.parametrize("broker", ["folder"], indirect=True)
def test_folder_is_listed_once_for_many_messages(
    broker: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(broker, "checks", 2000)
    listed: list[Path] = []
    original = Path.iterdir

    def iterdir(folder: Path) -> Any:
        listed.append(folder)
        return original(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    begun = time.perf_counter()
    assert take_all(broker, "checks") == list(range(2000))
    assert time.perf_counter() - begun < 20
    assert len([folder for folder in listed if folder.name == "checks"]) < 60


@pytest.mark.parametrize("broker", ["folder"], indirect=True)
def test_two_readers_of_a_folder_share_its_messages(broker: Connection, tmp_path: Path) -> None:
    put(broker, "checks", 100)
    with broker.clone() as other, broker.SimpleQueue("checks") as first, other.SimpleQueue("checks") as second:
        found = []
        for _ in range(50):
            for queue in (first, second):
                message = queue.get(timeout=5)
                message.ack()
                found.append(message.payload["number"])
    assert sorted(found) == list(range(100))
    assert queues.waiting()["checks"].count == 0
