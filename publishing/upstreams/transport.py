"""GET requests to one upstream: kept connections, checked addresses, and bounds of time, size and redirects.

Each connection, also after a redirect, is made by hub.fetching, which refuses private addresses. The credential is sent
only to the origin of the upstream's URL.
"""

import base64
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from socket import socket
from threading import Lock
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urljoin, urlsplit

from django.conf import settings

from hub import fetching
from hub.fetching import REDIRECTS, REDIRECTS_MAX, FetchError, PrivateAddressError
from hub.plain_text import one_line
from hub.sizes import KIB, human_size
from publishing.upstreams import errors
from publishing.upstreams.errors import UpstreamError

CHUNK_BYTES = 256 * KIB
NO_HEADERS: Mapping[str, str] = {}


class Answer(Protocol):
    """A response with status 200 or 304. Read its body at most once."""

    url: str
    status: int
    size_bytes: int | None
    """None: the upstream does not state it."""

    def header(self, name: str) -> str:
        """Return the header's value; an empty string if it is missing or can't be sent back."""

    def chunks(self, most_bytes: int) -> Iterator[bytes]:
        """Yield the body. Raise UpstreamError if it is cut off, too large or too slow."""

    def read(self, most_bytes: int) -> bytes:
        """Return the body. Raise UpstreamError as `chunks`."""


class Transport(Protocol):
    """Requests to one upstream. Threads may share it."""

    def get(
        self, url: str, *, timeout_s: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> AbstractContextManager[Answer]:
        """Yield the answer to GET `url`. Its status is 200, or 304 if `headers` has conditions.

        Raise UpstreamError for every failure.
        """


class HttpAnswer:
    def __init__(self, url: str, response: HTTPResponse, deadline: float) -> None:
        self.url, self.status = url, response.status
        self._response, self._deadline = response, deadline
        self.size_bytes: int | None = response.length

    def header(self, name: str) -> str:
        value = self._response.headers.get(name, "")
        return value if value.isprintable() and value.isascii() else ""

    def chunks(self, most_bytes: int) -> Iterator[bytes]:
        read_bytes = 0
        while chunk := self._chunk():
            read_bytes += len(chunk)
            if read_bytes > most_bytes:
                raise errors.too_large(self.url, human_size(most_bytes))
            yield chunk
        if time.monotonic() > self._deadline:
            raise errors.too_slow(self.url)  # a body without a length looks complete when it is cut off
        if self._response.length:
            raise errors.truncated(self.url)

    def read(self, most_bytes: int) -> bytes:
        return b"".join(self.chunks(most_bytes))

    def _chunk(self) -> bytes:
        try:
            return self._response.read1(CHUNK_BYTES)
        except (OSError, HTTPException, ValueError) as error:
            if time.monotonic() > self._deadline:
                raise errors.too_slow(self.url) from error
            raise errors.truncated(self.url) from error


class HttpTransport:
    """Requests by HTTP. Use it as a context manager: it keeps connections.

    All requests together end within `timeout_s`.
    """

    def __init__(self, url: str, credential: str = "", *, timeout_s: float = float("inf")) -> None:
        self._ends_at = time.monotonic() + timeout_s
        self._origin = _origin(url)
        self._is_internal = _is_internal(url)
        self._authorization = _authorization(credential)
        self._idle: dict[str, list[HTTPConnection]] = defaultdict(list)
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()

    @contextmanager
    def get(self, url: str, *, timeout_s: float, headers: Mapping[str, str] = NO_HEADERS) -> Iterator[Answer]:
        """Yield the answer after redirects. Raise UpstreamError for another status, and for every other failure."""
        deadline = min(time.monotonic() + timeout_s, self._ends_at)
        for _ in range(REDIRECTS_MAX + 1):
            with self._response(url, headers, deadline) as response:
                if response.status not in REDIRECTS:
                    if response.status != 200 and not (response.status == 304 and headers):
                        raise errors.of_status(response.status, _shown(url))
                    yield HttpAnswer(_shown(url), response, deadline)
                    return
                url = _redirected(url, response.headers.get("Location", ""))
        raise UpstreamError(
            "upstream_redirects", f"The upstream redirects more than {REDIRECTS_MAX} times, to {_shown(url)}."
        )

    @contextmanager
    def _response(self, url: str, headers: Mapping[str, str], deadline: float) -> Iterator[HTTPResponse]:
        """Send the request and yield the response. Keep the connection if its body was read completely."""
        origin = _origin(url)
        connection, response, sock = self._sent(url, origin, headers, deadline)
        is_reusable = False
        try:
            if time.monotonic() >= deadline:
                raise errors.too_slow(_shown(url))
            with fetching.shut_down_at(sock, deadline):
                yield response
            is_reusable = response.isclosed() and connection.sock is not None
        finally:
            if is_reusable:
                with self._lock:
                    self._idle[origin].append(connection)
            else:
                response.close()
                connection.close()

    def _sent(
        self, url: str, origin: str, headers: Mapping[str, str], deadline: float
    ) -> tuple[HTTPConnection, HTTPResponse, socket]:
        """Send the request, on a new connection if a kept one was closed by the upstream.

        Return the socket too: the connection forgets it if the body has no length.
        """
        if _is_internal(url) and not self._is_internal:
            raise UpstreamError(
                "upstream_private",
                f"{_origin(url)} is an internal host, to which no upstream outside can direct the hub.",
                is_temporary=False,
            )
        with self._lock:
            kept = self._idle[origin].pop() if self._idle[origin] else None
        more = {"Authorization": self._authorization} if self._authorization and origin == self._origin else {}
        with _as_upstream_error(_shown(url), deadline):
            if kept:
                try:
                    sock = kept.sock
                    return kept, _request(kept, url, {**headers, **more}, deadline), sock
                except (OSError, HTTPException):
                    kept.close()
            connection = fetching.connect(_shown(url), urlsplit(url), deadline)
            connection.auto_open = 0  # a connection of its own would be unchecked
            try:
                sock = connection.sock
                return connection, _request(connection, url, {**headers, **more}, deadline), sock
            except BaseException:
                connection.close()
                raise


def _request(connection: HTTPConnection, url: str, headers: Mapping[str, str], deadline: float) -> HTTPResponse:
    parts = urlsplit(url)
    connection.sock.settimeout(fetching.left_s(deadline))
    with fetching.shut_down_at(connection.sock, deadline):
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        connection.request("GET", target, headers={**headers, "User-Agent": "channelhub"})
        return connection.getresponse()


@contextmanager
def _as_upstream_error(url: str, deadline: float) -> Iterator[None]:
    try:
        yield
    except PrivateAddressError as error:
        raise UpstreamError(
            "upstream_private",
            f"{_origin(url)} has a private address, which the hub does not connect to. "
            f"{fetching.how_to_allow(urlsplit(url).netloc.lower())}",
            is_temporary=False,
        ) from error
    except FetchError as error:
        raise UpstreamError("upstream_url", str(error), is_temporary=False) from error
    except (OSError, HTTPException, ValueError) as error:
        if time.monotonic() > deadline:
            raise errors.too_slow(url) from error
        reason = one_line(str(error)) or type(error).__name__
        raise UpstreamError("upstream_unreachable", f"{_origin(url)} does not answer: {reason}.") from error


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        urlsplit(target)
    except ValueError as error:
        raise UpstreamError("upstream_url", f"{_shown(url)} redirects to a URL that is not valid.") from error
    return target


def _is_internal(url: str) -> bool:
    return urlsplit(url).netloc.lower() in settings.HUB_INTERNAL_HOSTS


def _shown(url: str) -> str:
    """Return the URL for messages: without its query, which can be a signature."""
    return url.partition("?")[0]


def _authorization(credential: str) -> str:
    """Return the header for USER:PASSWORD or a token, or an empty string."""
    if ":" in credential:
        return f"Basic {base64.b64encode(credential.encode()).decode()}"
    return f"Bearer {credential}" if credential else ""
