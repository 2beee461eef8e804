"""Incoming requests, buffered until a thread can answer them without waiting for the sender.

A thread that waits for the rest of a header or form is blocked by a slow sender; a hundred of them blocked all threads.
Here a thread takes only the bytes that have arrived. A request returns to the poller until it is complete: the header,
with the body of a form or of an API request in JSON.

Uploads are not buffered: the hub authenticates the sender first, and refuses before the body is read.
"""

import re
import socket
import time
from enum import Enum, auto
from functools import cache
from threading import Lock
from typing import Any

from hub import protocols
from hub.sizes import KIB, MIB

HEAD_S = 15
SMALL_BODY_S = 60
HEAD_MAX_BYTES = 64 * KIB
BODY_MAX_BYTES = MIB
# Maximum for all connections of a process. Above it, only small requests are buffered.
HELD_MAX_BYTES = 64 * MIB
SMALL_BYTES = 16 * KIB
CHUNK = 64 * KIB
END = b"\r\n\r\n"
LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,7})[ \t]*\r?$")
CHUNKED = re.compile(rb"(?im)^transfer-encoding:")
# API requests, whose body is read before the sender is authenticated.
API_REQUEST = re.compile(rb"[A-Z]+ (?:/t/[^/ ]+)?/(?:api|identity)/")
FORM = re.compile(
    rb"(?im)^content-type:[ \t]*"
    rb"(?:application/x-www-form-urlencoded|multipart/form-data|application/(?:[\w.-]+\+)?json)"
)
PATH = re.compile(rb"[A-Z]+ ([^ ?\r\n]*)")
EXPECT = re.compile(rb"(?im)^expect:[ \t]*100-continue[ \t]*\r\n")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class State(Enum):
    WHOLE = auto()
    PARTIAL = auto()
    DROPPED = auto()


class Arrival:
    """The received part of one request, and the number of bytes that it needs."""

    _held_bytes = 0
    _lock = Lock()

    def __init__(self, begun: bytes) -> None:
        self.data = bytearray()
        self.deadline = time.monotonic() + HEAD_S
        self._needed: int | None = None
        self._add(begun)

    def take(self, connection: socket.socket) -> State:
        """Read the available bytes without waiting."""
        while not self._is_whole(connection):
            if time.monotonic() > self.deadline or self._exceeds_limit():
                return State.DROPPED
            try:
                chunk = connection.recv(CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return State.PARTIAL
            if not chunk:  # the connection was closed: the parser reports it
                break
            self._add(chunk)
        return State.WHOLE

    def end(self) -> bytes:
        """Return all bytes and release them from the limit of the process."""
        data = bytes(self.data)
        self._count(-len(data))
        self.data = bytearray()
        return data

    def _add(self, chunk: bytes) -> None:
        self.data += chunk
        self._count(len(chunk))

    @staticmethod
    def _count(more_bytes: int) -> None:
        with Arrival._lock:
            Arrival._held_bytes += more_bytes

    def _exceeds_limit(self) -> bool:
        return len(self.data) > SMALL_BYTES and Arrival._held_bytes > HELD_MAX_BYTES

    def _is_whole(self, connection: socket.socket) -> bool:
        if self._needed is None:
            end = self.data.find(END)
            if end < 0:
                # The parser refuses longer headers.
                return len(self.data) > HEAD_MAX_BYTES
            self._begin_body(end + len(END), connection)
        return self._needed is not None and len(self.data) >= self._needed

    def _begin_body(self, head_bytes: int, connection: socket.socket) -> None:
        head = bytes(self.data[:head_bytes])
        lengths = LENGTH.findall(head)
        body_bytes = int(lengths[0]) if len(lengths) == 1 and not CHUNKED.search(head) else 0
        is_waited_for = not is_upload(head) and (API_REQUEST.match(head) or FORM.search(head))
        if body_bytes > BODY_MAX_BYTES or not is_waited_for:
            body_bytes = 0
        self._needed = head_bytes + body_bytes
        if len(self.data) < self._needed:
            self.deadline = time.monotonic() + SMALL_BODY_S
            self._send_continue(head, connection)

    def _send_continue(self, head: bytes, connection: socket.socket) -> None:
        """Send `100 Continue` to a client that waits for it before the body, once."""
        if EXPECT.search(head) and self._needed is not None:
            connection.send(CONTINUE)
            without = EXPECT.sub(b"", head)
            self.data[: len(head)] = without
            self._needed -= len(head) - len(without)
            self._count(len(without) - len(head))


@cache
def upload_paths() -> re.Pattern[bytes]:
    """Return the paths of uploads by all client protocols."""
    paths = "|".join(upload.regex for upload in protocols.uploads())
    return re.compile(f"(?:/t/[^/]+)?/(?:{paths})".encode())


def is_upload(head: bytes) -> bool:
    path = PATH.match(head)
    return path is not None and upload_paths().fullmatch(path[1]) is not None


def receive(connection: Any) -> State:
    """Read the available bytes of gunicorn's `connection`. Hand a complete request over to its parser."""
    arrival = getattr(connection, "arrival", None)
    if arrival is None:
        arrival = connection.arrival = Arrival(connection.parser.unreader.take_buffered())
    try:
        state: State = arrival.take(connection.sock)
    except OSError:
        state = State.DROPPED
    if state is not State.PARTIAL:
        hand_over(connection)
    return state


def hand_over(connection: Any) -> None:
    """Give the received part of a request to the parser."""
    if begun := forget(connection):
        connection.parser.unreader.unread(begun)


def forget(connection: Any) -> bytes:
    """End the connection's arrival, if there is one, and return its bytes."""
    arrival: Arrival | None = getattr(connection, "arrival", None)
    connection.arrival = None
    return arrival.end() if arrival else b""
