"""A file of the store → an HTTP answer: 304, a redirect, a word to nginx, or a stream, of a part too (RFC 9110).

Index files are never redirected: conda refuses that on notices, and a HEAD fails on a URL that was signed for GET. But
nginx may send them: a build writes its files before its ETag, so bytes that are read after the ETag are never older.
Parts of them are never sent: two parts could be of two builds. Plain JSON may have a Content-Encoding, .zst never has:
clients would unpack it twice.
"""

import time
from contextlib import closing
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from hub.errors import not_found
from hub.storage import NotInStore, store
from publishing.downloads import conditions, encodings

# A change is seen at the very next request; a client that has the file pays one round trip (304).
# mamba reads max-age alone; without it an index counts as fresh for an hour, and shards for a day.
CHECK_EACH_TIME = "no-cache, max-age=0"
NEVER_CHANGES = "max-age=31536000, immutable"

# Where nginx finds what the hub has allowed: deploy/nginx/accel.conf.template.
NGINX_FOLDER = "/.files/folder"
NGINX_STORE = "/.files/store"
# In the address at a CDN, which asks the hub for the same one: the hub then sends the file itself.
CDN_QUERY = "sha256"


class File(NamedTuple):
    """What to answer with: a key of the store or, without one, the bytes themselves."""

    etag: str
    caching: str
    content_type: str = "application/octet-stream"
    key: str = ""
    content: bytes = b""
    modified: int = 0  # seconds since 1970; 0: not known
    is_also_zst: bool = False  # whether the store has the same content as `<key>.zst`
    may_be_gone: bool = False  # a shard that no index names any more; anything else that the store lacks is its fault
    artifact_id: int | None = None
    artifact_bytes: int | None = None  # the size of an artifact, which may be redirected and read in parts


def answer(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponseBase:
    """The answer to GET or HEAD, with its ETag and what caches may do with it."""
    if tag := conditions.unchanged_tag(request, file.etag, file.modified):
        response: HttpResponseBase = HttpResponseNotModified(headers={"ETag": tag})
    elif not file.key:
        response = HttpResponse(file.content, content_type=file.content_type)
    elif url := _elsewhere(request, file, is_private=is_private):
        # Its type is the file's: Django's is HTML, and below /t/<key>/ there is none.
        return HttpResponseRedirect(url, content_type=file.content_type, headers={"Cache-Control": "no-store"})
    else:
        response = _sent(request, file, is_private=is_private)
    if not tag:
        response.headers["ETag"] = conditions.tag_of(file.etag, response.headers.get("Content-Encoding", ""))
        if conditions.is_over(file.modified):
            response.headers["Last-Modified"] = conditions.last_modified(file.modified)
    response.headers["Cache-Control"] = f"{'private' if is_private else 'public'}, {file.caching}"
    if is_private:
        patch_vary_headers(response, ["Authorization", "Cookie"])
    if file.is_also_zst:
        patch_vary_headers(response, ["Accept-Encoding"])
    return response


def is_for_cdn(request: HttpRequest, file: File) -> bool:
    """Whether this is a CDN that asks for what it was to have: these very bytes, by the query that led to it."""
    return bool(settings.HUB_CDN_URL) and request.GET.get(CDN_QUERY) == file.etag


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
    if file.artifact_bytes is None:
        return _sent_index(request, file, is_private=is_private)
    part = conditions.part(request, file.etag, file.modified, file.artifact_bytes)
    response = _by_nginx(request, file, is_private=is_private) or _stream(file, part)
    if part:
        response.headers["Content-Range"] = f"bytes {part[0]}-{part[1]}/{file.artifact_bytes}"
    response.headers["Accept-Ranges"] = "bytes"
    return response


def _sent_index(request: HttpRequest, file: File, *, is_private: bool) -> HttpResponseBase:
    """A whole file, in the best encoding that the client takes and that costs little."""
    encoding = encodings.wanted(request) if file.is_also_zst else ""
    if encoding == "zstd":
        file = file._replace(key=f"{file.key}.zst")
    elif encoding == "gzip" and (small := _gzipped(file)):
        return small
    response = _by_nginx(request, file, is_private=is_private) or _stream(file)
    if encoding == "zstd":
        response.headers["Content-Encoding"] = encoding
    return response


def _gzipped(file: File) -> HttpResponse | None:
    """The file in gzip; None where it is too large for that."""
    with closing(store().open(file.key)) as chunks:
        if chunks.size_bytes > encodings.GZIP_MAX_BYTES:
            return None
        content = encodings.gzipped(b"".join(chunks))
    return HttpResponse(content, content_type=file.content_type, headers={"Content-Encoding": "gzip"})


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
