"""The members of a tar, read so strictly that every tar reader sees the same ones.

The standard library's tarfile keeps every member in memory, reads pax headers of any size, and accepts much that other
readers understand differently. conda's build tools write plain tars: ustar, GNU long names, or pax paths.

POSIX pax: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from hub.sizes import KIB
from publishing.archive import tar_fields
from publishing.archive.compression import Part
from publishing.archive.errors import BadPackage
from publishing.archive.tar_fields import (
    GNU_MAGIC,
    MAGIC,
    MODE,
    PAX_NAME,
    PAX_SIZE,
    PAX_TARGET,
    POSIX_MAGIC,
    SIZE,
    TYPE,
)
from publishing.wording import quote

BLOCK_BYTES = 512
ZERO_BLOCK = bytes(BLOCK_BYTES)

PERMISSIONS = 0o777
SPECIAL_MODES = 0o7000
EXECUTABLE = 0o111

PAX_HEADER = b"x"
PAX_GLOBAL_HEADER = b"g"
GNU_LONG_NAME = b"L"
GNU_LONG_TARGET = b"K"
# Kinds of extension headers, each with the header formats in which every reader supports it.
EXTENSIONS = {
    PAX_HEADER: (POSIX_MAGIC,),
    PAX_GLOBAL_HEADER: (POSIX_MAGIC,),
    GNU_LONG_NAME: (GNU_MAGIC, POSIX_MAGIC),
    GNU_LONG_TARGET: (GNU_MAGIC, POSIX_MAGIC),
}
# A long name needs 1 KiB. Build tools add times and owners.
EXTENSION_MAX_BYTES = 64 * KIB


class MemberKind(Enum):
    """The kind of a member. The values are words for messages."""

    FILE = "a file"
    DIRECTORY = "a directory"
    SYMLINK = "a symlink"
    HARDLINK = "a hardlink"


# POSIX requires that a contiguous file (7) is read as a file.
KINDS = {
    b"0": MemberKind.FILE,
    b"\x00": MemberKind.FILE,
    b"7": MemberKind.FILE,
    b"1": MemberKind.HARDLINK,
    b"2": MemberKind.SYMLINK,
    b"5": MemberKind.DIRECTORY,
}
OLD_FILE = b"\x00"
CONTIGUOUS_FILE = b"7"
# The owner's permissions that a client needs unless it is root: to read files, and to fill and empty folders.
OWNER_NEEDS = {MemberKind.FILE: 0o400, MemberKind.HARDLINK: 0o400, MemberKind.DIRECTORY: 0o700, MemberKind.SYMLINK: 0}
# The bits of `stat` above the twelve bits of a mode, which some tools write, too.
FILE_MODE_KINDS = {
    MemberKind.FILE: 0o100000,
    MemberKind.HARDLINK: 0o100000,
    MemberKind.DIRECTORY: 0o040000,
    MemberKind.SYMLINK: 0o120000,
}
REFUSED_KINDS = {
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the tar states it; its names are not checked yet."""

    raw_name: bytes
    kind: MemberKind
    size_bytes: int
    raw_target: bytes
    mode: int


class TarReader:
    """An iterator over members. Between two steps, `read` returns the content of the current one."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._content_left = 0
        self._hash: hashlib._Hash | None = None

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next_member()) is not None:
            self._content_left = member.size_bytes
            self._hash = None
            yield member
            self.part.skip(self._content_left + -member.size_bytes % BLOCK_BYTES)
        self._check_end()

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes` of the current member; empty at its end only."""
        if not self._content_left:
            return b""
        data = self.part.read(min(size_bytes, self._content_left))
        if not data:
            raise BadPackage(f"{self.part.budget.name} ends too early: within the content of a member")
        self._content_left -= len(data)
        self._hash = self._hash or hashlib.sha256()
        self._hash.update(data)
        return data

    def digest(self) -> bytes:
        """Return the SHA-256 of the current member, after reading it to its end."""
        left_bytes, self._content_left = self._content_left, 0
        if self._hash is None and (content := self.part.at_once(left_bytes)) is not None:
            return hashlib.sha256(content).digest()
        self._hash = self._hash or hashlib.sha256()
        self.part.feed(left_bytes, self._hash.update)
        return self._hash.digest()

    def _next_member(self) -> Member | None:
        """Return the next member with the fields of its extension headers, or None at the first zero block."""
        extended: dict[str, bytes] = {}
        seen: set[bytes] = set()
        while True:
            self.part.budget.check_time()
            block = self.part.take(BLOCK_BYTES)
            if block == ZERO_BLOCK:
                if seen:
                    raise BadPackage(f"{self.part.budget.name} ends after an extension header, without its member")
                return None
            tar_fields.check_checksum(block, self.part.budget.name)
            if block[TYPE] not in EXTENSIONS:
                return _member(block, extended)
            self._read_extension(block, extended, seen)

    def _read_extension(self, block: bytes, extended: dict[str, bytes], seen: set[bytes]) -> None:
        """Add the fields of an extension header to `extended`, and its kind to `seen`."""
        kind, name = block[TYPE], self.part.budget.name
        tar_fields.check(block)
        if block[MAGIC] not in EXTENSIONS[kind]:
            raise BadPackage(f"{name} has an extension header of the kind {quote(kind)} in a format that has none")
        if kind in seen - {PAX_GLOBAL_HEADER} or (kind == PAX_GLOBAL_HEADER and seen - {kind}):
            raise BadPackage(f"{name} has two extension headers that say different things about one member")
        seen.add(kind)
        size_bytes = tar_fields.number(block[SIZE])
        if size_bytes > EXTENSION_MAX_BYTES:
            raise BadPackage(f"{name} has an extension header of {size_bytes} bytes; expected a short one")
        content = self.part.take(size_bytes + -size_bytes % BLOCK_BYTES)[:size_bytes]
        if kind in (GNU_LONG_NAME, GNU_LONG_TARGET):
            fields = {PAX_NAME if kind == GNU_LONG_NAME else PAX_TARGET: content.removesuffix(b"\x00")}
        else:
            fields = tar_fields.pax_records(content)
        if kind == PAX_GLOBAL_HEADER and fields:
            raise BadPackage(f"{name} has a global pax header with a {next(iter(fields))}, which readers differ on")
        if extended.keys() & fields.keys():
            raise BadPackage(f"{name} has two extension headers that say different things about one member")
        extended.update(fields)

    def _check_end(self) -> None:
        """Check that a second zero block follows the first one, and then only zeros."""
        if self.part.take(BLOCK_BYTES) != ZERO_BLOCK:
            raise BadPackage(f"{self.part.budget.name} does not end with two zero blocks, as a tar must")
        while data := self.part.read(BLOCK_BYTES * KIB):
            if data.count(0) != len(data):
                raise BadPackage(f"{self.part.budget.name} has something other than zeros after its end")


def _member(block: bytes, extended: dict[str, bytes]) -> Member:
    kind = KINDS.get(block[TYPE])
    raw_name = extended.get(PAX_NAME, _header_name(block))
    if kind is None:
        found = REFUSED_KINDS.get(block[TYPE], f"of the unknown tar type {block[TYPE]!r}")
        raise BadPackage(
            f"the member {quote(raw_name)} is {found}; expected files, directories, symlinks and hardlinks"
        )
    if block[TYPE] == OLD_FILE and _header_name(block).endswith(b"/"):
        # The tar of Unix V7 has no type for directories. Readers differ if the header is of POSIX or has two names.
        if PAX_NAME in extended or block[MAGIC] == POSIX_MAGIC:
            raise BadPackage(
                f"the member {quote(raw_name)} is a file by its type and a directory by a slash at the end of its name"
            )
        kind = MemberKind.DIRECTORY
    is_plain = tar_fields.check(block)
    mode = int(block[MODE][:-1], 8) if is_plain else _mode(block, raw_name)
    _check_mode(mode, block, raw_name, kind)
    size_bytes = int(extended[PAX_SIZE]) if PAX_SIZE in extended else tar_fields.number(block[SIZE])
    if size_bytes and kind is not MemberKind.FILE:
        raise BadPackage(f"the member {quote(raw_name)} is {kind.value} with content, which readers differ on")
    raw_target = extended.get(PAX_TARGET, tar_fields.text(block[tar_fields.TARGET]))
    return Member(raw_name, kind, size_bytes, raw_target, mode & PERMISSIONS)


def _mode(block: bytes, raw_name: bytes) -> int:
    if not block[SIZE].strip(b" \x00") or not block[MODE].strip(b" \x00"):
        raise BadPackage(f"the member {quote(raw_name)} has no mode or no size; expected octal numbers")
    return tar_fields.octal(block[MODE])


def _check_mode(mode: int, block: bytes, raw_name: bytes, kind: MemberKind) -> None:
    """Refuse mode bits that clients treat differently, and modes with which a client fails."""
    if special := mode & SPECIAL_MODES if kind is not MemberKind.DIRECTORY else 0:
        raise BadPackage(
            f"the member {quote(raw_name)} is a setuid, setgid or sticky file ({special:04o}): conda keeps that, "
            "rattler drops it; build it without"
        )
    above = mode & ~(PERMISSIONS | SPECIAL_MODES)
    if above and above != FILE_MODE_KINDS[kind]:
        raise BadPackage(
            f"the member {quote(raw_name)} has the mode {mode:o}; expected the permissions of {kind.value}"
        )
    if missing := OWNER_NEEDS[kind] & ~mode:
        raise BadPackage(
            f"the member {quote(raw_name)} is {kind.value} of the mode {mode & PERMISSIONS:04o}, which its owner can't "
            f"read or fill: clients fail on it; add {missing:04o}"
        )
    if mode & EXECUTABLE and block[TYPE] == CONTIGUOUS_FILE:
        raise BadPackage(
            f"the member {quote(raw_name)} is an executable of the tar type '7', whose mode some readers drop; "
            "pack it as a plain file"
        )


def _header_name(block: bytes) -> bytes:
    """Return the name in the header itself. Only POSIX headers have a prefix, but some readers look for it in all."""
    name, prefix = tar_fields.text(block[tar_fields.NAME]), tar_fields.text(block[tar_fields.PREFIX])
    if not prefix:
        return name
    if block[MAGIC] != POSIX_MAGIC:
        raise BadPackage(f"the member {quote(name)} has a name prefix outside a POSIX header, which readers differ on")
    return prefix + b"/" + name
