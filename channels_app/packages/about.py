"""The texts of info/about.json: in its row as much as pages and channeldata.json show of it.

The document may have 4 MiB, and packs to nothing: where it is long, the row holds the keys below, each cut, and the
whole document lies compressed in a row of its own, which nothing reads but its download.
"""

from collections.abc import Mapping
from typing import Any

import orjson
import zstandard

from channels_app.models import AboutDocument, Artifact
from channels_app.packages.excerpts import cut

STORED_MAX_BYTES = 16 * 1024
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
    """The document as its row holds it: whole, or else the keys that are shown, each cut."""
    if is_small(about):
        return about
    return {key: kept for key in KEYS if (kept := _kept(key, about.get(key)))}


def is_small(about: Mapping[str, Any]) -> bool:
    return len(orjson.dumps(about)) <= STORED_MAX_BYTES


def keep_whole(artifact: Artifact, about: Mapping[str, Any], *, is_new: bool) -> None:
    """Keep a long document beside the row, within the transaction that writes the row; a former one goes."""
    if not is_new:
        AboutDocument.objects.filter(artifact=artifact).delete()
    if not is_small(about):
        AboutDocument.objects.create(artifact=artifact, body=packed(about))


def packed(about: Mapping[str, Any]) -> bytes:
    return zstandard.compress(orjson.dumps(about))


def _kept(key: str, value: object) -> str | list[str]:
    """Texts, and lists of them, cut; of anything else nothing."""
    if isinstance(value, list):
        return [cut(each, TEXT_MAX_CHARACTERS) for each in value[:LIST_MAX] if isinstance(each, str)]
    most = DESCRIPTION_MAX_CHARACTERS if key == "description" else TEXT_MAX_CHARACTERS
    return cut(value, most) if isinstance(value, str) else ""
