"""A file of the store → an HTTP answer: 304, a part, a redirect to the store, or a stream (RFC 9110).

Index files are answered by the hub itself, never by a redirect: conda refuses one on notices, and a HEAD fails on a URL
that was signed for GET. Never with Content-Encoding: clients would unpack the .zst twice.
"""

import re
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags

from hub.errors import HubError, not_found
from hub.storage import NotInStore, store

# A change is seen at the very next request; a client that has the file pays one round trip (304).
CHECK_EACH_TIME = "no-cache"
NEVER_CHANGES = "max-age=31536000, immutable"

RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


@dataclass(frozen=True, slots=True)
class File:
    """What to answer with: a key of the store or, without one, the bytes themselves."""

    etag: str
    caching: str
    content_type: str = "application/octet-stream"
    key: str = ""
    content: bytes = b""
    may_be_gone: bool = False  # a shard that no index names any more; anything else that the store lacks is its fault
    artifact_id: int | None = None
    artifact_bytes: int | None = None  # the size of an artifact, which may be redirected and read in parts


def answer(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponseBase:
    """The answer to GET or HEAD, with its ETag and what caches may do with it."""
    if _client_has(request, file.etag):
        response: HttpResponseBase = HttpResponseNotModified()
    elif not file.key:
        response = HttpResponse(file.content, content_type=file.content_type)
    elif file.artifact_bytes is None:
        response = _stream(file)
    elif url := _signed_url(request, file):
        return HttpResponseRedirect(url, headers={"Cache-Control": "no-store"})
    else:
        response = _stream_part(request, file, file.artifact_bytes)
    response.headers["ETag"] = f'"{file.etag}"'
    response.headers["Cache-Control"] = f"{'private' if is_private else 'public'}, {file.caching}"
    if is_private:
        patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


def _client_has(request: HttpRequest, etag: str) -> bool:
    known = [tag.removeprefix("W/").strip('"') for tag in parse_etags(request.headers.get("If-None-Match", ""))]
    return etag in known or "*" in known


def _signed_url(request: HttpRequest, file: File) -> str | None:
    if settings.HUB_DELIVERY != "redirect":
        return None
    name = file.key.rpartition("/")[2]
    return store().url(file.key, method=str(request.method), expires_s=settings.HUB_PRESIGNED_URL_S, file_name=name)


def _stream_part(request: HttpRequest, file: File, size_bytes: int) -> HttpResponseBase:
    part = _part(request, file, size_bytes)
    if part is None:
        response = _stream(file)
    else:
        first, last = part
        response = StreamingHttpResponse(
            store().open(file.key, first=first, last=last), status=206, content_type=file.content_type
        )
        response.headers["Content-Length"] = str(last - first + 1)
        response.headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
    response.headers["Accept-Ranges"] = "bytes"
    return response


def _part(request: HttpRequest, file: File, size_bytes: int) -> tuple[int, int] | None:
    """The one range that a GET asks for, inclusive; None for the whole file, as also for several ranges."""
    match = RANGE.match(request.headers.get("Range", ""))
    if request.method != "GET" or match is None or match[0] == "bytes=-":
        return None
    if request.headers.get("If-Range", f'"{file.etag}"') != f'"{file.etag}"':
        return None
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size_bytes), size_bytes - 1)
        if match[2] and int(match[2]) < first:
            return None
    else:
        first, last = max(0, size_bytes - int(match[2])), size_bytes - 1
    if first > last:
        raise HubError(
            416,
            "no_such_range",
            f"The file has {size_bytes} bytes; the range asked for lies behind them.",
            {"Content-Range": f"bytes */{size_bytes}"},
        )
    return first, last


def _stream(file: File) -> HttpResponseBase:
    try:
        chunks = store().open(file.key)
    except NotInStore:
        if file.may_be_gone:
            raise not_found("no_such_file", "There is no such file any more.") from None
        raise
    response = StreamingHttpResponse(chunks, content_type=file.content_type)
    response.headers["Content-Length"] = str(chunks.size_bytes)
    return response
