"""Request bodies that no view has read: the response is sent first, then the rest is read and discarded.

A server that closes a connection with unread data resets it, and the client sees a broken pipe instead of the response.
curl and rattler stop sending when a response arrives; other clients read it only after they sent the whole body.
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
from hub.sizes import KIB

CHUNK_BYTES = 256 * KIB
DISCARDED_S = 30
SILENT_S = 3
# A quarter of the threads of a process, so that slow senders leave the others free.
DISCARDING = BoundedSemaphore(8)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def answer_before_body(get_response: GetResponse) -> GetResponse:
    """Discard the rest of a body after the response is sent."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # The end of the body is known only if the server marks it, as gunicorn and granian do.
        if has_body(request) and request.META.get("wsgi.input_terminated"):
            # Django calls these in close(), and the server calls close() after the last byte of the response.
            closers: list[Callable[[], object]] = vars(response)["_resource_closers"]
            closers.append(lambda: discard(request.META["wsgi.input"], request.META.get("gunicorn.socket")))
        return response

    return middleware


def discard(rest: Readable, connection: socket.socket | None = None) -> None:
    """Read to the end of the body: at most 30 seconds, 3 without data, and the size of the largest upload.

    Shut the connection down if that is not enough, or if DISCARDING has no free slot.
    """
    database.release_connection()
    if not DISCARDING.acquire(blocking=False):
        _shut_down(connection)
        return
    is_read = False
    try:
        with _time_limit(connection):
            is_read = _read_rest(rest)
    finally:
        DISCARDING.release()
        if not is_read:
            _shut_down(connection)


def _read_rest(rest: Readable) -> bool:
    """Read the rest and tell whether the end was reached."""
    left, deadline = settings.HUB_MAX_UPLOAD_BYTES, time.monotonic() + DISCARDED_S
    while left > 0 and time.monotonic() < deadline:
        chunk = rest.read(CHUNK_BYTES)
        if not chunk:
            return True
        left -= len(chunk)
    return False


@contextmanager
def _time_limit(connection: socket.socket | None) -> Iterator[None]:
    """Limit the time of reads from outside: one `read` waits for all its bytes, however slowly they arrive."""
    if connection is None:
        yield
        return
    before = connection.gettimeout()
    clock = Timer(DISCARDED_S, _shut_down, [connection])
    clock.daemon = True
    clock.start()
    try:
        connection.settimeout(SILENT_S)
        yield
    finally:
        clock.cancel()
        connection.settimeout(before)


def _shut_down(connection: socket.socket | None) -> None:
    """Shut down both directions. This wakes a waiting thread, and later bytes are not parsed as a request."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
