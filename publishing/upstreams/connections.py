"""Connections to an upstream: by HTTP, or to a folder or a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager

from publishing.models import Upstream
from publishing.upstreams import credentials, store_transport
from publishing.upstreams.store_transport import StoreTransport
from publishing.upstreams.transport import HttpTransport, Transport


@contextmanager
def to(upstream: Upstream, *, timeout_s: float = float("inf")) -> Iterator[Transport]:
    """Yield a transport whose requests together end within `timeout_s`. Raise UpstreamError."""
    if store_transport.is_place(upstream.url):
        yield StoreTransport(upstream.url, timeout_s=timeout_s)
    else:
        with HttpTransport(upstream.url, credentials.of(upstream), timeout_s=timeout_s) as transport:
            yield transport
