"""A request's body that no view has read: the answer goes out first, then the rest is read and discarded.

A server that closes a connection with unread data resets it, and the client sees a broken pipe instead of the answer.
curl and rattler stop sending as soon as they have an answer; others read it only after they have sent everything.
"""

import time
from collections.abc import Callable
from typing import Protocol

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hub import database
from hub.middleware import GetResponse, has_body

CHUNK_BYTES = 256 * 1024
DISCARDED_S = 30


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def answered_first(get_response: GetResponse) -> GetResponse:
    """Discard what is left of a body once the answer is sent."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # Reading to the end is safe only where the server says that there is one, as gunicorn and granian do.
        if has_body(request) and request.META.get("wsgi.input_terminated"):
            # Django calls these in close(), which the server calls after the last byte of the answer.
            closers: list[Callable[[], object]] = vars(response)["_resource_closers"]
            closers.append(lambda: discard(request.META["wsgi.input"]))
        return response

    return middleware


def discard(rest: Readable) -> None:
    """Read on to the end, for at most 30 seconds and as much as the largest upload has."""
    database.give_back()
    left, deadline = settings.HUB_MAX_UPLOAD_BYTES, time.monotonic() + DISCARDED_S
    while left > 0 and time.monotonic() < deadline:
        chunk = rest.read(CHUNK_BYTES)
        if not chunk:
            return
        left -= len(chunk)
