"""Conditional requests and ranges (RFC 9110, sections 13 and 14), and the header Last-Modified.

ETags take precedence over times: two builds within one second have the same time and different ETags. For the same
reason Last-Modified is sent only when its second is over (RFC 9110, section 8.8.2.2). Each encoding of a file has its
own ETag, `<tag>-<encoding>`. Any of them shows that the client's content is current.
"""

import re
import sys
import time
from functools import lru_cache

from django.http import HttpRequest
from django.utils.http import http_date, parse_etags, parse_http_date_safe

from hub.errors import HubError

ENCODINGS = ("zstd", "gzip")
DIGITS_MAX = 18
RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


def tag_of(etag: str, encoding: str = "") -> str:
    """Return the ETag header of a file with this tag, in this encoding."""
    return f'"{etag}-{encoding}"' if encoding else f'"{etag}"'


def is_over(seconds: int) -> bool:
    """Tell whether this second is over. Until then another build may end within it and get the same time."""
    return 0 < seconds < int(time.time())


@lru_cache(maxsize=10_000)
def last_modified(seconds: int) -> str:
    """Return the header Last-Modified for `seconds` since 1970."""
    return http_date(seconds)


def unchanged_tag(request: HttpRequest, etag: str, seconds: int) -> str | None:
    """Return the tag of the client's copy if it is current, so that the answer is 304; else None."""
    if_none_match = request.META.get("HTTP_IF_NONE_MATCH")
    if if_none_match is None:
        since = request.META.get("HTTP_IF_MODIFIED_SINCE")
        return tag_of(etag) if since and seconds and _is_older(seconds, since) else None
    tag = tag_of(etag)
    if if_none_match == tag:
        return tag
    known = {each.removeprefix("W/") for each in parse_etags(if_none_match)}
    if "*" in known:
        return tag
    return next((each for each in (tag, *(tag_of(etag, encoding) for encoding in ENCODINGS)) if each in known), None)


def part(request: HttpRequest, etag: str, seconds: int, size_bytes: int) -> tuple[int, int] | None:
    """Return the inclusive range that a GET requests, or None for the whole file and for several ranges.

    Raise HubError 416 if the range begins after the end of the file.
    """
    match = RANGE.match(request.headers.get("Range", ""))
    if request.method != "GET" or match is None or match[0] == "bytes=-":
        return None
    condition = request.headers.get("If-Range")
    if condition is not None and condition not in (tag_of(etag), seconds and last_modified(seconds)):
        return None
    if match[1]:
        first, last = _number(match[1]), min(_number(match[2] or str(size_bytes)), size_bytes - 1)
        if match[2] and _number(match[2]) < first:
            return None
    else:
        first, last = max(0, size_bytes - _number(match[2])), size_bytes - 1
    if first > last:
        raise HubError(
            416,
            "no_such_range",
            f"The file has {size_bytes} bytes; the requested range begins after its end.",
            {"Content-Range": f"bytes */{size_bytes}"},
        )
    return first, last


def _number(digits: str) -> int:
    """Return the number, or sys.maxsize for too many digits: Python refuses to parse thousands of digits."""
    return int(digits) if len(digits) <= DIGITS_MAX else sys.maxsize


def _is_older(seconds: int, since: str) -> bool:
    """Tell whether a file with this time is unchanged since `since`. A time in the future is ignored."""
    condition = parse_http_date_safe(since)
    return condition is not None and seconds <= condition <= time.time()
