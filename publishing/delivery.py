"""A file of the store → an HTTP answer: 304, a redirect, a word to nginx, or a stream, of a part too (RFC 9110).

Index files are never redirected: conda refuses that on notices, and a HEAD fails on a URL that was signed for GET. But
nginx may send them: a build writes its files before its ETag, so bytes that are read after the ETag are never older.
Parts of them are never sent: two parts could be of two builds. No Content-Encoding: clients would unpack .zst twice.
"""

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

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

# Where nginx finds what the hub has allowed: deploy/nginx/accel.conf.template.
NGINX_FOLDER = "/.files/folder"
NGINX_STORE = "/.files/store"
# In the address at a CDN, which asks the hub for the same one: the hub then sends the file itself.
CDN_QUERY = "sha256"

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
    elif url := _elsewhere(request, file, is_private=is_private):
        # Its type is the file's: Django's is HTML, and below /t/<key>/ there is none.
        return HttpResponseRedirect(url, content_type=file.content_type, headers={"Cache-Control": "no-store"})
    else:
        response = _sent(request, file, is_private=is_private)
    response.headers["ETag"] = f'"{file.etag}"'
    response.headers["Cache-Control"] = f"{'private' if is_private else 'public'}, {file.caching}"
    if is_private:
        patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


def is_for_cdn(request: HttpRequest, file: File) -> bool:
    """Whether this is a CDN that asks for what it was to have: these very bytes, by the query that led to it."""
    return bool(settings.HUB_CDN_URL) and request.GET.get(CDN_QUERY) == file.etag


def _client_has(request: HttpRequest, etag: str) -> bool:
    known = [tag.removeprefix("W/").strip('"') for tag in parse_etags(request.headers.get("If-None-Match", ""))]
    return etag in known or "*" in known


def _elsewhere(request: HttpRequest, file: File, *, is_private: bool) -> str | None:
    """Where else the client gets an artifact: from the CDN, but never what is private, or from the store."""
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
    part = None if file.artifact_bytes is None else _part(request, file, file.artifact_bytes)
    response = _by_nginx(request, file, is_private=is_private) or _stream(file, part)
    if part:
        response.headers["Content-Range"] = f"bytes {part[0]}-{part[1]}/{file.artifact_bytes}"
    if file.artifact_bytes is not None:
        response.headers["Accept-Ranges"] = "bytes"
    return response


def _by_nginx(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponse | None:
    """The word to nginx to send the file itself, which it does with the headers of this answer."""
    if settings.HUB_DELIVERY != "accel" or _is_for_the_hub(request, file):
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


def _is_for_the_hub(request: HttpRequest, file: File) -> bool:
    """Whether nginx would judge otherwise: by the times and tags of its own file, or with parts of what has none."""
    asked = request.headers
    return "If-Match" in asked or "If-Unmodified-Since" in asked or ("Range" in asked and file.artifact_bytes is None)


@lru_cache(maxsize=10_000)
def _nginx_url(key: str, period: int) -> str | None:
    """A signed address that nginx alone sees; the same for one period, since signing takes longer than all the rest."""
    return _signed_url(key, "GET", 2 * settings.HUB_PRESIGNED_URL_S)


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


def _stream(file: File, part: tuple[int, int] | None) -> HttpResponseBase:
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
