"""The rest of a body is read after the response, so that the client reads the response."""

import io
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import BoundedSemaphore, Event, Thread
from typing import Any
from urllib.request import urlopen

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader
from pytest_django import Settings

from hub.http import unread_bodies
from hub.server import gunicorn_conf
from tests.live import LiveHub, live_hub

pytestmark = pytest.mark.django_db  # the end of a request closes connections

CONTENT = b"x" * 3_000_000


def request(*, ends: bool = True, chunked: bool = False) -> HttpRequest:
    made = RequestFactory().post("/", b"", content_type="application/octet-stream")
    made.META |= {"wsgi.input": io.BytesIO(CONTENT), "wsgi.input_terminated": ends, "CONTENT_LENGTH": str(len(CONTENT))}
    if chunked:
        made.META |= {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    return made


def read_bytes(made: HttpRequest) -> tuple[int, int]:
    """Return the number of bytes read before the response is sent, and after."""
    response = unread_bodies.answer_before_body(lambda _: HttpResponse("no", status=404))(made)
    before = made.META["wsgi.input"].tell()
    response.close()
    return before, made.META["wsgi.input"].tell()


@pytest.mark.parametrize("chunked", [False, True])
def test_unread_body_with_an_end_is_discarded_after_the_answer(chunked: bool) -> None:
    assert read_bytes(request(chunked=chunked)) == (0, len(CONTENT))


def test_unread_body_without_an_end_is_left_alone() -> None:
    assert read_bytes(request(ends=False)) == (0, 0)


def test_discarding_longer_than_its_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_bodies, "DISCARDED_S", -1)
    assert read_bytes(request()) == (0, 0)


def test_discarding_more_than_the_largest_upload_ends(settings: Settings) -> None:
    settings.HUB_MAX_UPLOAD_BYTES = 1_000_000
    assert read_bytes(request())[1] < len(CONTENT)


@contextmanager
def sender(pause_s: float) -> Iterator[socket.socket]:
    """Yield the hub's end of a connection to a client that sends a byte every `pause_s` seconds."""
    ours, client = socket.socketpair()
    over = Event()

    def send() -> None:
        with suppress(OSError):
            while not over.wait(pause_s):
                client.sendall(b"x")

    sending = Thread(target=send)
    sending.start()
    try:
        yield ours
    finally:
        over.set()
        sending.join()
        ours.close()
        client.close()


def body_of(connection: socket.socket, size: int = 900_000) -> Any:
    return Body(LengthReader(SocketUnreader(connection), size))


def seconds_to_discard(connection: socket.socket, size: int = 900_000) -> float:
    """Return the seconds that it takes. A timeout counts as an end, as for Django."""
    begun = time.monotonic()
    with suppress(TimeoutError):
        unread_bodies.discard(body_of(connection, size), connection)
    return time.monotonic() - begun


def is_shut(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        connection.send(b"x")
    except BrokenPipeError:
        return True
    return False


def test_sender_of_a_byte_now_and_then_is_cut_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_bodies, "DISCARDED_S", 0.5)
    with sender(pause_s=0.05) as connection:
        assert 0.4 < seconds_to_discard(connection) < 5
        assert is_shut(connection)


def test_silent_sender_is_cut_before_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_bodies, "SILENT_S", 0.3)
    with sender(pause_s=20) as connection:
        assert 0.2 < seconds_to_discard(connection) < 5
        assert is_shut(connection)


def test_body_that_ends_in_time_leaves_its_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_bodies, "DISCARDED_S", 1)
    with sender(pause_s=0.01) as connection:
        seconds_to_discard(connection, size=3)
        time.sleep(1.2)
        assert connection.gettimeout() is None
        assert not is_shut(connection)


def test_body_beyond_those_that_are_discarded_at_once_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    places = BoundedSemaphore(1)
    monkeypatch.setattr(unread_bodies, "DISCARDING", places)
    with sender(pause_s=0.01) as first, sender(pause_s=0.01) as second:
        with places:
            seconds_to_discard(first, size=50)
        assert is_shut(first)
        seconds_to_discard(second, size=50)
        assert not is_shut(second)


def test_few_threads_of_a_process_discard() -> None:
    places = ExitStack()
    taken = 0
    with places:
        while unread_bodies.DISCARDING.acquire(blocking=False):
            places.callback(unread_bodies.DISCARDING.release)
            taken += 1
    assert 0 < taken <= gunicorn_conf.threads // 4


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live_hub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


def refused(more: str = "") -> bytes:
    """Return the beginning of a large upload to a wrong URL."""
    head = f"POST /open/noarch/x.conda HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n{more}\r\nx"
    return head.encode()


@pytest.mark.parametrize(
    "sent",
    [refused(), refused("Connection: close\r\n"), b"GET /healthz HTTP/1.0\r\n\r\n", b"no request\r\n\r\n"],
    ids=["kept", "closed", "without-a-body", "no-request"],
)
def test_hub_answers_others_beside_slow_clients(hub: LiveHub, sent: bytes) -> None:
    waits = []
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", hub.port))) for _ in range(80)]
        for connection in slow:
            connection.sendall(sent)
        for _ in range(5):
            begun = time.monotonic()
            urlopen(f"{hub.url}/healthz", timeout=20).close()
            waits.append(time.monotonic() - begun)
            time.sleep(0.8)
            for connection in slow:
                with suppress(OSError):
                    connection.sendall(b"x")
        for connection in slow:
            connection.settimeout(20)
            assert connection.recv(7) == b"HTTP/1."
    # Without the limit, each took more than 8 s.
    assert max(waits) < 6, waits
