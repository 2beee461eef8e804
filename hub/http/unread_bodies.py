"""A request's body that no view has read: the answer goes out first, then the rest is read and discarded.

A server that closes a connection with unread data resets it, and the client sees a broken pipe instead of the answer.
curl and rattler stop sending as soon as they have an answer; others read it only after they have sent everything.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Timer
from typing import Protocol

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hub import database
from hub.http.middleware import GetResponse, has_body

CHUNK_BYTES = 256 * 1024
DISCARDED_S = 30
SILENT_S = 3
# A quarter of a process's threads, so that slow senders leave the others free.
DISCARDING = BoundedSemaphore(8)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def answer_before_body(get_response: GetResponse) -> GetResponse:
    """Discard what is left of a body once the answer is sent."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # Reading to the end is safe only where the server says that there is one, as gunicorn and granian do.
        if has_body(request) and request.META.get("wsgi.input_terminated"):
            # Django calls these in close(), which the server calls after the last byte of the answer.
            closers: list[Callable[[], object]] = vars(response)["_resource_closers"]
            closers.append(lambda: discard(request.META["wsgi.input"], request.META.get("gunicorn.socket")))
        return response

    return middleware


def discard(rest: Readable, connection: socket.socket | None = None) -> None:
    """Read on to the end, for at most 30 seconds, 3 of silence, and as much as the largest upload has.

    The connection is shut where that is not enough, and where as many threads as may do this are at it.
    """
    database.give_back()
    if not DISCARDING.acquire(blocking=False):
        _shut(connection)
        return
    is_read = False
    try:
        with _in_time(connection):
            is_read = _read_on(rest)
    finally:
        DISCARDING.release()
        if not is_read:
            _shut(connection)


def _read_on(rest: Readable) -> bool:
    """Tell whether the end was reached."""
    left, deadline = settings.HUB_MAX_UPLOAD_BYTES, time.monotonic() + DISCARDED_S
    while left > 0 and time.monotonic() < deadline:
        chunk = rest.read(CHUNK_BYTES)
        if not chunk:
            return True
        left -= len(chunk)
    return False


@contextmanager
def _in_time(connection: socket.socket | None) -> Iterator[None]:
    """Bound the reading from outside: one `read` waits until all its bytes are there, however slowly they come."""
    if connection is None:
        yield
        return
    before = connection.gettimeout()
    clock = Timer(DISCARDED_S, _shut, [connection])
    clock.daemon = True
    clock.start()
    try:
        connection.settimeout(SILENT_S)
        yield
    finally:
        clock.cancel()
        connection.settimeout(before)


def _shut(connection: socket.socket | None) -> None:
    """End both directions. A thread that waits for bytes is woken, and no later byte is taken for a request."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
