"""Comparison of files with the sizes and SHA-256 that info/paths.json states.

The list and the files may come in either order. Half a million files must fit into memory, so each is packed: 8 bytes
of size, then 32 bytes of SHA-256 if it is known.
"""

from publishing.archive.listing import ListedPath, PathType
from publishing.archive.tar import Member, MemberKind, TarReader
from publishing.wording import quote

SIZE_BYTES = 8
UNKNOWN_SIZE = b"\xff" * SIZE_BYTES


class Contents:
    """Stated and found contents; `mismatch` describes the first difference, and is empty without one."""

    def __init__(self) -> None:
        self.mismatch = ""
        self._stated: dict[bytes, bytes] = {}
        self._found: dict[bytes, bytes] = {}

    def state(self, key: bytes, entry: ListedPath) -> None:
        """Record an entry of the list; `key` is its path."""
        if entry.path_type is not PathType.HARDLINK:
            return
        stated = _packed(entry.size_bytes, entry.sha256)
        if key in self._found:
            self._compare(key, stated, self._found[key])
        elif stated != UNKNOWN_SIZE:
            self._stated[key] = stated

    def end(self, key: bytes, member: Member, target: str, reader: TarReader) -> None:
        """Compare the member with its entry, and keep its size and hash for a later entry or hardlink."""
        if member.kind is MemberKind.FILE:
            # Read the content before packing the size: this fails on a stated size that the archive does not hold.
            digest = reader.digest()
            found = member.size_bytes.to_bytes(SIZE_BYTES, "big") + digest
        elif member.kind is MemberKind.HARDLINK:
            found = self._of(target.encode())
        else:
            return
        stated = self._stated.get(key, UNKNOWN_SIZE)
        if stated == found:
            return
        self._compare(key, stated, found)
        if len(stated) < len(found) or stated.startswith(UNKNOWN_SIZE):
            self._found[key] = found

    def are_same(self, key: bytes, other: bytes) -> bool:
        """Tell whether two paths are files of equal size and SHA-256."""
        fact = self._of(key)
        return len(fact) > SIZE_BYTES and fact == self._of(other)

    def _of(self, key: bytes) -> bytes:
        """Return size and hash of an earlier file: as found, or as stated if the file agreed."""
        return self._found.get(key) or self._stated.get(key, UNKNOWN_SIZE)

    def _compare(self, key: bytes, stated: bytes, found: bytes) -> None:
        if self.mismatch:
            return
        field = ""
        if stated[:SIZE_BYTES] not in (UNKNOWN_SIZE, found[:SIZE_BYTES]):
            field = "size_in_bytes"
        elif stated[SIZE_BYTES:] not in (b"", found[SIZE_BYTES:]):
            field = "sha256"
        if field:
            path = quote(key.decode())
            self.mismatch = f"gives {path} another {field} than the archive's file has; build the package again"


def _packed(size_bytes: int | None, sha256: bytes) -> bytes:
    size = UNKNOWN_SIZE if size_bytes is None else size_bytes.to_bytes(SIZE_BYTES, "big")
    return size + sha256
