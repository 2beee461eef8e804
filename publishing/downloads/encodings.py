"""Content-Encoding of the JSON index files: zstd as the store has it anyway, gzip for what is small.

The frame that a build writes for `repodata.json.zst` is also `repodata.json` in zstd, so that costs nothing. gzip is
made for each request, which takes 6 ms a MiB: clients that know no zstd get a large file as it is.
"""

import gzip
from functools import lru_cache

from django.http import HttpRequest

from publishing.downloads.conditions import ENCODINGS

GZIP_MAX_BYTES = 4 * 1024**2
GZIP_LEVEL = 1


def wanted(request: HttpRequest) -> str:
    """The best encoding that the client takes: "zstd", "gzip", or "" for none. Parts are parts of the plain file."""
    if "HTTP_RANGE" in request.META:
        return ""
    return _best(request.META.get("HTTP_ACCEPT_ENCODING", ""))


def gzipped(content: bytes) -> bytes:
    """Compress with gzip. The same content gives the same bytes."""
    return gzip.compress(content, GZIP_LEVEL, mtime=0)


@lru_cache(maxsize=1000)
def _best(accepted: str) -> str:
    weights = dict(map(_weight, accepted.lower().split(",")))
    others = weights.get("*", 0.0)
    return next((encoding for encoding in ENCODINGS if weights.get(encoding, others) > 0), "")


def _weight(entry: str) -> tuple[str, float]:
    """`gzip;q=0.5` → ("gzip", 0.5); a weight that is no number is none."""
    name, _, parameter = entry.partition(";")
    key, _, value = parameter.partition("=")
    try:
        return name.strip(), float(value) if key.strip() == "q" else 1.0
    except ValueError:
        return name.strip(), 0.0
