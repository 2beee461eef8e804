"""A production hub: nginx, two web processes that are replaced one by one, and separate servers."""

import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from hub.sizes import GIB
from tests.archives import make_conda
from tests.clients.conftest import Figure, Keys
from tests.clients.plain import ask, seconds_until, upload
from tests.live import LiveHub, running
from tests.stack import DELIVERY, LiveStack, is_listening, web_processes

pytestmark = pytest.mark.skipif(not DELIVERY, reason="make test-services runs the whole stack")

SLOW_SENDERS = 100
NGINX_WAITS_S = 60
WEB_PROCESSES = 2
REPLACED_S = 180
PROGRAMS = ("postgres", "redis-server", "weed", "gunicorn", "index", "checks,housekeeping", "beat", "nginx")
READY = ["database: ok", "store: ok", "broker: ok"]


@pytest.fixture(scope="module")
def channel(hub: LiveHub) -> str:
    hub.manage("createchannel", "stacked", "--owner", "olga")
    return "stacked"


def test_metrics_from_outside_are_404(hub: LiveHub) -> None:
    answer = ask(hub, "/metrics")
    assert (answer.status, answer.text) == (404, "There is nothing at /metrics.\n")


def test_body_above_every_limit_is_refused_by_its_length(hub: LiveHub, channel: str, keys: Keys) -> None:
    with closing(socket.create_connection(("127.0.0.1", hub.port), timeout=10)) as connection:
        head = f"POST /api/v1/upload/{channel} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {3 * GIB}\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert "The body is too large; expected at most 2049m for a package, 2m for anything else." in answer


def test_slow_senders_delay_no_request(hub: LiveHub, channel: str, keys: Keys) -> None:
    head = f"POST /api/v1/upload/{channel} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx"
    senders = [socket.create_connection(("127.0.0.1", hub.port)) for _ in range(SLOW_SENDERS)]
    try:
        for sender in senders:
            sender.sendall(head.encode())
        assert seconds_until(hub.is_ready) < NGINX_WAITS_S / 2
        assert ask(hub, f"/{channel}/noarch/repodata.json", keys.olga).status == 200
    finally:
        for sender in senders:
            sender.close()


def test_no_credential_is_in_nginxs_log(hub: LiveHub, channel: str, keys: Keys) -> None:
    assert ask(hub, f"/t/{keys.olga}/{channel}/noarch/repodata.json").status == 200
    for spelling in ("//t/", "/%74/", "/%54/", "/T/", "/./t/", "/%2ft/", "/x/../t%2f"):
        ask(hub, f"{spelling}{keys.olga}/{channel}/noarch/repodata.json")
    ask(hub, f"/invitations/{'a' * 32}?code=secret-code")
    seconds_until(lambda: '"GET /t/[hidden]"' in hub.log() and '"GET /invitations/[hidden]"' in hub.log())
    assert not re.search(r'"GET /(t|invitations)/[^[]', hub.log())
    assert "secret-code" not in hub.log()
    assert keys.olga not in hub.log()


def test_replacement_of_web_processes_fails_no_request(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path, figure: Figure
) -> None:
    """The processes are replaced one by one while two clients read and one uploads."""
    first = make_conda(tmp_path, name="first")
    assert upload(hub, channel, first, keys.olga).status == 201
    packages = (make_conda(tmp_path, name="next", version=str(number)) for number in count())
    answers: Counter[tuple[str, int]] = Counter()
    stopped = threading.Event()

    def read() -> None:
        while not stopped.is_set():
            answers["GET", ask(hub, f"/{channel}/noarch/{first.name}", keys.olga).status] += 1

    def publish() -> None:
        while not stopped.is_set():
            answers["POST", upload(hub, channel, next(packages), keys.olga).status] += 1

    with ThreadPoolExecutor(3) as clients:
        working = [clients.submit(work) for work in (read, read, publish)]
        try:
            for old in web_processes(hub):
                os.kill(old, signal.SIGTERM)
                seconds_until(partial(is_replaced, hub, old), REPLACED_S)
        finally:
            stopped.set()
    for work in working:
        work.result()
    figure("answers while both web processes were replaced", dict(answers))
    got = {answer[1] for answer in answers if answer[0] == "GET"}
    assert got == ({302} if DELIVERY == "redirect" else {200})
    assert {answer[1] for answer in answers if answer[0] == "POST"} == {201}


def is_replaced(hub: LiveHub, old: int) -> bool:
    """Tell whether the old process is gone and a new one listens."""
    new = web_processes(hub)
    return old not in new and len(new) == WEB_PROCESSES and all(map(is_listening, new.values()))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that PostgreSQL's user can read, unlike the tests' folder."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_the_stack_starts_every_service_and_stops_them_all(folder: Path, figure: Figure) -> None:
    """Start it as `make stack` does, with its own database, queue and store."""
    hub = LiveStack(folder / "data", HUB_DELIVERY=DELIVERY)
    figure("seconds until the stack was ready", round(hub.start(), 1))
    try:
        parts = hub.parts()
        commands = "\n".join(parts.values())
        assert all(program in commands for program in PROGRAMS), commands
        seconds_until(lambda: [line.partition(",")[0] for line in ask(hub, "/readyz").text.splitlines()] == READY)
        os.kill(hub.part("beat")[0], signal.SIGKILL)
        seconds_until(lambda: "beat stopped by itself; it was started again." in hub.log())
        assert hub.stop() == 0
    finally:
        hub.kill()
    assert running(parts) == {}
