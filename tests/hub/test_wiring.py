"""Tests of routes, middleware, locks, the queue in a folder, and the sending of jobs."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import get_resolver
from kombu import Connection
from kombu.exceptions import OperationalError

from channels_app.channels.channels import routed_words
from hub import celery
from hub.locks import try_lock, try_lock_for_slow_io
from publishing.index import builds, turns


def routes(resolver: Any, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern).lstrip("^")
        yield from routes(entry, route) if hasattr(entry, "url_patterns") else [route]


def test_no_channel_can_be_named_like_a_route() -> None:
    first_segments = {route.partition("/")[0].partition("\\")[0] for route in routes(get_resolver())}
    any_word = {"", "<str:channel>", "(?P<word>", "(?P<channel>[^"}
    assert first_segments - any_word <= routed_words()


@pytest.mark.parametrize("path", ["/a%00/noarch/x", "/channels/a%00", "/t/k%00/demo/noarch/x", "/%00"])
def test_a_nul_is_refused(client: Client, db: None, path: str) -> None:
    assert client.get(path).status_code in (400, 401)


def test_healthz_gets_200(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_unknown_path_gets_404_as_text_or_page(client: Client, db: None) -> None:
    plain = client.get("/api/nothing")
    assert (plain.status_code, plain["Content-Type"], plain.text) == (
        404,
        "text/plain; charset=utf-8",
        "There is no page, file or endpoint at /api/nothing.\n",
    )
    page = client.get("/api/nothing", headers={"accept": "text/html,*/*"})
    assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("lock", [try_lock, try_lock_for_slow_io])
def test_a_lock_is_held_once(db: None, lock: Callable[[str], AbstractContextManager[bool]]) -> None:
    with lock("a") as first, lock("b") as other:
        assert (first, other) == (True, True)
        assert not _in_another_thread("a")
        with try_lock_for_slow_io("a") as again:
            assert not again
    assert _in_another_thread("a")


def _in_another_thread(name: str) -> bool:
    """Tell whether another connection gets the lock."""
    found: list[bool] = []

    def attempt() -> None:
        with try_lock(name) as held:
            found.append(held)
        connections.close_all()

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return found[0]


def queue(folder: Path) -> Connection:
    options = {"data_folder_in": str(folder), "polling_interval": 0.01}
    return Connection("folder://localhost", transport_options=options)


def test_queue_delivers_in_order_and_is_empty_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    folder.mkdir()
    with queue(folder) as connection, connection.SimpleQueue("jobs") as jobs:
        for number in range(20):
            jobs.put({"number": number})
        assert len(list(folder.rglob("*.msg"))) == 20
        received = []
        for _ in range(20):
            message = jobs.get(timeout=5)
            received.append(message.payload["number"])
            message.ack()
    assert received == list(range(20))
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def _put_many(folder: str, count: int) -> None:
    with queue(Path(folder)) as connection, connection.SimpleQueue("jobs") as jobs:
        for number in range(count):
            jobs.put({"number": number, "filling": "x" * 50_000})


def test_a_reader_never_sees_half_a_message(tmp_path: Path) -> None:
    writers = [
        multiprocessing.get_context("fork").Process(target=_put_many, args=(str(tmp_path), 100)) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    with queue(tmp_path) as connection, connection.SimpleQueue("jobs") as jobs:
        for _ in range(200):
            message = jobs.get(timeout=30)
            assert len(message.payload["filling"]) == 50_000
            message.ack()
    for writer in writers:
        writer.join(10)
        assert writer.exitcode == 0


@pytest.mark.parametrize("error", [OperationalError("refused"), ConnectionResetError("reset"), OSError("disk full")])
def test_unreachable_broker_delays_the_job_only(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(celery.app, "send_task", refuse)
    celery.send("publishing.tasks.build_index", 7)
    assert "could not enqueue publishing.tasks.build_index(7,), the schedule will" in caplog.text


def test_every_scheduled_and_sent_job_exists() -> None:
    celery.app.loader.import_default_modules()
    named = {entry["task"] for entry in celery.app.conf.beat_schedule.values()}
    named |= {builds.BUILD, turns.FAILED_BUILD, "publishing.tasks.open_channel"}
    assert named <= set(celery.app.tasks)


def test_tests_have_a_data_folder_of_their_own() -> None:
    assert "channelhub-tests-" in os.environ["HUB_DATA_DIR"]
