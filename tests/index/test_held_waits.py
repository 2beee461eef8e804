"""Clients that wait for the index of a live hub: its web server holds their requests without a thread."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from hub.server import gunicorn_conf
from publishing.index.api import FILES_MAX
from tests.archives import make_conda
from tests.clients.plain import ask, seconds_until, until_settled, upload
from tests.live import LiveHub, live_hub

LONG_S = 40


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
def key(hub: LiveHub) -> str:
    """Return a key of the owner of the private channel `demo`."""
    hub.manage("createchannel", "demo", "--owner", "admin")
    scopes = [word for scope in ("read", "upload", "delete") for word in ("--scope", scope)]
    return hub.manage("createapikey", "admin", "--name", "key", *scopes)


@contextmanager
def without_builds(hub: LiveHub) -> Iterator[None]:
    """Stop the worker for a while, when it is idle: in a transaction, it would block uploads."""
    until_settled(hub)
    signal_worker(hub, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_worker(hub, signal.SIGCONT)


def signal_worker(hub: LiveHub, number: int) -> None:
    for pid in hub.part("worker"):
        os.kill(pid, number)


def uploaded(hub: LiveHub, key: str, folder: Path, name: str) -> str:
    """Upload a package and return the path to wait for it.

    A worker that was stopped within a transaction blocks the database: it continues for a moment.
    """
    package = make_conda(folder, name=name)
    while (status := upload(hub, "demo", package, key).status) == 503:
        signal_worker(hub, signal.SIGCONT)
        time.sleep(1)
        signal_worker(hub, signal.SIGSTOP)
    assert status == 201
    return f"/api/v1/channels/demo/wait?subdir=noarch&file_name={package.name}&timeout_s={LONG_S}"


def test_wait_is_held_until_the_file_is_indexed(hub: LiveHub, key: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with without_builds(hub):
            path = uploaded(hub, key, tmp_path, "waited")
            waits = [pool.submit(ask, hub, path, key) for _ in range(3)]
            time.sleep(1)
            assert not any(wait.done() for wait in waits)
        assert {wait.result().status for wait in waits} == {200}


def test_wait_for_100_checksums_fits_into_the_request_line(hub: LiveHub, key: str) -> None:
    checksums = "&".join(f"sha256={number:064x}" for number in range(FILES_MAX))
    answer = ask(hub, f"/api/v1/channels/demo/wait?{checksums}&timeout_s={LONG_S}", key)
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "no_such_file")


def test_wait_for_removed_file_ends_with_its_refusal(hub: LiveHub, key: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with without_builds(hub):
            path = uploaded(hub, key, tmp_path, "removed")
            wait = pool.submit(ask, hub, path, key)
            time.sleep(1)
            assert ask(hub, "/api/v1/delete/demo/noarch/removed-1.0-0.conda", key, method="DELETE").status == 200
        assert wait.result().status == 404


def test_wait_ends_at_its_timeout(hub: LiveHub, key: str, tmp_path: Path) -> None:
    with without_builds(hub):
        path = uploaded(hub, key, tmp_path, "late").replace(f"={LONG_S}", "=1.5")
        begun = time.monotonic()
        answer = ask(hub, path, key)
        assert (answer.status, answer.headers["Retry-After"]) == (408, "1")
        assert time.monotonic() - begun > 1.5


def test_waiting_clients_take_no_thread_from_others(hub: LiveHub, key: str, tmp_path: Path) -> None:
    clients = 3 * gunicorn_conf.workers * gunicorn_conf.threads
    with ExitStack() as stack, without_builds(hub):
        path = uploaded(hub, key, tmp_path, "crowded")
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        for _ in range(clients):
            stack.enter_context(socket.create_connection(("127.0.0.1", hub.port))).sendall(head)
        for _ in range(5):
            assert ask(hub, f"{path}&timeout_s=0".replace(f"&timeout_s={LONG_S}", ""), key).status == 408
        answers = [ask(hub, "/healthz").status for _ in range(20)]
        assert answers == [200] * 20


def test_waiting_clients_are_answered_when_the_server_stops(hub: LiveHub, key: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool, without_builds(hub):
        path = uploaded(hub, key, tmp_path, "stopped")
        wait = pool.submit(ask, hub, path, key)
        time.sleep(1)
        begun = time.monotonic()
        os.kill(hub.part("gunicorn")[0], signal.SIGTERM)
        assert wait.result().status == 408
        assert time.monotonic() - begun < LONG_S / 4
    seconds_until(hub.is_ready)
