"""Data descriptors of ZIP entries: checksum and sizes after the content, where streaming readers find its end."""

import re
import struct

from publishing.archive.errors import BadPackage
from publishing.wording import quote

FLAG = 0x0008
SIGNATURE = b"PK\x07\x08"
# After the signature: a checksum and two sizes, of 32 or 64 bits each.
FORMS = (struct.Struct("<3L"), struct.Struct("<L2Q"))
MAX_BYTES = len(SIGNATURE) + max(form.size for form in FORMS)

# Bytes that a reader may take for the end of an entry: a descriptor, or the next header of either kind.
MARK = re.compile(rb"PK(?:\x07\x08|\x03\x04|\x01\x02)")
SIZE_BYTES = 4
SIZE_MAX = 2**32
# Possible offsets of the low half of a size from the beginning of the descriptor's fields.
SIZES_BEHIND_END = (4, 8, 12)


def agrees(descriptor: bytes, crc: int, size_bytes: int) -> bool:
    """Tell whether a descriptor has its signature, which streaming readers look for, and this checksum and size."""
    stated = descriptor.removeprefix(SIGNATURE)
    is_signed = len(stated) != len(descriptor)
    expected = (crc, size_bytes, size_bytes)
    return is_signed and any(len(stated) == form.size and form.unpack(stated) == expected for form in FORMS)


class DescriptorCheck:
    """A check of an entry with a descriptor: its content must not look like an earlier descriptor.

    A streaming reader would end the entry there and read other entries from the rest. A false descriptor is recognized
    by its size, which must equal the number of bytes before it. So a package may hold a ZIP, whose sizes count from
    another position. The checksum is ignored, because some readers ignore it, too.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tail = b""
        self._tail_offset = 0

    def check_next(self, data: bytes) -> None:
        """Check the next bytes. Raise BadPackage if a reader could end the entry in them."""
        window = self._tail + data
        for mark in MARK.finditer(window):
            if any(self._is_end(window, *end) for end in _ends(mark)):
                raise BadPackage(
                    f"the ZIP entry {quote(self._name)} holds something like its own data descriptor at byte "
                    f"{self._tail_offset + mark.start()}, where some readers would end it: "
                    "write the file with true sizes in its headers"
                )
        # A mark near the end of the window is checked again together with the bytes that follow.
        dropped = max(len(window) - 2 * MAX_BYTES, 0)
        self._tail = window[dropped:]
        self._tail_offset += dropped

    def _is_end(self, window: bytes, content_end: int, stated_at: int) -> bool:
        """Tell whether a size in the fields at `stated_at` equals the length of the content up to `content_end`."""
        expected = ((self._tail_offset + content_end) % SIZE_MAX).to_bytes(SIZE_BYTES, "little")
        return stated_at >= 0 and any(window.startswith(expected, stated_at + behind) for behind in SIZES_BEHIND_END)


def _ends(mark: re.Match[bytes]) -> list[tuple[int, int]]:
    """Return possible ends of the content before this mark, each with the beginning of the descriptor's fields."""
    if mark[0] == SIGNATURE:
        return [(mark.start(), mark.end())]
    starts = [mark.start() - form.size for form in FORMS]
    return [(start, start) for start in starts]
