"""Upstreams in a folder or a bucket, answered like an HTTP server. Only places that the operator allows are read."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib import parse

from django.conf import settings

from hub.sizes import human_size
from hub.storage import Chunks, NotInStore, Store, StoreError
from hub.storage.folder import FolderStore
from publishing.upstreams import errors
from publishing.upstreams.errors import UpstreamError
from publishing.upstreams.transport import NO_HEADERS, Answer

FOLDER, BUCKET = "file://", "s3://"
# A URL that is joined with another loses or escapes them.
NOT_IN_A_PLACE = frozenset("%?#\\")
# urljoin() joins only URLs of schemes that it knows.
for known in (parse.uses_relative, parse.uses_netloc):
    if "s3" not in known:
        known.append("s3")


def is_place(url: str) -> bool:
    """Tell whether the URL names a folder or a bucket."""
    return url.startswith((FOLDER, BUCKET))


def is_allowed(url: str) -> bool:
    """Tell whether HUB_UPSTREAM_STORES has the place, or one that it lies in."""
    inside = any(url == place or url.startswith(f"{place}/") for place in _allowed())
    parts = url.partition("://")[2].strip("/").split("/")
    return inside and url.isprintable() and not NOT_IN_A_PLACE & set(url) and not {"", ".", ".."} & set(parts)


def with_scheme(place: str) -> str:
    """Return the URL of a folder that is stated as a path. Slashes at the end go."""
    return f"{FOLDER}{place.rstrip('/')}" if place.startswith("/") else place.rstrip("/")


def _allowed() -> list[str]:
    return [with_scheme(place) for place in settings.HUB_UPSTREAM_STORES]


class StoreAnswer:
    """The answer to a request for a file of a store."""

    def __init__(self, url: str, status: int, etag: str, chunks: Chunks | None, deadline: float) -> None:
        self.url, self.status = url, status
        self.size_bytes = chunks.size_bytes if chunks else None
        self._etag, self._chunks, self._deadline = etag, chunks, deadline

    def header(self, name: str) -> str:
        return self._etag if name == "ETag" else ""

    def chunks(self, most_bytes: int) -> Iterator[bytes]:
        if self._chunks and self._chunks.size_bytes > most_bytes:
            raise errors.too_large(self.url, human_size(most_bytes))
        with _as_upstream_error(self.url):
            for chunk in self._chunks or ():
                if time.monotonic() > self._deadline:
                    raise errors.too_slow(self.url)
                yield chunk

    def read(self, most_bytes: int) -> bytes:
        return b"".join(self.chunks(most_bytes))


class StoreTransport:
    """Requests for files below `url`, of a folder or a bucket. Buckets are read with the hub's S3 settings."""

    def __init__(self, url: str, *, timeout_s: float = float("inf")) -> None:
        self._url, self._ends_at = url, time.monotonic() + timeout_s
        if not is_allowed(url):
            raise not_allowed(url)
        self._store = _store(url)

    @contextmanager
    def get(self, url: str, *, timeout_s: float, headers: Mapping[str, str] = NO_HEADERS) -> Iterator[Answer]:
        if not url.startswith(f"{self._url}/"):
            raise UpstreamError("upstream_url", f"{url} lies outside of the upstream.", is_temporary=False)
        key = parse.unquote(url.removeprefix(f"{self._url}/"))
        deadline = min(time.monotonic() + timeout_s, self._ends_at)
        with _as_upstream_error(url):
            found = self._store.stat(key)
            if found is None:
                raise errors.NotThere(url)
            etag = f'"{found.size_bytes}-{found.modified_at.timestamp()}"'
            if headers.get("If-None-Match") == etag:
                yield StoreAnswer(url, 304, etag, None, deadline)
                return
            chunks = self._store.open(key)
        try:
            yield StoreAnswer(url, 200, etag, chunks, deadline)
        finally:
            chunks.close()


def not_allowed(url: str) -> UpstreamError:
    return UpstreamError(
        "upstream_not_allowed",
        f"{url} is not in HUB_UPSTREAM_STORES, the folders and buckets that upstreams may use. Ask the operator.",
        is_temporary=False,
    )


def _store(url: str) -> Store:
    if url.startswith(FOLDER):
        return _folder(url)
    from hub.storage.s3 import S3Store  # imports boto3, which takes half a second

    bucket, _, prefix = url.removeprefix(BUCKET).partition("/")
    return S3Store(bucket_name=bucket, location=prefix)


def _folder(url: str) -> FolderStore:
    """Return the folder. Raise UpstreamError if a link leads it out of the places that the operator allows."""
    found, *allowed = (Path("/", each.removeprefix(FOLDER)).resolve() for each in (url, *_allowed()) if is_place(each))
    if not any(found.is_relative_to(place) for place in allowed):
        raise not_allowed(url)
    return FolderStore(found)


@contextmanager
def _as_upstream_error(url: str) -> Iterator[None]:
    try:
        yield
    except NotInStore:
        raise errors.NotThere(url) from None
    except StoreError as error:
        raise UpstreamError("upstream_unreachable", f"{url} can't be read: {error}.") from error
