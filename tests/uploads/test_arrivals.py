"""Incoming requests: complete ones are processed, incomplete ones wait without a thread, slow ones are dropped."""

import socket
from collections.abc import Iterator

import pytest

from hub.server import arrivals
from hub.server.arrivals import Arrival, State

HEAD = (
    b"POST /accounts/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_header_and_a_form_are_put_together(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    arrival = Arrival(b"")
    for part in (HEAD[:10], HEAD[10:], b"\r", b"\n", b"a=", b"bc"):
        theirs.sendall(part)
        assert arrival.take(ours) is State.PARTIAL
    theirs.sendall(b"dGET /")
    assert arrival.take(ours) is State.WHOLE
    assert arrival.end() == HEAD + b"\r\na=bcdGET /"


@pytest.mark.parametrize(
    ("head", "is_whole"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"POST /api/v1/upload/demo HTTP/1.1\r\nContent-Length: 9\r\n", True),
        (b"POST /t/KEY/api/v1/upload/demo?force=true HTTP/1.1\r\nContent-Length: 9\r\n", True),
        (
            b"POST /channels/x/settings/upload HTTP/1.1\r\nContent-Length: 9\r\nContent-Type: multipart/x\r\n",
            True,
        ),
        (b"POST /api/graphql HTTP/1.1\r\nContent-Length: 9\r\n", False),
        (b"POST /t/KEY/api/graphql HTTP/1.1\r\ncontent-length:9\r\n", False),
        (b"POST /identity/o/api/token HTTP/1.1\r\nContent-Length: 9\r\n", False),
        (b"POST /x HTTP/1.1\r\nContent-Length: 9\r\nContent-Type: application/json; charset=utf-8\r\n", False),
        (b"POST /x HTTP/1.1\r\nContent-Length: 2000000\r\nContent-Type: application/json\r\n", True),
        (b"POST /x HTTP/1.1\r\nContent-Length: 9\r\nContent-Length: 8\r\nContent-Type: application/json\r\n", True),
        (b"POST /api/graphql HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n", True),
        (b"x" * 70_000, True),
    ],
)
def test_arrival_waits_for_head_and_body(
    pair: tuple[socket.socket, socket.socket], head: bytes, is_whole: bool
) -> None:
    ours, _ = pair
    arrival = Arrival(head + b"\r\n")
    assert arrival.take(ours) is (State.WHOLE if is_whole else State.PARTIAL)
    arrival.end()


def test_client_that_expects_continue_gets_it_once(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    arrival = Arrival(HEAD + b"Expect: 100-continue\r\n\r\n")
    assert arrival.take(ours) is State.PARTIAL
    assert theirs.recv(100) == arrivals.CONTINUE
    theirs.sendall(b"a=bcd")
    assert arrival.take(ours) is State.WHOLE
    assert arrival.end() == HEAD + b"\r\na=bcd"


def test_arrival_beyond_its_deadline_is_closed(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = pair
    monkeypatch.setattr(arrivals, "HEAD_S", -1)
    arrival = Arrival(b"GET / HT")
    assert arrival.take(ours) is State.DROPPED
    arrival.end()


def test_all_of_them_together_are_bounded(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = pair
    monkeypatch.setattr(arrivals, "HELD_MAX_BYTES", 40_000)
    large = HEAD.replace(b": 5", b": 900000") + b"\r\n" + b"x" * 30_000
    first, second, small = Arrival(large), Arrival(large), Arrival(HEAD)
    assert second.take(ours) is State.DROPPED
    assert small.take(ours) is State.PARTIAL
    for each in (first, second, small):
        each.end()
    assert Arrival._held_bytes == 0
