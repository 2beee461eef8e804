"""The texts of info/about.json: in the artifact's row, as far as pages and channeldata.json show them.

The document may have 4 MiB, and compresses well. If it is long, the row holds the keys below, each cut. The whole
document is then stored compressed in a row of its own, which is read only for its download.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import zstandard

from channels_app.models import AboutDocument, Artifact
from channels_app.packages import metadata
from channels_app.packages.excerpts import cut
from hub.sizes import KIB

STORED_MAX_BYTES = 16 * KIB
DESCRIPTION_MAX_CHARACTERS = 10_000
TEXT_MAX_CHARACTERS = 500
LIST_MAX = 10
KEYS = (
    "summary",
    "description",
    "license",
    "license_family",
    "license_url",
    "home",
    "doc_url",
    "dev_url",
    "source_url",
)


def stored(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the document as its row stores it: whole if it is small, else its shown keys, each cut."""
    if is_small(about):
        return about
    shown = {key: text for key in KEYS if (text := _cut_value(key, about.get(key)))}
    maintainers = metadata.maintainers(about)
    return {**shown, "extra": {"recipe-maintainers": maintainers}} if maintainers else shown


def is_small(about: Mapping[str, Any]) -> bool:
    return len(orjson.dumps(about)) <= STORED_MAX_BYTES


def keep_whole(artifact: Artifact, about: Mapping[str, Any], *, is_new: bool) -> None:
    """Store a long document beside the row, and delete a former one. Call it in the transaction that writes the row."""
    if not is_new:
        AboutDocument.objects.filter(artifact=artifact).delete()
    if not is_small(about):
        AboutDocument.objects.create(artifact=artifact, body=packed(about))


def packed(about: Mapping[str, Any]) -> bytes:
    return zstandard.compress(orjson.dumps(about))


def _cut_value(key: str, value: object) -> str | list[str]:
    """Return a text or a list of texts, cut; other values are dropped."""
    if isinstance(value, list):
        return [cut(each, TEXT_MAX_CHARACTERS) for each in value[:LIST_MAX] if isinstance(each, str)]
    most = DESCRIPTION_MAX_CHARACTERS if key == "description" else TEXT_MAX_CHARACTERS
    return cut(value, most) if isinstance(value, str) else ""
