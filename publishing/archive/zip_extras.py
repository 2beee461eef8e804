"""Extra fields of ZIP headers: a field that some reader interprets must be valid for every reader, or is refused.

rattler's zip crate fails on a field that it knows but can't parse: in local headers and, for files with data
descriptors, in the directory. All readers skip fields of unknown kinds.
"""

import struct
from collections.abc import Callable, Iterator

from publishing.archive.errors import BadPackage
from publishing.wording import quote

FIELD = struct.Struct("<2H")
# A size or offset of this value has its real value in a ZIP64 structure.
SATURATED_32 = 0xFFFFFFFF

ZIP64 = 0x0001
ZIP64_VALUE_BYTES = 8
NTFS = 0x000A
UNIX_TIMES = 0x5455
NTFS_BYTES = 32
# After four reserved bytes: the tag for three times, and their size.
NTFS_TIMES = struct.pack("<2H", 1, 24)
# The length of a field of times that holds only the time of the last change.
ONE_TIME_BYTES = 5

# Second names, comments, encryption and signatures: some readers interpret them, others don't.
REFUSED = {
    0x7075: "a second name",
    0x6375: "a comment",
    0x0017: "encryption",
    0x9901: "encryption",
    0x0014: "a signature",
    0x0015: "a signature",
    0x0016: "a signature",
    0x0019: "encryption",
}


def _is_ntfs(content: bytes) -> bool:
    return len(content) == NTFS_BYTES and content[4:8] == NTFS_TIMES


def _is_unix_times(content: bytes) -> bool:
    return bool(content) and len(content) in (ONE_TIME_BYTES, 1 + 4 * content[0].bit_count())


FORMS: dict[int, Callable[[bytes], bool]] = {NTFS: _is_ntfs, UNIX_TIMES: _is_unix_times}


def real_sizes(
    name: bytes, extra: bytes, stated: tuple[int, ...], *, is_read_by_rattler: bool = True
) -> tuple[int, ...]:
    """Return `stated` (size, compressed size, maybe an offset) with saturated values replaced from the ZIP64 field.

    The field holds only these values, in this order. rattler-build writes both sizes, or zeros, even if none is
    saturated.
    """
    zip64 = _zip64(name, extra, is_read_by_rattler=is_read_by_rattler)
    saturated = sum(value == SATURATED_32 for value in stated)
    if len(zip64) < ZIP64_VALUE_BYTES * saturated:
        raise BadPackage(f"the ZIP entry {quote(name)} lacks its ZIP64 sizes")
    if len(zip64) != ZIP64_VALUE_BYTES * saturated and zip64 not in _unneeded(stated):
        raise BadPackage(f"the ZIP entry {quote(name)} has ZIP64 sizes that its header does not ask for")
    real = iter(struct.unpack_from(f"<{saturated}Q", zip64))
    return tuple(next(real) if value == SATURATED_32 else value for value in stated)


def _zip64(name: bytes, extra: bytes, *, is_read_by_rattler: bool) -> bytes:
    """Return the content of the ZIP64 field, or empty bytes. Raise BadPackage for refused and malformed fields."""
    known: dict[int, bytes] = {}
    for kind, content in _fields(name, extra):
        if kind in REFUSED:
            found = f"an extra field of the kind {kind:#06x}: {REFUSED[kind]}"
            raise BadPackage(f"the ZIP entry {quote(name)} has {found}; write the file without")
        if kind in known or (is_read_by_rattler and kind in FORMS and not FORMS[kind](content)):
            raise BadPackage(f"the ZIP entry {quote(name)} has a malformed extra field of the kind {kind:#06x}")
        if kind == ZIP64 or kind in FORMS:
            known[kind] = content
    return known.get(ZIP64, b"")


def _unneeded(stated: tuple[int, ...]) -> tuple[bytes, ...]:
    return () if SATURATED_32 in stated else (bytes(2 * ZIP64_VALUE_BYTES), struct.pack("<2Q", *stated[:2]))


def _fields(name: bytes, extra: bytes) -> Iterator[tuple[int, bytes]]:
    while extra:
        if len(extra) < FIELD.size:
            raise BadPackage(f"the ZIP entry {quote(name)} has a malformed extra field")
        kind, content_bytes = FIELD.unpack_from(extra)
        content = extra[FIELD.size : FIELD.size + content_bytes]
        if len(content) != content_bytes:
            raise BadPackage(f"the ZIP entry {quote(name)} has a malformed extra field")
        yield kind, content
        extra = extra[FIELD.size + content_bytes :]
