"""Tests of web processes and workers on SIGTERM: they finish their requests and jobs."""

import os
import signal
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from django.conf import settings
from gunicorn.workers import gthread

from hub.server.gunicorn_worker import Worker
from tests.archives import make_conda
from tests.clients.plain import ask, seconds_until, seconds_until_indexed, upload
from tests.live import LiveHub, live_hub, running

PAUSE_MS = "4000"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live_hub(tmp_path_factory.mktemp("hub"), HUB_INDEX_PAUSE_MS=PAUSE_MS) as hub:
        yield hub


@pytest.fixture(scope="module")
def key(hub: LiveHub) -> str:
    """Return a key of the owner of the private channel `demo`."""
    hub.manage("createchannel", "demo", "--owner", "admin")
    return hub.manage("createapikey", "admin", "--name", "key", "--scope", "read", "--scope", "upload")


def begin(hub: LiveHub, key: str, package: Path) -> HTTPConnection:
    """Begin an upload: its first 10 bytes have been sent and received."""
    connection = HTTPConnection("127.0.0.1", hub.port, timeout=60)
    connection.putrequest("POST", "/api/v1/upload/demo")
    connection.putheader("Authorization", f"Bearer {key}")
    connection.putheader("Content-Length", str(package.stat().st_size))
    connection.putheader("X-File-Name", package.name)
    connection.endheaders(package.read_bytes()[:10])
    seconds_until(lambda: any((hub.data_dir / "uploads").iterdir()))
    return connection


def tell_to_stop(hub: LiveHub, word: str) -> int:
    """Send SIGTERM to the part's oldest process and return its pid."""
    pid = hub.part(word)[0]
    os.kill(pid, signal.SIGTERM)
    return pid


def seconds_until_stopped(pid: int) -> float:
    return seconds_until(lambda: not running([pid]))


def is_refused(hub: LiveHub) -> bool:
    """Tell whether new connections are refused."""
    try:
        socket.create_connection(("127.0.0.1", hub.port), timeout=1).close()
    except OSError:
        return True
    return False


def test_an_upload_under_way_is_taken_to_its_end(hub: LiveHub, key: str, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="slow")
    connection = begin(hub, key, package)
    pid = tell_to_stop(hub, "gunicorn")
    seconds_until(lambda: is_refused(hub))

    connection.send(package.read_bytes()[10:])

    assert connection.getresponse().status == 201
    seconds_until_stopped(pid)
    seconds_until(hub.is_ready)
    seconds_until_indexed(hub, "demo", "noarch", [package.name], key)
    assert ask(hub, f"/demo/noarch/{package.name}", key).body == package.read_bytes()


def test_silent_connection_does_not_delay_the_shutdown(hub: LiveHub) -> None:
    seconds_until(hub.is_ready)
    with socket.create_connection(("127.0.0.1", hub.port)) as silent:
        asking = HTTPConnection("127.0.0.1", hub.port)
        asking.request("GET", "/healthz")
        assert asking.getresponse().read() == b"ok\n"
        assert seconds_until_stopped(tell_to_stop(hub, "gunicorn")) < settings.HUB_SHUTDOWN_S
        assert silent.recv(1) == b""


def test_second_interrupt_stops_at_once_without_leftovers(tmp_path: Path) -> None:
    with live_hub(tmp_path) as hub:
        hub.manage("createchannel", "demo", "--owner", "admin")
        key = hub.manage("createapikey", "admin", "--name", "key", "--scope", "upload")
        connection = begin(hub, key, make_conda(tmp_path, name="slow"))
        parts = list(hub.parts())
        hub.process.send_signal(signal.SIGINT)
        seconds_until(lambda: "Ctrl-C again" in hub.log())
        assert running(parts)

        hub.process.send_signal(signal.SIGINT)

        assert hub.process.wait(5) == 0
        seconds_until(lambda: not running(parts))
        assert f"up to {settings.HUB_SHUTDOWN_S} seconds" in hub.log()
        assert "Traceback" not in hub.log()
        connection.close()


def test_a_build_under_way_is_finished(hub: LiveHub, key: str, tmp_path: Path) -> None:
    seconds_until(hub.is_ready)
    for name in ("first", "second"):
        package = make_conda(tmp_path, name=name)
        assert upload(hub, "demo", package, key).status == 201
    # The second build waits under the index's lock until the first is 4 s old.
    pid = tell_to_stop(hub, "worker")
    seconds_until_indexed(hub, "demo", "noarch", [package.name], key)
    seconds_until_stopped(pid)


@pytest.mark.parametrize(("waiting", "answered"), [([], 3), ([object()], 1)], ids=["nobody waits", "somebody waits"])
def test_thread_keeps_its_connection_unless_others_wait(
    monkeypatch: pytest.MonkeyPatch, waiting: list[object], answered: int
) -> None:
    """Count the requests that a thread answers on one connection, which is closed after the third."""
    kept = [False, True, True]
    monkeypatch.setattr(gthread.ThreadWorker, "handle", lambda *_: kept.pop())
    queue: SimpleQueue[object] = SimpleQueue()
    for each in waiting:
        queue.put(each)
    worker = object.__new__(Worker)
    worker.alive, worker.tpool = True, SimpleNamespace(_work_queue=queue)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"GET")
        worker.handle(SimpleNamespace(initialized=True, data_ready=True, sock=ours))
    assert 3 - len(kept) == answered
