"""A ZIP entry's data descriptor: checksum and sizes behind the content, by which streaming readers find its end."""

import re
import struct

from publishing.archive.errors import BadPackage
from publishing.wording import quote

FLAG = 0x0008
SIGNATURE = b"PK\x07\x08"
# After the signature: a checksum and the two sizes, of 32 or of 64 bits.
FORMS = (struct.Struct("<3L"), struct.Struct("<L2Q"))
MAX_BYTES = len(SIGNATURE) + max(form.size for form in FORMS)

# What a reader may take for the end of an entry: the descriptor itself, or the next header of either kind.
MARK = re.compile(rb"PK(?:\x07\x08|\x03\x04|\x01\x02)")
SIZE_BYTES = 4
SIZE_MAX = 2**32
# Where a size of either form has its lower half, behind the end of the content and the checksum.
SIZES_BEHIND_END = (4, 8, 12)


def agrees(descriptor: bytes, crc: int, size_bytes: int) -> bool:
    """Tell whether it states this checksum and size, with the signature that streaming readers look for."""
    stated = descriptor.removeprefix(SIGNATURE)
    is_signed = len(stated) != len(descriptor)
    expected = (crc, size_bytes, size_bytes)
    return is_signed and any(len(stated) == form.size and form.unpack(stated) == expected for form in FORMS)


class Watch:
    """The content of an entry with a descriptor, as it passes: none of it may look like an earlier descriptor.

    A streaming reader would end the entry there and read its own entries from the rest. The sizes tell: those of a ZIP
    within the package count from elsewhere. The checksum is not compared, since some readers do not either.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._kept = b""
        self._kept_offset = 0

    def pass_by(self, data: bytes) -> None:
        """Take in the next bytes. Raises BadPackage."""
        window = self._kept + data
        for mark in MARK.finditer(window):
            if any(self._is_end(window, *end) for end in _ends(mark)):
                raise BadPackage(
                    f"the ZIP entry {quote(self._name)} holds something like its own data descriptor at byte "
                    f"{self._kept_offset + mark.start()}, where some readers would end it: "
                    "write the file with true sizes in its headers"
                )
        # A mark at the window's end is looked at once more, with what follows it.
        dropped = max(len(window) - 2 * MAX_BYTES, 0)
        self._kept = window[dropped:]
        self._kept_offset += dropped

    def _is_end(self, window: bytes, content_end: int, stated_at: int) -> bool:
        """Tell whether the checksum and sizes at `stated_at` of the window fit what precedes `content_end`."""
        expected = ((self._kept_offset + content_end) % SIZE_MAX).to_bytes(SIZE_BYTES, "little")
        return stated_at >= 0 and any(window.startswith(expected, stated_at + behind) for behind in SIZES_BEHIND_END)


def _ends(mark: re.Match[bytes]) -> list[tuple[int, int]]:
    """Return the end of the content before this mark, and the beginning of the descriptor's fields."""
    if mark[0] == SIGNATURE:
        return [(mark.start(), mark.end())]
    starts = [mark.start() - form.size for form in FORMS]
    return [(start, start) for start in starts]
