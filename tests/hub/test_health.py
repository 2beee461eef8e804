"""Tests of readiness: its text about database, store and broker, and its cost."""

import threading
import time

import pytest
from django.test import Client
from pytest_django import Settings

from hub import health
from hub.health import Probe

pytestmark = pytest.mark.django_db
SECRET = "redis://:s3cret-of-redis@10.0.0.7/0"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use new probes without cached results.

    The database probe does nothing, because its thread can't use a test's connection.
    """
    monkeypatch.setattr(health, "TIMEOUT_S", 60)
    monkeypatch.setattr(health, "CACHED_S", 60)
    asks = {"database": lambda: None, "store": health.ask_store, "broker": health.ask_broker}
    monkeypatch.setattr(health, "PROBES", {name: Probe(ask) for name, ask in asks.items()})


def fail() -> None:
    raise ConnectionError(f"could not connect to {SECRET}")


def failing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(health.PROBES, name, Probe(fail))


def words(client: Client) -> tuple[int, list[str]]:
    """Return the status, and each line without its time."""
    answer = client.get("/readyz")
    return answer.status_code, [line.partition(",")[0] for line in answer.text.splitlines()]


def test_readyz_with_every_service_gets_200(client: Client) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain")
    assert answer.headers["Cache-Control"] == "no-store"
    assert [line.split(", ")[0] for line in answer.text.splitlines()] == ["database: ok", "store: ok", "broker: ok"]
    assert all(line.endswith(" ms") for line in answer.text.splitlines())


@pytest.mark.parametrize(
    ("down", "status", "line"),
    [
        ("database", 503, "database: failed"),
        ("store", 503, "store: failed"),
        ("broker", 200, "broker: degraded"),
    ],
)
def test_readyz_names_failed_services_and_ignores_the_broker(
    client: Client, monkeypatch: pytest.MonkeyPatch, down: str, status: int, line: str
) -> None:
    failing(monkeypatch, down)

    found = words(client)

    assert found[0] == status
    assert line in found[1]
    assert len([each for each in found[1] if each.endswith(": ok")]) == 2


def test_why_is_for_the_log_and_for_administrators(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing(monkeypatch, "store")

    text = client.get("/readyz").text

    assert "s3cret" not in text
    assert "10.0.0.7" not in text
    assert "ConnectionError: could not connect" in caplog.text
    assert health.check()["store"].problem.startswith("ConnectionError: could not connect")


def test_readyz_with_a_hanging_service_probes_it_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 1)
    monkeypatch.setitem(health.PROBES, "broker", Probe(lambda: None))
    ends, asked = threading.Event(), []

    def hang() -> None:
        asked.append(1)
        ends.wait(60)

    monkeypatch.setitem(health.PROBES, "store", Probe(hang))
    began = time.monotonic()

    assert words(client) == (503, ["database: ok", "store: failed", "broker: ok"])
    assert words(client)[0] == 503
    assert time.monotonic() - began < 30
    assert asked == [1]
    assert "no answer within" in health.check()["store"].problem
    ends.set()


def test_a_hundred_probes_a_second_ask_once() -> None:
    asked: list[int] = []
    probe = Probe(lambda: asked.append(1))

    for _ in range(100):
        assert probe.answer().problem == ""

    assert len(asked) == 1


def test_readyz_probes_again_after_the_cache_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CACHED_S", 0)
    troubles: list[Exception] = [OSError("down")]

    def ask() -> None:
        if troubles:
            raise troubles.pop()

    probe = Probe(ask)

    assert probe.answer().problem == "OSError: down"
    assert probe.answer().problem == ""


def test_the_database_is_asked_by_a_connection_that_is_given_back() -> None:
    assert Probe(health.ask_database).answer().problem == ""


def test_a_folder_that_cannot_be_written_to_is_no_broker(settings: Settings) -> None:
    settings.REDIS_URL = ""
    settings.QUEUE_DIR = "/nonexistent"

    assert Probe(health.ask_broker).answer().problem == "PermissionError: the queue folder is not writable"


def test_failed_redis_is_logged_without_its_password(settings: Settings) -> None:
    settings.REDIS_URL = "redis://:s3cret-of-redis@127.0.0.1:1/0"

    problem = Probe(health.ask_broker).answer().problem

    assert problem.startswith("ConnectionError: ")
    assert "s3cret" not in problem


def test_post_to_a_probe_gets_405(client: Client) -> None:
    assert client.post("/readyz").status_code == 405
    assert client.head("/readyz").status_code == 200
