"""The ZIP container of a `.conda` file (CEP 35), checked so that every ZIP reader sees the same three entries.

The standard library reads the directory at the end and ignores the rest. Streaming clients read the local headers. So
both are read here and compared, and every byte of the file must belong to one of them.

APPNOTE.TXT defines the structures: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from publishing.archive import descriptors, zip_extras
from publishing.archive.errors import BadPackage
from publishing.archive.zip_extras import SATURATED_32
from publishing.wording import quote

END = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\x05\x06"
END64_LOCATOR = struct.Struct("<4sLQL")
END64_LOCATOR_SIGNATURE = b"PK\x06\x07"
END64 = struct.Struct("<4sQ2H2L4Q")
END64_SIGNATURE = b"PK\x06\x06"
CENTRAL = struct.Struct("<4s6H3L5H2L")
CENTRAL_SIGNATURE = b"PK\x01\x02"
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_SIGNATURE = b"PK\x03\x04"

# Like SATURATED_32, for fields of 16 bits.
SATURATED_16 = 0xFFFF

STORED = 0
# A name in UTF-8, and compression options (bits 1, 2 and 4): they don't change the content of a stored entry.
HARMLESS_FLAGS = 0x0800 | 0x0016
# The highest version that Python's zipfile reads.
NEEDED_MAX = 63

ENTRY_COUNT = 3
# Enough for three entries with short names.
DIRECTORY_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """A stored entry; `offset` is the position of its content in the file."""

    name: str
    offset: int
    size_bytes: int
    crc: int
    has_descriptor: bool = False


@dataclass(frozen=True, slots=True)
class _Header:
    """The fields on which the local and the central header of an entry must agree.

    The version needed may differ: for an offset that needs ZIP64, the standard library writes it into the central
    header alone.
    """

    flags: int
    method: int
    dos_time: int
    dos_date: int
    crc: int
    compressed_bytes: int
    size_bytes: int
    name: bytes


def entries(file: BinaryIO, file_bytes: int) -> dict[str, ZipEntry]:
    """Return the three entries by name. Raise BadPackage if two ZIP readers could see different ones."""
    directory_offset, directory_bytes = _find_directory(file, file_bytes)
    directory = _read(file, directory_offset, directory_bytes)
    found: dict[str, ZipEntry] = {}
    end = 0
    headers = sorted(_central_headers(directory), key=lambda pair: pair[1])
    nexts = [*(offset for _, offset in headers[1:]), directory_offset]
    for (header, header_offset), next_offset in zip(headers, nexts, strict=True):
        if header_offset != end:
            raise BadPackage(f"the ZIP has {quote(header.name)} at byte {header_offset}; expected it at byte {end}")
        entry = _read_entry(file, header, header_offset)
        found[entry.name] = entry
        end = entry.offset + entry.size_bytes
        if entry.has_descriptor:
            end = _check_descriptor(file, entry, next_offset)
    if end != directory_offset:
        raise BadPackage(f"the ZIP's entries end at byte {end}, but its directory begins at byte {directory_offset}")
    if len(found) != ENTRY_COUNT:
        raise BadPackage("the ZIP has two entries of the same name")
    return found


class EntryReader:
    """The content of one entry as a file. Reading the last byte verifies the checksum."""

    def __init__(self, file: BinaryIO, entry: ZipEntry) -> None:
        self._file = file
        self._entry = entry
        self._left = entry.size_bytes
        self._crc = 0
        self._watch = descriptors.DescriptorCheck(entry.name) if entry.has_descriptor else None
        file.seek(entry.offset)

    def read(self, size_bytes: int) -> bytes:
        data = self._file.read(min(size_bytes, self._left))
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._watch:
            self._watch.check_next(data)
        if not self._left and self._crc != self._entry.crc:
            raise BadPackage(f"{self._entry.name} does not have the checksum that the ZIP states; upload it again")
        return data


def _find_directory(file: BinaryIO, file_bytes: int) -> tuple[int, int]:
    """Return the offset and the size of the central directory, which must end where the end record begins."""
    end_offset = file_bytes - END.size
    if end_offset < 0:
        raise BadPackage(f"the file has {file_bytes} bytes: too short for the ZIP that a .conda file is")
    signature, *disk, count, size_bytes, offset, comment_bytes = END.unpack(_read(file, end_offset, END.size))
    if signature != END_SIGNATURE or comment_bytes:
        raise BadPackage("the file does not end as a ZIP without a comment does, as every .conda file must")
    stated = (*disk, count, size_bytes, offset)
    if SATURATED_16 in (*disk, count) or SATURATED_32 in (size_bytes, offset):
        end_offset, stated = _read_end64(file, end_offset, stated)
    else:
        _check_no_locator(file, end_offset)
    *disk, count, size_bytes, offset = stated
    if disk != [0, 0, count]:
        raise BadPackage("the ZIP is one of several parts; a .conda file is whole")
    if count != ENTRY_COUNT:
        raise BadPackage(f"the ZIP has {count} entries; a .conda file has exactly {ENTRY_COUNT}")
    if size_bytes > DIRECTORY_MAX_BYTES or offset + size_bytes != end_offset:
        raise BadPackage("the ZIP has bytes between its directory and its end that belong to neither")
    return offset, size_bytes


def _read_end64(file: BinaryIO, end_offset: int, stated: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Return the offset of the ZIP64 end record, and its fields that replace those of the old end record, in order."""
    locator_offset = end_offset - END64_LOCATOR.size
    end64_offset = locator_offset - END64.size
    if end64_offset < 0:
        raise BadPackage("the ZIP lacks the ZIP64 record that its end announces")
    locator = END64_LOCATOR.unpack(_read(file, locator_offset, END64_LOCATOR.size))
    if locator != (END64_LOCATOR_SIGNATURE, 0, end64_offset, 1):
        raise BadPackage("the ZIP lacks the ZIP64 locator that its end announces, or has bytes around it")
    signature, record_bytes, _, _, *fields = END64.unpack(_read(file, end64_offset, END64.size))
    if signature != END64_SIGNATURE or record_bytes != END64.size - 12:
        raise BadPackage("the ZIP's ZIP64 record is malformed")
    for old, new in zip(stated, fields, strict=True):
        if old not in (new, SATURATED_16, SATURATED_32):
            raise BadPackage("the ZIP's two end records state different things")
    return end64_offset, tuple(fields)


def _check_no_locator(file: BinaryIO, end_offset: int) -> None:
    """Refuse a ZIP64 locator before an end record without ZIP64.

    The standard library follows a locator at this place even if it lies within an extra field.
    """
    offset = max(end_offset - END64_LOCATOR.size, 0)
    if _read(file, offset, len(END64_LOCATOR_SIGNATURE)) == END64_LOCATOR_SIGNATURE:
        raise BadPackage("the ZIP has a ZIP64 locator that its end does not announce")


def _central_headers(directory: bytes) -> list[tuple[_Header, int]]:
    """Return each entry's central header and the offset of its local one. The headers must fill the directory."""
    headers = []
    position = 0
    for _ in range(ENTRY_COUNT):
        header, header_offset, position = _central_header(directory, position)
        headers.append((header, header_offset))
    if position != len(directory):
        raise BadPackage("the ZIP's directory holds more than its entries")
    return headers


def _central_header(directory: bytes, position: int) -> tuple[_Header, int, int]:
    if position + CENTRAL.size > len(directory):
        raise BadPackage("the ZIP's directory ends too early")
    fields = CENTRAL.unpack_from(directory, position)
    signature, _made_by, needed, flags, method, dos_time, dos_date, crc, compressed, size, *rest = fields
    name_bytes, extra_bytes, comment_bytes, disk, _internal, _external, offset = rest
    if signature != CENTRAL_SIGNATURE or comment_bytes or disk:
        raise BadPackage("the ZIP's directory is malformed, or has an entry with a comment or on another disk")
    name_end = position + CENTRAL.size + name_bytes
    end = name_end + extra_bytes
    name = directory[position + CENTRAL.size : name_end]
    _check_needed(name, needed)
    size, compressed, offset = zip_extras.real_sizes(
        name,
        directory[name_end:end],
        (size, compressed, offset),
        is_read_by_rattler=bool(flags & descriptors.FLAG),
    )
    header = _Header(flags, method, dos_time, dos_date, crc, compressed, size, name)
    return header, offset, end


def _read_entry(file: BinaryIO, central: _Header, offset: int) -> ZipEntry:
    """Return the entry after comparing its local header with the central one."""
    fields = LOCAL.unpack(_read(file, offset, LOCAL.size))
    signature, needed, flags, method, dos_time, dos_date, crc, compressed, size, name_bytes, extra_bytes = fields
    if signature != LOCAL_SIGNATURE or name_bytes != len(central.name) or extra_bytes > DIRECTORY_MAX_BYTES:
        raise BadPackage(f"the ZIP's local header of {quote(central.name)} differs from its directory")
    tail = _read(file, offset + LOCAL.size, name_bytes + extra_bytes)
    name, extra = tail[:name_bytes], tail[name_bytes:]
    _check_needed(name, needed)
    size, compressed = zip_extras.real_sizes(name, extra, (size, compressed))
    has_descriptor = bool(flags & descriptors.FLAG)
    central_sizes = (central.compressed_bytes, central.size_bytes)
    # libarchive writes the checksum into the descriptor alone. It may write the sizes of a stored entry into both.
    if has_descriptor and not crc and (compressed, size) in ((0, 0), central_sizes):
        crc, (compressed, size) = central.crc, central_sizes
    local = _Header(flags, method, dos_time, dos_date, crc, compressed, size, name)
    if local != central:
        raise BadPackage(f"the ZIP's local header of {quote(central.name)} differs from its directory")
    _check_header(local)
    return ZipEntry(name.decode("ascii"), offset + LOCAL.size + len(tail), size, crc, has_descriptor)


def _check_descriptor(file: BinaryIO, entry: ZipEntry, next_offset: int) -> int:
    """Return the end of the data descriptor, which repeats checksum and sizes and must end at `next_offset`."""
    end = entry.offset + entry.size_bytes
    size_bytes = next_offset - end
    if 0 < size_bytes <= descriptors.MAX_BYTES:
        descriptor = _read(file, end, size_bytes)
        if descriptors.agrees(descriptor, entry.crc, entry.size_bytes):
            return next_offset
    raise BadPackage(
        f"the ZIP announces a data descriptor after {quote(entry.name)}; found none with a signature that agrees "
        "with the directory: "
        "write the file with true sizes in its headers"
    )


def _check_needed(name: bytes, needed: int) -> None:
    """Refuse a ZIP version that conda can't read. Stored entries need 1.0, or 4.5 with ZIP64."""
    if needed > NEEDED_MAX:
        raise BadPackage(
            f"{quote(name)} needs version {needed / 10} of ZIP; at most {NEEDED_MAX / 10} is read by all clients"
        )


def _check_header(header: _Header) -> None:
    if header.method != STORED or header.compressed_bytes != header.size_bytes:
        raise BadPackage(
            f"{quote(header.name)} is compressed by the ZIP; entries of a .conda file are stored as they are"
        )
    if header.flags & ~(HARMLESS_FLAGS | descriptors.FLAG):
        raise BadPackage(f"{quote(header.name)} has the ZIP flags {header.flags:#06x}; expected none")
    if not header.name.isascii():
        raise BadPackage(f"{quote(header.name)} is no name of an entry in a .conda file")


def _read(file: BinaryIO, offset: int, size_bytes: int) -> bytes:
    file.seek(offset)
    data = file.read(size_bytes)
    if len(data) != size_bytes:
        raise BadPackage("the ZIP ends too early; upload it again")
    return data
