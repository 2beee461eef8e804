"""HTTP responses for files of the store: 304, a redirect, X-Accel-Redirect for nginx, or a stream (RFC 9110).

Index files are never redirected: conda refuses redirects of notices, and HEAD fails on a URL that is signed for GET.
nginx may send them: a build writes its files before its ETag, so bytes that are read after the ETag are never older.
Ranges of index files are never sent, because two ranges could belong to two builds. Plain JSON may have a
Content-Encoding. Files .zst never have one, because clients would decompress them twice.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from hub.errors import not_found
from hub.http.middleware import CREDENTIAL_HEADERS
from hub.storage import NotInStore, store
from publishing.downloads import conditions, encodings

# Clients revalidate at each request; an unchanged file costs one round trip (304).
# mamba reads only max-age. Without it, mamba treats an index as fresh for an hour and shards for a day.
CHECK_EACH_TIME = "no-cache, max-age=0"
NEVER_CHANGES = "max-age=31536000, immutable"

# Internal locations of nginx, see deploy/nginx/accel.conf.template.
NGINX_FOLDER = "/.files/folder"
NGINX_STORE = "/.files/store"
# Query parameter of URLs at the CDN. The CDN requests the same query from the hub, which then sends the file itself.
CDN_QUERY = "sha256"


class Fetch(Protocol):
    """A function that puts a file into the store. If the request may follow it, it may get the bytes as they come."""

    def __call__(self, *, may_follow: bool) -> Iterator[bytes] | None: ...


class File(NamedTuple):
    """A file to send: a key of the store or, without a key, its content."""

    etag: str
    caching: str
    content_type: str = "application/octet-stream"
    key: str = ""
    content: bytes = b""
    modified: int = 0  # seconds since 1970; 0: unknown
    is_also_zst: bool = False  # whether the store has the same content as `<key>.zst`
    may_be_gone: bool = False  # true for old shards and sidecars; any other missing file is an error of the store
    artifact_id: int | None = None
    upstream_package: tuple[int, str] | None = None  # the id of the channel, and the name
    artifact_bytes: int | None = None  # size of an artifact, which may be redirected and requested by range
    fetch: Fetch | None = None  # puts the file into the store if it is not there yet


def answer(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponseBase:
    """Return the response to GET or HEAD, with ETag and caching headers."""
    if tag := conditions.unchanged_tag(request, file.etag, file.modified):
        response: HttpResponseBase = HttpResponseNotModified(headers={"ETag": tag})
    elif not file.key:
        response = HttpResponse(file.content, content_type=file.content_type)
    elif coming := file.fetch and _coming(request, file, file.fetch):
        response = coming
    elif url := _redirect_url(request, file, is_private=is_private):
        # The file's type instead of Django's default HTML, which must not be served below /t/<key>/.
        return HttpResponseRedirect(url, content_type=file.content_type, headers={"Cache-Control": "no-store"})
    else:
        response = _sent(request, file, is_private=is_private)
    if not tag:
        response.headers["ETag"] = conditions.tag_of(file.etag, response.headers.get("Content-Encoding", ""))
        if conditions.is_over(file.modified):
            response.headers["Last-Modified"] = conditions.last_modified(file.modified)
    response.headers["Cache-Control"] = f"{'private' if is_private else 'public'}, {file.caching}"
    if is_private:
        patch_vary_headers(response, [*CREDENTIAL_HEADERS, "Cookie"])
    if file.is_also_zst:
        patch_vary_headers(response, ["Accept-Encoding"])
    return response


def _coming(request: HttpRequest, file: File, fetch: Fetch) -> HttpResponseBase | None:
    """Return the answer about a file that is not yet in the store, or None once it is there. HEAD does not fetch it."""
    headers = {"Content-Length": str(file.artifact_bytes), "Accept-Ranges": "bytes"}
    if request.method == "HEAD" and file.artifact_bytes is not None:
        return HttpResponse(content_type=file.content_type, headers=headers)
    chunks = fetch(may_follow=file.artifact_bytes is not None and "Range" not in request.headers)
    return StreamingHttpResponse(chunks, content_type=file.content_type, headers=headers) if chunks else None


def is_for_cdn(request: HttpRequest, file: File) -> bool:
    """Tell whether a CDN requests this file: the query has the file's SHA-256."""
    return bool(settings.HUB_CDN_URL) and request.GET.get(CDN_QUERY) == file.etag


def _redirect_url(request: HttpRequest, file: File, *, is_private: bool) -> str | None:
    """Return the URL of an artifact at the CDN (public channels only) or in the store, or None."""
    if file.artifact_bytes is None or is_for_cdn(request, file):
        return None
    if settings.HUB_CDN_URL and not is_private:
        return f"{settings.HUB_CDN_URL}/{quote(file.key)}?{CDN_QUERY}={file.etag}"
    if settings.HUB_DELIVERY != "redirect":
        return None
    return _signed_url(file.key, str(request.method), settings.HUB_PRESIGNED_URL_S)


def _signed_url(key: str, method: str, expires_s: int) -> str | None:
    return store().url(key, method=method, expires_s=expires_s, file_name=key.rpartition("/")[2])


def _sent(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponseBase:
    if file.artifact_bytes is None:
        return _sent_index(request, file, is_private=is_private)
    part = conditions.part(request, file.etag, file.modified, file.artifact_bytes)
    response = _by_nginx(request, file, is_private=is_private) or _stream(file, part)
    if part:
        response.headers["Content-Range"] = f"bytes {part[0]}-{part[1]}/{file.artifact_bytes}"
    response.headers["Accept-Ranges"] = "bytes"
    return response


def _sent_index(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponseBase:
    """Return the whole index file, in the best cheap encoding that the client accepts."""
    encoding = encodings.best_encoding(request) if file.is_also_zst else ""
    if encoding == "zstd":
        file = file._replace(key=f"{file.key}.zst")
    elif encoding == "gzip" and (small := _gzipped(file)):
        return small
    response = _by_nginx(request, file, is_private=is_private) or _stream(file)
    if encoding == "zstd":
        response.headers["Content-Encoding"] = encoding
    return response


def _gzipped(file: File) -> HttpResponse | None:
    """Return the file compressed with gzip, or None if it is too large."""
    with closing(store().open(file.key)) as chunks:
        if chunks.size_bytes > encodings.GZIP_MAX_BYTES:
            return None
        content = encodings.gzipped(b"".join(chunks))
    return HttpResponse(content, content_type=file.content_type, headers={"Content-Encoding": "gzip"})


def _by_nginx(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponse | None:
    """Return a response by which nginx sends the file, with the headers of this response (X-Accel-Redirect)."""
    if settings.HUB_DELIVERY != "accel" or _must_be_sent_by_hub(request, file):
        return None
    if settings.HUB_STORAGE == "filesystem":
        headers = {"X-Accel-Redirect": quote(f"{NGINX_FOLDER}/{file.key}")}
    elif url := _nginx_url(file.key, int(time.time()) // settings.HUB_PRESIGNED_URL_S):
        visibility = "private" if is_private else "public"
        headers = {
            "X-Accel-Redirect": quote(f"{NGINX_STORE}/{visibility}/{file.etag}/{file.key}"),
            "X-Store-URL": url,
        }
    else:
        return None
    if file.may_be_gone:
        headers["X-File-May-Be-Gone"] = "yes"
    return HttpResponse(content_type=file.content_type, headers=headers)


def _must_be_sent_by_hub(request: HttpRequest, file: File) -> bool:
    """Tell whether nginx would answer wrongly, by its own times and ETags, or with a range of an index file."""
    headers = request.headers
    return (
        "If-Match" in headers
        or "If-Unmodified-Since" in headers
        or ("Range" in headers and file.artifact_bytes is None)
    )


@lru_cache(maxsize=10_000)
def _nginx_url(key: str, period: int) -> str | None:
    """Return a signed URL for nginx. It is cached for one period, since signing is the slowest part of a request."""
    return _signed_url(key, "GET", 2 * settings.HUB_PRESIGNED_URL_S)


def _stream(file: File, part: tuple[int, int] | None = None) -> HttpResponseBase:
    first, last = part or (0, None)
    try:
        chunks = store().open(file.key, first=first, last=last)
    except NotInStore:
        if file.may_be_gone:
            raise not_found("no_such_file", "There is no such file any more.") from None
        raise
    response = StreamingHttpResponse(chunks, status=206 if part else 200, content_type=file.content_type)
    response.headers["Content-Length"] = str(chunks.size_bytes)
    return response
