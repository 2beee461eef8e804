"""ZIP files in which every field can be wrong."""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

DOS_DATE = 0x21  # 1980-01-01


@dataclass(frozen=True)
class ZipEntry:
    """A ZIP entry. Arguments differ from a valid one. `content` is stored as it is, with any `method`.

    `is_described`: the local header has no checksum, and sizes only with `keeps_sizes`; `descriptor` follows the
    content.
    """

    name: str
    content: bytes
    local_name: str | None = None
    method: int = 0
    flags: int = 0
    crc: int | None = None
    local_crc: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    gap_before: bytes = b""
    size_bytes: int | None = None
    unpacked_bytes: int | None = None
    is_zip64: bool = False
    is_described: bool = False
    keeps_sizes: bool = False
    descriptor: bytes = b""
    local_flags: int | None = None
    date: int = DOS_DATE
    local_date: int | None = None
    needed: int = 20
    local_needed: int | None = None
    made_by: int = 20
    internal: int = 0
    external: int = 0


def zip_bytes(
    entries: Iterable[ZipEntry],
    *,
    prefix: bytes = b"",
    before_directory: bytes = b"",
    after_directory: bytes = b"",
    comment: bytes = b"",
    suffix: bytes = b"",
    count: int | None = None,
    is_zip64: bool = False,
) -> bytes:
    """Return a ZIP of `entries`, with correct offsets for all inserted bytes."""
    body, directory, number = prefix, b"", 0
    for entry in entries:
        body += entry.gap_before
        directory += _central_header(entry, len(body))
        body += _local_header(entry) + entry.content + entry.descriptor
        number += 1
    body += before_directory
    number = number if count is None else count
    end = (number, number, len(directory), len(body))
    zip64 = _zip64_end(end, len(body) + len(directory) + len(after_directory)) if is_zip64 else b""
    if is_zip64:
        end = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *end, len(comment))
    return body + directory + after_directory + zip64 + tail + comment + suffix


def zip64_extra(*sizes_bytes: int) -> bytes:
    """Return ZIP64's extra field of a header."""
    return struct.pack(f"<2H{len(sizes_bytes)}Q", 1, 8 * len(sizes_bytes), *sizes_bytes)


def _local_header(entry: ZipEntry) -> bytes:
    name = (entry.local_name or entry.name).encode()
    crc = entry.local_crc if entry.local_crc is not None else _crc(entry)
    size, unpacked, extra = _sizes_and_extra(entry, entry.local_extra)
    if entry.is_described:
        crc = 0
        size, unpacked = (size, unpacked) if entry.keeps_sizes else (0, 0)
    flags = entry.flags if entry.local_flags is None else entry.local_flags
    needed = entry.needed if entry.local_needed is None else entry.local_needed
    date = entry.date if entry.local_date is None else entry.local_date
    fields = (needed, flags, entry.method, 0, date, crc, size, unpacked, len(name), len(extra))
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name + extra


def _central_header(entry: ZipEntry, offset: int) -> bytes:
    name = entry.name.encode()
    size, unpacked, extra = _sizes_and_extra(entry, entry.extra)
    lengths = (len(name), len(extra), len(entry.comment))
    method = (entry.made_by, entry.needed, entry.flags, entry.method, 0, entry.date)
    fields = (*method, _crc(entry), size, unpacked, *lengths, 0, entry.internal, entry.external, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *fields) + name + extra + entry.comment


def _sizes_and_extra(entry: ZipEntry, extra: bytes) -> tuple[int, int, bytes]:
    size_bytes = len(entry.content) if entry.size_bytes is None else entry.size_bytes
    unpacked_bytes = size_bytes if entry.unpacked_bytes is None else entry.unpacked_bytes
    if entry.is_zip64:
        return 0xFFFFFFFF, 0xFFFFFFFF, zip64_extra(unpacked_bytes, size_bytes) + extra
    return size_bytes, unpacked_bytes, extra


def _zip64_end(end: tuple[int, int, int, int], offset: int) -> bytes:
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *end)
    return record + struct.pack("<4sLQL", b"PK\x06\x07", 0, offset, 1)


def _crc(entry: ZipEntry) -> int:
    return zlib.crc32(entry.content) if entry.crc is None else entry.crc
