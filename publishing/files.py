"""Index files from ready fragments: one pass, flat memory, the store last."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import zstandard
from django.conf import settings
from django.db.models import Case, When

from hub import temporary
from hub.storage import store
from publishing.models import Fragment, SubdirIndex
from publishing.repodata import ZSTD_LEVEL, Layout

# Of up to 64 KiB; a part ends with the record that makes it so long.
FRAGMENTS_AT_ONCE = 500
PARTS_AT_ONCE = 50


def write_json(index: SubdirIndex, key: str, layout: Layout) -> None:
    """Put `layout`, filled with the index's fragments, under `key`, and before it, compressed, under `key`.zst."""
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("index")) as folder:
        plain, compressed = Path(folder, "json"), Path(folder, "zst")
        with plain.open("wb") as file:
            file.writelines(content(index, layout))
        _compress(plain, compressed)
        store().put(f"{key}.zst", compressed)
        store().put(key, plain, content_type="application/json")


def content(index: SubdirIndex, layout: Layout) -> Iterator[bytes]:
    """The bytes of the file that `layout` becomes, in small pieces."""
    for part in layout:
        if isinstance(part, str):
            yield part.encode()
            continue
        separator = ""
        for body in _bodies(index, part.name):
            yield f"{separator}{body}".encode()
            separator = ","


def entries(index: SubdirIndex, section: str, name: str | None = None) -> dict[str, Any]:
    """The content of a section, parsed: of one name, or of all."""
    found: dict[str, Any] = {}
    for body in _bodies(index, section) if name is None else parts(index, section, name):
        found |= orjson.loads(f"{{{body}}}")
    return found


def parts(index: SubdirIndex, section: str, name: str) -> Iterator[str]:
    """A fragment, in its parts where it is a large one."""
    rows = Fragment.objects.filter(index=index, section=section, name=name).order_by("part")
    after = -1
    while batch := list(rows.filter(part__gt=after).values_list("part", "body")[:PARTS_AT_ONCE]):
        for _, body in batch:
            yield body
        after = batch[-1][0]


def _bodies(index: SubdirIndex, section: str) -> Iterator[str]:
    """The fragments of a section, name by name, in batches by key: neither a long transaction nor much memory."""
    # Each has either a part 0, which is small, or a part 1.
    rows = Fragment.objects.filter(index=index, section=section, part__lte=1).order_by("name")
    small = rows.annotate(small=Case(When(part=0, then="body"))).values_list("name", "small")
    after = ""
    while batch := list(small.filter(name__gt=after)[:FRAGMENTS_AT_ONCE]):
        for name, body in batch:
            yield from parts(index, section, name) if body is None else (body,)
        after = batch[-1][0]


def _compress(source: Path, target: Path) -> None:
    """One zstd frame that carries its content size; conda caps frames without it."""
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=2)
    with source.open("rb") as plain, target.open("wb") as compressed:
        compressor.copy_stream(plain, compressed, size=source.stat().st_size)
