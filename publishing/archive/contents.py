"""Sizes and SHA-256 that info/paths.json states: compared as the members pass by, in either order.

Half a million files must fit into memory, so a fact is packed: 8 bytes of size, and 32 of SHA-256 where it is known.
"""

from publishing.archive.listing import ListedPath, PathType
from publishing.archive.tar import Member, MemberKind, TarReader
from publishing.wording import quote

SIZE_BYTES = 8
UNKNOWN_SIZE = b"\xff" * SIZE_BYTES


class Contents:
    """The stated and the held contents; `mismatch` is the first sentence about where they differ."""

    def __init__(self) -> None:
        self.mismatch = ""
        self._stated: dict[bytes, bytes] = {}
        self._found: dict[bytes, bytes] = {}

    def state(self, key: bytes, entry: ListedPath) -> None:
        """Take in an entry of the list, whose path is `key`."""
        if entry.path_type is not PathType.HARDLINK:
            return
        stated = _packed(entry.size_bytes, entry.sha256)
        if key in self._found:
            self._compare(key, stated, self._found[key])
        elif stated != UNKNOWN_SIZE:
            self._stated[key] = stated

    def end(self, key: bytes, member: Member, target: str, reader: TarReader) -> None:
        """Compare the member, or keep its fact: for a list that comes later, or for a hardlink that states more."""
        if member.kind is MemberKind.FILE:
            # Before the size is packed: what does not fit into it is not in the archive either.
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
        """Tell whether two paths are files of the same size and SHA-256."""
        fact = self._of(key)
        return len(fact) > SIZE_BYTES and fact == self._of(other)

    def _of(self, key: bytes) -> bytes:
        """The fact of a file that came before: as it was found, or as it was stated and then found to be true."""
        return self._found.get(key) or self._stated.get(key, UNKNOWN_SIZE)

    def _compare(self, key: bytes, stated: bytes, found: bytes) -> None:
        if self.mismatch:
            return
        what = ""
        if stated[:SIZE_BYTES] not in (UNKNOWN_SIZE, found[:SIZE_BYTES]):
            what = "size_in_bytes"
        elif stated[SIZE_BYTES:] not in (b"", found[SIZE_BYTES:]):
            what = "sha256"
        if what:
            path = quote(key.decode())
            self.mismatch = f"gives {path} another {what} than the archive's file has; build the package again"


def _packed(size_bytes: int | None, sha256: bytes) -> bytes:
    size = UNKNOWN_SIZE if size_bytes is None else size_bytes.to_bytes(SIZE_BYTES, "big")
    return size + sha256
