"""Requests to other servers: https only, public addresses only, bounded in time and size.

It connects to the address that it checked, so DNS rebinding can't reach a private address (SSRF). It follows no
redirect, except for a download, which checks each target again. It uses no proxy from the environment.
HUB_INTERNAL_HOSTS lists the exceptions: hosts that may have a private address or use http.
"""

import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from threading import Timer
from urllib.parse import SplitResult, urljoin, urlsplit

from django.conf import settings

from hub.plain_text import one_line
from hub.sizes import KIB, MIB, human_size

TIMEOUT_S = 5.0
MAX_BYTES = MIB
CHUNK_BYTES = 64 * KIB
PORTS = {"https": 443, "http": 80}
GLOBAL_UNICAST = IPv6Network("2000::/3")
REDIRECTS = (301, 302, 303, 307, 308)
REDIRECTS_MAX = 5
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class FetchError(Exception):
    """The fetch failed. The message is one sentence."""


class PrivateAddressError(FetchError):
    """The host has a private address, which the message names. Show it only to administrators."""


class TooLargeError(FetchError):
    """The body is larger than the caller takes."""


class StatusError(FetchError):
    """The server answered another status than 200."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answers {status}; expected 200.")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a POST: its status, and the beginning of its body."""

    status: int
    body: bytes


def get(url: str, *, max_bytes: int = MAX_BYTES, timeout_s: float = TIMEOUT_S) -> bytes:
    """Return the body of a 200 response to GET `url`. Raise FetchError if it fails or exceeds `timeout_s`.

    The DNS lookup is not included in the time.
    """
    deadline = time.monotonic() + timeout_s
    with _response(url, "GET", {"Accept": "application/json"}, deadline) as response:
        return _read(response, url, max_bytes, deadline)


def post(url: str, body: bytes, headers: Mapping[str, str], *, max_bytes: int, timeout_s: float = TIMEOUT_S) -> Answer:
    """Send a POST with `body` and return the response of any status, with at most `max_bytes` of its body.

    Raise FetchError if there is none within `timeout_s`. The DNS lookup is not included in the time.
    """
    deadline = time.monotonic() + timeout_s
    with _response(url, "POST", headers, deadline, body) as response:
        answer = Answer(response.status, response.read(max_bytes))
        left_s(deadline)  # a response that is cut off looks complete
        return answer


def download(
    url: str,
    sink: Callable[[bytes], object],
    *,
    headers: Mapping[str, str],
    secrets: Mapping[str, str],
    max_bytes: int,
    timeout_s: float,
) -> int:
    """Give the body of a 200 response to GET `url` to `sink`, chunk by chunk. Return its size in bytes.

    `secrets` are headers that only the host of `url` gets. Raise StatusError for another status, FetchError for every
    other fault, and OSError if the disk is full.
    """
    deadline, at, own = time.monotonic() + timeout_s, url, _origin(url)
    for _ in range(REDIRECTS_MAX + 1):
        sent = {**headers, **(secrets if _origin(at) == own else {})}
        with _response(at, "GET", sent, deadline) as response:
            if response.status not in REDIRECTS:
                return _pass_on(response, at, sink, max_bytes, deadline)
            at = urljoin(at, response.headers.get("Location", ""))
    raise FetchError(f"{url} redirects more than {REDIRECTS_MAX} times.")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


@contextmanager
def _response(
    url: str, method: str, headers: Mapping[str, str], deadline: float, body: bytes | None = None
) -> Iterator[HTTPResponse]:
    """Send the request and yield the response. Raise FetchError for every error of the connection."""
    try:
        parts = urlsplit(url)
        connection = connect(url, parts, deadline)
        try:
            with shut_down_at(connection.sock, deadline):
                target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
                connection.request(method, target, body, {**headers, "User-Agent": "channelhub"})
                yield connection.getresponse()
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            raise
        if time.monotonic() > deadline:
            raise FetchError(f"{url} takes too long to answer.") from error
        # The error can quote the server.
        raise FetchError(f"{url} does not answer: {one_line(str(error)) or type(error).__name__}.") from error


def how_to_allow(netloc: str) -> str:
    """Return the sentence that tells how to allow a private address or http."""
    return f"For a server of your own network, the operator adds {netloc} to HUB_INTERNAL_HOSTS."


def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of `host`. Raise OSError if there are none."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connect(url: str, parts: SplitResult, deadline: float) -> HTTPConnection:
    """Connect to the checked address of `url`. Raise FetchError if it is not allowed, OSError if that fails."""
    # Compared with its port: a host that is internal for one port is not for the others.
    is_internal = parts.netloc.lower() in settings.HUB_INTERNAL_HOSTS
    if not parts.hostname or (parts.scheme != "https" and not (is_internal and parts.scheme == "http")):
        remedy = f" {how_to_allow(parts.netloc.lower())}" if parts.hostname and parts.scheme == "http" else ""
        raise FetchError(f"{url} is not an https URL.{remedy}")
    host, port = parts.hostname, parts.port or PORTS[parts.scheme]
    address = _address(parts.netloc.lower(), host, port, is_internal=is_internal)
    connection = HTTPConnection(host, port)
    connection.sock = socket.create_connection((address, port), left_s(deadline))
    if parts.scheme == "https":
        connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
    return connection


def _address(netloc: str, host: str, port: int, *, is_internal: bool) -> str:
    """Return the first address of `host`. Raise FetchError if one of its addresses is private."""
    addresses = look_up(host, port)
    private = [address for address in addresses if not is_internal and not _is_public(address)]
    if private:
        raise PrivateAddressError(f"{host} has the private address {private[0]}. {how_to_allow(netloc)}")
    return addresses[0]


def _is_public(address: str) -> bool:
    number: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(number, IPv6Address):
        number = number.ipv4_mapped or number.sixtofour or number
    # Addresses outside of global unicast can contain an IPv4 address too (NAT64), and Python calls them global.
    is_unicast = isinstance(number, IPv4Address) or number in GLOBAL_UNICAST
    return is_unicast and number.is_global and not number.is_multicast


@contextmanager
def shut_down_at(connection: socket.socket, deadline: float) -> Iterator[None]:
    """Shut the connection down at `deadline`: a socket's own timeout starts again with each byte."""

    def shut_down() -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = Timer(left_s(deadline), shut_down)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def left_s(deadline: float) -> float:
    """Return the seconds until `deadline`. Raise TimeoutError if it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _read(response: HTTPResponse, url: str, max_bytes: int, deadline: float) -> bytes:
    body = bytearray()
    _pass_on(response, url, body.extend, max_bytes, deadline)
    return bytes(body)


def _pass_on(response: HTTPResponse, url: str, sink: Callable[[bytes], object], max_bytes: int, deadline: float) -> int:
    """Give the body to `sink`, and return its size. Raise FetchError if it is too large or incomplete."""
    if response.status != 200:
        raise StatusError(url, response.status)
    size_bytes = 0
    while chunk := response.read1(CHUNK_BYTES):
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise TooLargeError(f"{url} answers more than {human_size(max_bytes)}.")
        sink(chunk)
    left_s(deadline)  # a body without a length looks complete when it is cut off
    if response.length:
        raise FetchError(f"{url} ended the response early, after {size_bytes:,} bytes.")
    return size_bytes
