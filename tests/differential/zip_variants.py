"""Variants of the ZIP of a `.conda` file, and of its metadata.json."""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

from tests.archives import tar_bytes
from tests.differential.shapes import METADATA, STEM, Shape, raw_zstd
from tests.zips import ZipEntry, zip64_extra, zip_bytes

Entries = list[ZipEntry]
Named = dict[str, Shape]

DEFLATED, BZIP2, LZMA, ZSTD = 8, 12, 14, 93
DESCRIPTOR_FLAG = 0x0008
SKIPPABLE_MAGIC = b"\x50\x2a\x4d\x18"
UNIX_TIMES = struct.pack("<2HBL", 0x5455, 5, 1, 1_700_000_000)


def each(**changes: Any) -> Callable[[Entries], Entries]:
    return lambda entries: [replace(entry, **changes) for entry in entries]


def first(**changes: Any) -> Callable[[Entries], Entries]:
    return lambda entries: [replace(entries[0], **changes), *entries[1:]]


def middle(**changes: Any) -> Callable[[Entries], Entries]:
    return lambda entries: [entries[0], replace(entries[1], **changes), entries[2]]


def more(*added: ZipEntry) -> Callable[[Entries], Entries]:
    return lambda entries: [*entries, *added]


def zip_shape(entries: Callable[[Entries], Entries] = list, **tail: Any) -> Shape:
    return Shape(entries=entries, zip=tail)


def extra(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<2H", kind, len(content)) + content


def descriptor(entry: ZipEntry, *, signature: bytes = b"PK\x07\x08", size: str = "L", **wrong: int) -> bytes:
    crc = wrong.get("crc", zlib.crc32(entry.content))
    length = wrong.get("size_bytes", len(entry.content))
    return signature + struct.pack(f"<L2{size}", crc, length, length)


def described(which: int | None = None, *, keeps_sizes: bool = False, **tweaks: Any) -> Callable[[Entries], Entries]:
    """Return a change that adds data descriptors: in the local headers, checksums are zero, and sizes unless kept."""
    changes: dict[str, Any] = {"flags": DESCRIPTOR_FLAG, "is_described": True, "keeps_sizes": keeps_sizes}

    def change(entries: Entries) -> Entries:
        return [
            replace(entry, **changes, descriptor=descriptor(entry, **tweaks)) if which in (None, number) else entry
            for number, entry in enumerate(entries)
        ]

    return change


def skippable_frame_first(entries: Entries) -> Entries:
    """Put the pkg archive's descriptor early, into a skippable frame, with another info archive after it."""
    metadata, pkg, info = entries
    hidden = zip_bytes([replace(info, content=raw_zstd(tar_bytes([])))]).partition(b"PK\x01\x02")[0]
    before = pkg.content + SKIPPABLE_MAGIC + struct.pack("<L", len(descriptor(pkg)) + len(hidden))
    content = before + descriptor(replace(pkg, content=before)) + hidden
    return described(1)([metadata, replace(pkg, content=content), info])


def deflated(which: tuple[int, ...]) -> Callable[[Entries], Entries]:
    def change(entries: Entries) -> Entries:
        return [_deflated(entry) if number in which else entry for number, entry in enumerate(entries)]

    return change


def _deflated(entry: ZipEntry) -> ZipEntry:
    """Return the entry in stored blocks of deflate. Its bytes are the same on every machine."""
    content, blocks = entry.content, b""
    for start in range(0, len(content), 0xFFFF):
        block = content[start : start + 0xFFFF]
        is_last = start + 0xFFFF >= len(content)
        blocks += struct.pack("<B2H", is_last, len(block), len(block) ^ 0xFFFF) + block
    return replace(entry, content=blocks, method=DEFLATED, unpacked_bytes=len(content), crc=zlib.crc32(content))


def ordered(order: Sequence[int]) -> Callable[[Entries], Entries]:
    return lambda entries: [entries[number] for number in order]


def orders() -> Iterator[tuple[str, Shape]]:
    names = ("metadata", "pkg", "info")
    for order in permutations(range(3)):
        if order != (0, 1, 2):
            yield " ".join(names[number] for number in order), zip_shape(ordered(order))


ORDER: Named = dict(orders())

ZIP: Named = {
    "ZIP64 end": zip_shape(is_zip64=True),
    "ZIP64 everywhere": zip_shape(each(is_zip64=True), is_zip64=True),
    "ZIP64 sizes in the entries alone": zip_shape(each(is_zip64=True)),
    "unused ZIP64 field": zip_shape(first(extra=zip64_extra(0, 0))),
    "Unix times in the local header": zip_shape(each(local_extra=UNIX_TIMES)),
    "Unix times in both headers": zip_shape(each(local_extra=UNIX_TIMES, extra=UNIX_TIMES)),
    "Unix owner": zip_shape(each(local_extra=extra(0x7875, b"\1\4\0\0\0\0\4\0\0\0\0"))),
    "NTFS times": zip_shape(each(extra=extra(0x000A, bytes(32)))),
    "extra field of an unknown kind": zip_shape(first(extra=extra(0x9999, b"x"), local_extra=extra(0x9999, b"x"))),
    "extra field of Java": zip_shape(first(local_extra=extra(0xCAFE))),
    "padding field of Android": zip_shape(first(local_extra=extra(0xD935, bytes(6)))),
    "Unicode path field, same name": zip_shape(
        first(extra=extra(0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"metadata.json")) + b"metadata.json"))
    ),
    "Unicode path field, other name": zip_shape(
        middle(extra=extra(0x7075, b"\1" + struct.pack("<L", zlib.crc32(f"pkg-{STEM}.tar.zst".encode())) + b"x.txt"))
    ),
    "malformed extra field": zip_shape(first(local_extra=b"\1")),
    "malformed Unix times": zip_shape(first(local_extra=extra(0x5455, b"\1"))),
    "malformed NTFS times": zip_shape(first(local_extra=extra(0x000A, bytes(31)))),
    "ZIP64 field of other sizes": zip_shape(first(local_extra=zip64_extra(5, 5, 5))),
    "Unicode comment field": zip_shape(first(extra=extra(0x6375, b"\1" + bytes(4) + b"x"))),
    "field of AES": zip_shape(first(local_extra=extra(0x9901, struct.pack("<H2sBH", 2, b"AE", 3, 0)))),
    "version needed 6.4": zip_shape(each(needed=64)),
    "UTF-8 flag": zip_shape(each(flags=0x0800)),
    "UTF-8 flag in the directory alone": zip_shape(each(local_flags=0, flags=0x0800)),
    "encryption flag": zip_shape(each(flags=0x0001)),
    "compression level flags": zip_shape(each(flags=0x0006)),
    "enhanced deflating flag": zip_shape(each(flags=0x0010)),
    "patch flag": zip_shape(each(flags=0x0020)),
    "strong encryption flag": zip_shape(each(flags=0x0040)),
    "masked header flag": zip_shape(each(flags=0x2000)),
    "descriptor flag, no descriptor": zip_shape(each(flags=DESCRIPTOR_FLAG)),
    "data descriptors": zip_shape(described()),
    "data descriptors without a signature": zip_shape(described(signature=b"")),
    "data descriptors of ZIP64": zip_shape(described(size="Q")),
    "data descriptor of metadata.json alone": zip_shape(described(0)),
    "data descriptor of the pkg archive alone": zip_shape(described(1)),
    "data descriptor of the info archive alone": zip_shape(described(2)),
    "data descriptors, sizes in front, too": zip_shape(described(keeps_sizes=True)),
    "data descriptors, one early in a skippable frame": zip_shape(skippable_frame_first),
    "data descriptors with a wrong checksum": zip_shape(described(crc=1)),
    "data descriptors with wrong sizes": zip_shape(described(size_bytes=5)),
    "data descriptors behind a gap": zip_shape(described(signature=b"gapPK\x07\x08")),
    "metadata.json deflated": zip_shape(deflated((0,))),
    "pkg archive deflated": zip_shape(deflated((1,))),
    "info archive deflated": zip_shape(deflated((2,))),
    "all deflated": zip_shape(deflated((0, 1, 2))),
    "method bzip2, not so": zip_shape(each(method=BZIP2)),
    "method LZMA, not so": zip_shape(each(method=LZMA)),
    "method zstd, not so": zip_shape(each(method=ZSTD)),
    "method unknown": zip_shape(each(method=77)),
    "bytes in front": zip_shape(prefix=b"#!/bin/sh\n"),
    "bytes between entries": zip_shape(middle(gap_before=b"gap")),
    "bytes before the directory": zip_shape(before_directory=b"gap"),
    "bytes after the directory": zip_shape(after_directory=b"gap"),
    "a comment": zip_shape(comment=b"hello"),
    "bytes after the end": zip_shape(suffix=b"\0"),
    "a line end after the end": zip_shape(suffix=b"\r\n"),
    "zeros after the end, to 64 KiB": zip_shape(suffix=bytes(65_536)),
    "a comment of an entry": zip_shape(first(comment=b"x")),
    "a fourth entry": zip_shape(more(ZipEntry("README", b"hello"))),
    "a folder as fourth entry": zip_shape(more(ZipEntry("folder/", b""))),
    "a signature as fourth entry": zip_shape(more(ZipEntry(f"{STEM}.sig", b"signed"))),
    "a second pkg archive": zip_shape(lambda es: [*es, replace(es[1], name="pkg-other-1-0.tar.zst")]),
    "the pkg archive twice": zip_shape(lambda es: [*es, es[1]]),
    "metadata.json twice": zip_shape(lambda es: [es[0], *es]),
    "no metadata.json": zip_shape(lambda es: es[1:]),
    "no pkg archive": zip_shape(lambda es: [es[0], es[2]]),
    "no info archive": zip_shape(lambda es: es[:2]),
    "no entries": zip_shape(lambda _: []),
    "entries of another file name": zip_shape(
        lambda es: [
            es[0],
            replace(es[1], name="pkg-demo-1.0-1.tar.zst"),
            replace(es[2], name="info-demo-1.0-1.tar.zst"),
        ]
    ),
    "entries in a folder": zip_shape(lambda es: [replace(entry, name=f"a/{entry.name}") for entry in es]),
    "entries after ./": zip_shape(lambda es: [replace(entry, name=f"./{entry.name}") for entry in es]),
    "metadata.json in capitals": zip_shape(first(name="METADATA.JSON")),
    "entries compressed by zstd as .tar.zstd": zip_shape(
        lambda es: [es[0], *(replace(entry, name=entry.name + "d") for entry in es[1:])]
    ),
    "local name differs": zip_shape(first(local_name="metadata.jsom")),
    "local name of the pkg archive differs": zip_shape(middle(local_name=f"pkx-{STEM}.tar.zst")),
    "local checksum zero": zip_shape(each(local_crc=0)),
    "checksum wrong in the directory": zip_shape(each(crc=1)),
    "checksum of the pkg archive wrong": zip_shape(middle(crc=1, local_crc=1)),
    "sizes too small": zip_shape(first(size_bytes=5)),
    "sizes too large": zip_shape(middle(size_bytes=10_000_000)),
    "date differs in the local header": zip_shape(each(local_date=0x5A21)),
    "date of 2024": zip_shape(each(local_date=0x5A21, date=0x5A21)),
    "date zero": zip_shape(each(local_date=0, date=0)),
    "version needed 1.0": zip_shape(each(needed=10)),
    "version needed 4.5": zip_shape(each(needed=45)),
    "version needed 6.3": zip_shape(each(needed=63)),
    "version needed differs in the local header": zip_shape(each(needed=20, local_needed=45)),
    "attributes of Unix": zip_shape(each(made_by=0x0314, external=0o100644 << 16)),
    "attributes of a symlink": zip_shape(middle(made_by=0x0314, external=0o120777 << 16)),
    "text bit": zip_shape(first(internal=1)),
    "more entries announced": zip_shape(count=4),
    "fewer entries announced": zip_shape(count=2),
}

METADATA_JSON: Named = {
    name: Shape(metadata=metadata)
    for name, metadata in {
        "spaces": b'{ "conda_pkg_format_version" : 2 }\n',
        "other keys": b'{"conda_pkg_format_version": 2, "made_by": {"tool": "x"}}',
        "version 2.0": b'{"conda_pkg_format_version": 2.0}',
        "version '2'": b'{"conda_pkg_format_version": "2"}',
        "version 1": b'{"conda_pkg_format_version": 1}',
        "version 3": b'{"conda_pkg_format_version": 3}',
        "version true": b'{"conda_pkg_format_version": true}',
        "no version": b"{}",
        "null": b"null",
        "a list": b"[]",
        "empty": b"",
        "no JSON": b"version 2",
        "byte order mark": b"\xef\xbb\xbf" + METADATA,
        "UTF-16": METADATA.decode().encode("utf-16"),
        "a key twice": b'{"conda_pkg_format_version": 2, "conda_pkg_format_version": 2}',
        "two versions": b'{"conda_pkg_format_version": 1, "conda_pkg_format_version": 2}',
        "5 KiB": METADATA + b" " * 5000,
        "compressed by zstd": raw_zstd(METADATA),
    }.items()
}

LAYERS = {"entries' order": ORDER, "ZIP": ZIP, "metadata.json": METADATA_JSON}
