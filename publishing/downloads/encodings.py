"""Content-Encoding of the JSON index files: zstd from the store, gzip for small files.

The store has `repodata.json.zst`, which is also `repodata.json` with Content-Encoding zstd. gzip is computed for each
request and takes 6 ms per MiB, so clients without zstd get large files uncompressed.
"""

import gzip
from functools import lru_cache

from django.http import HttpRequest

from hub.sizes import MIB
from publishing.downloads.conditions import ENCODINGS

GZIP_MAX_BYTES = 4 * MIB
GZIP_LEVEL = 1


def best_encoding(request: HttpRequest) -> str:
    """Return the best encoding that the client accepts: "zstd", "gzip" or "". Ranges are of the plain file."""
    if "HTTP_RANGE" in request.META:
        return ""
    return _best(request.META.get("HTTP_ACCEPT_ENCODING", ""))


def gzipped(content: bytes) -> bytes:
    """Compress with gzip. The result is deterministic."""
    return gzip.compress(content, GZIP_LEVEL, mtime=0)


@lru_cache(maxsize=1000)
def _best(accepted: str) -> str:
    weights = dict(map(_weight, accepted.lower().split(",")))
    others = weights.get("*", 0.0)
    return next((encoding for encoding in ENCODINGS if weights.get(encoding, others) > 0), "")


def _weight(entry: str) -> tuple[str, float]:
    """Parse an entry of Accept-Encoding: `gzip;q=0.5` → ("gzip", 0.5). An invalid weight counts as 0."""
    name, _, parameter = entry.partition(";")
    key, _, value = parameter.partition("=")
    try:
        return name.strip(), float(value) if key.strip() == "q" else 1.0
    except ValueError:
        return name.strip(), 0.0
