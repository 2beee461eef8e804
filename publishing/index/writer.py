"""Writer of index files: one pass over the fragments, with constant memory."""

import tempfile
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import zstandard
from django.conf import settings
from django.db.models import Case, QuerySet, When

from hub import temporary
from hub.storage import store
from publishing.index import merging, repodata
from publishing.index.merging import Source
from publishing.index.repodata import ZSTD_LEVEL, Layout, Section
from publishing.models import Fragment, SubdirIndex

# Fragments of up to 64 KiB, or parts of larger ones.
FRAGMENTS_AT_ONCE = 500
PARTS_AT_ONCE = 50


def write_json(index: SubdirIndex, key: str, layout: Layout) -> None:
    """Fill `layout` with the index's fragments and put it, first compressed as `key`.zst, then plain as `key`."""
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("index")) as folder:
        plain, compressed = Path(folder, "json"), Path(folder, "zst")
        with plain.open("wb") as file:
            file.writelines(content(index, layout))
        _compress(plain, compressed)
        store().put(f"{key}.zst", compressed)
        store().put(key, plain, content_type="application/json")


def content(index: SubdirIndex, layout: Layout) -> Iterator[bytes]:
    """Yield the bytes of the file with this layout, in small chunks."""
    for part in layout:
        if isinstance(part, str):
            yield part.encode()
            continue
        separator = ""
        for body in bodies(index, part):
            yield f"{separator}{body}".encode()
            separator = ","


def bodies(index: SubdirIndex, section: Section) -> Iterator[str]:
    """Yield the fragments of a section, or their parts."""
    return _unpatched_bodies(index, section.name) if section.is_unpatched else _bodies(index, section.name)


def entries(index: SubdirIndex, section: str, name: str | None = None) -> dict[str, Any]:
    """Return the parsed entries of a section, of one name or of all."""
    found: dict[str, Any] = {}
    for body in _bodies(index, section) if name is None else _parts(Source(index.pk), section, name):
        found |= orjson.loads(f"{{{body}}}")
    return found


def _parts(source: Source, section: str, name: str) -> Iterator[str]:
    """Yield a fragment, or the parts of a large one."""
    rows = merging.fragments_of(source, section).filter(name=name).order_by("part")
    after = -1
    while batch := list(rows.filter(part__gt=after).values_list("part", "body")[:PARTS_AT_ONCE]):
        for _, body in batch:
            yield body
        after = batch[-1][0]


def is_patched(index: SubdirIndex) -> bool:
    """Tell whether patches select a file of the index."""
    return any(names.exists() for names in _patched_names(index))


def _patched_names(index: SubdirIndex) -> list[QuerySet[Fragment, str]]:
    """Select the names of which patches select a file, for each source of the index."""
    section = repodata.unpatched("removed")
    return [merging.fragments_of(source, section).values_list("name", flat=True) for source in merging.sources(index)]


def removed_by_patches(index: SubdirIndex) -> set[str]:
    """Return the file names that patches remove."""
    listed = (_bodies(index, "removed"), _unpatched_bodies(index, "removed"))
    removed, removed_by_people = (set(orjson.loads(f"[{','.join(each)}]")) for each in listed)
    return removed - removed_by_people


def _unpatched_bodies(index: SubdirIndex, section: str) -> Iterator[str]:
    """Yield the fragments of a section as packages state them."""
    yield from filter(None, _bodies(index, repodata.unpatched(section)))
    yield from _bodies(index, section, without=frozenset(chain.from_iterable(_patched_names(index))))


def _bodies(index: SubdirIndex, section: str, without: Collection[str] = ()) -> Iterator[str]:
    """Yield the fragments of a section by name, of a virtual channel one member after the other."""
    for source in merging.sources(index):
        yield from _bodies_of(source, section, without)


def _bodies_of(source: Source, section: str, without: Collection[str]) -> Iterator[str]:
    """Yield the fragments of one source by name. Batches by key avoid a long transaction and much memory."""
    # Each fragment has either a part 0, which is small, or a part 1.
    rows = merging.fragments_of(source, section).filter(part__lte=1).order_by("name")
    small = rows.annotate(small=Case(When(part=0, then="body"))).values_list("name", "small")
    after: str | None = ""
    while after is not None:
        batch = list(small.filter(name__gt=after)[:FRAGMENTS_AT_ONCE])
        for name, body in batch:
            if name in without:
                continue
            yield from _parts(source, section, name) if body is None else (body,)
        after = batch[-1][0] if len(batch) == FRAGMENTS_AT_ONCE else None


def _compress(source: Path, target: Path) -> None:
    """Write one zstd frame with its content size; conda limits frames that lack it."""
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, threads=2)
    with source.open("rb") as plain, target.open("wb") as compressed:
        compressor.copy_stream(plain, compressed, size=source.stat().st_size)
