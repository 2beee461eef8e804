"""The members of a tar, one after another, read so strictly that every tar reader must see the same ones.

The standard library's tarfile keeps every member it saw in memory, reads pax headers of any size, and forgives much
that other readers take otherwise. What conda's build tools write is plain: ustar, GNU long names, or pax paths.
POSIX pax: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from publishing.archive.compression import Part
from publishing.archive.rules import KIB, BadPackage, shown

BLOCK_BYTES = 512
ZERO_BLOCK = bytes(BLOCK_BYTES)

NAME = slice(0, 100)
MODE = slice(100, 108)
# Owner, group and time of change: none of them matters, but a client that can't read one ends there.
NUMBERS = (slice(108, 116), slice(116, 124), slice(136, 148))
SIZE = slice(124, 136)
CHECKSUM = slice(148, 156)
TYPE = slice(156, 157)
TARGET = slice(157, 257)
MAGIC = slice(257, 265)
PREFIX = slice(345, 500)

POSIX_MAGIC = b"ustar\x0000"
BASE_256_FLAG = 0x80
NEGATIVE_BASE_256_FLAG = 0xFF
OCTAL = re.compile(rb" *([0-7]*)[ \x00]*\Z")
# As most tools write these fields, with the mode of no setuid, setgid or sticky file: looked at no further.
PLAIN_NUMBERS = re.compile(rb"[0-7]{3}0[0-7]{3}\x00(?:[0-7]{7}\x00){2}(?:[0-7]{11}\x00){2}")
SPECIAL_MODES = 0o7000

PAX_HEADER = b"x"
PAX_GLOBAL_HEADER = b"g"
GNU_LONG_NAME = b"L"
GNU_LONG_TARGET = b"K"
EXTENSIONS = (PAX_HEADER, PAX_GLOBAL_HEADER, GNU_LONG_NAME, GNU_LONG_TARGET)
# A long name needs 1 KiB; build tools add times and owners.
EXTENSION_MAX_BYTES = 64 * KIB
# What a pax header may change about a member; a size below 8 GiB needs none.
PAX_NAME = "path"
PAX_TARGET = "linkpath"
PAX_SIZE = "size"
PAX_MEANINGFUL = (PAX_NAME, PAX_TARGET, PAX_SIZE)
PAX_SPARSE_PREFIX = "GNU.sparse."
PAX_RECORD_LENGTH = re.compile(rb"([1-9][0-9]{0,5}) ")


class Kind(Enum):
    """What a member is, in the words of a sentence."""

    FILE = "a file"
    DIRECTORY = "a directory"
    SYMLINK = "a symlink"
    HARDLINK = "a hardlink"


# POSIX wants a contiguous file (7) read as a file.
KINDS = {
    b"0": Kind.FILE,
    b"\x00": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"5": Kind.DIRECTORY,
}
OLD_FILE = b"\x00"
REFUSED_KINDS = {
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the tar states it: its names not yet checked."""

    raw_name: bytes
    kind: Kind
    size_bytes: int
    raw_target: bytes


class TarReader:
    """Iterates over members; between two steps `read` gives the content of the current one."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._content_left = 0

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next_member()) is not None:
            self._content_left = member.size_bytes
            yield member
            self.part.skip(self._content_left + -member.size_bytes % BLOCK_BYTES)
        self._check_end()

    def read(self, size_bytes: int) -> bytes:
        """At least one byte of the current member and at most `size_bytes`; nothing at its end."""
        if not self._content_left:
            return b""
        data = self.part.read(min(size_bytes, self._content_left))
        if not data:
            raise BadPackage(f"{self.part.budget.name} ends too early: within the content of a member")
        self._content_left -= len(data)
        return data

    def _next_member(self) -> Member | None:
        """The next member with what extension headers before it say, or None at the first zero block."""
        extended: dict[str, bytes] = {}
        while True:
            self.part.budget.check_time()
            block = self.part.take(BLOCK_BYTES)
            if block == ZERO_BLOCK:
                if extended:
                    raise BadPackage(f"{self.part.budget.name} ends after an extension header, without its member")
                return None
            _check_checksum(block, self.part.budget.name)
            if block[TYPE] not in EXTENSIONS:
                return _member(block, extended)
            self._read_extension(block, extended)

    def _read_extension(self, block: bytes, extended: dict[str, bytes]) -> None:
        """Adds to `extended` what the extension header says about the next member."""
        kind = block[TYPE]
        size_bytes = _number(block[SIZE])
        if size_bytes > EXTENSION_MAX_BYTES:
            raise BadPackage(
                f"{self.part.budget.name} has an extension header of {size_bytes} bytes; expected a short one"
            )
        content = self.part.take(size_bytes + -size_bytes % BLOCK_BYTES)[:size_bytes]
        if kind in (GNU_LONG_NAME, GNU_LONG_TARGET):
            said = {PAX_NAME if kind == GNU_LONG_NAME else PAX_TARGET: content.removesuffix(b"\x00")}
        else:
            said = _pax_records(content)
        if kind == PAX_GLOBAL_HEADER and said:
            raise BadPackage(
                f"{self.part.budget.name} has a global pax header with a {next(iter(said))}, which readers differ on"
            )
        if extended.keys() & said.keys():
            raise BadPackage(
                f"{self.part.budget.name} has two extension headers that say different things about one member"
            )
        extended.update(said)

    def _check_end(self) -> None:
        """One zero block was read: a second one must follow, and then nothing but zeros."""
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
            f"the member {shown(raw_name)} is {found}; expected files, directories, symlinks and hardlinks"
        )
    if block[TYPE] == OLD_FILE and raw_name.endswith(b"/") and PAX_NAME not in extended:
        # The tar of Unix V7 had no type for a directory.
        kind = Kind.DIRECTORY
    _check_numbers(block, raw_name, kind)
    size_bytes = _decimal(extended[PAX_SIZE]) if PAX_SIZE in extended else _number(block[SIZE])
    if size_bytes and kind is not Kind.FILE:
        raise BadPackage(f"the member {shown(raw_name)} is {kind.value} with content, which readers differ on")
    return Member(raw_name, kind, size_bytes, extended.get(PAX_TARGET, _text(block[TARGET])))


def _check_numbers(block: bytes, raw_name: bytes, kind: Kind) -> None:
    """Refuse what makes one client leave out the member, and modes that one client keeps and another drops."""
    if PLAIN_NUMBERS.match(block, MODE.start):
        return
    if not block[SIZE].strip(b" \x00") or not block[MODE].strip(b" \x00"):
        raise BadPackage(f"the member {shown(raw_name)} has no mode or no size; expected octal numbers")
    for field in NUMBERS:
        if block[field][0] != NEGATIVE_BASE_256_FLAG:
            _number(block[field])
    special = _number(block[MODE]) & SPECIAL_MODES
    if special and kind is Kind.FILE:
        raise BadPackage(
            f"the member {shown(raw_name)} is a setuid, setgid or sticky file ({special:04o}): conda keeps that, "
            "rattler drops it; build it without"
        )


def _header_name(block: bytes) -> bytes:
    """The name in the header itself; only POSIX headers have a prefix, and some readers look for it in all."""
    name, prefix = _text(block[NAME]), _text(block[PREFIX])
    if not prefix:
        return name
    if block[MAGIC] != POSIX_MAGIC:
        raise BadPackage(f"the member {shown(name)} has a name prefix outside a POSIX header, which readers differ on")
    return prefix + b"/" + name


def _pax_records(content: bytes) -> dict[str, bytes]:
    """The records of a pax header that change a member: `length key=value newline`, the length counting itself."""
    meaningful: dict[str, bytes] = {}
    while content:
        length = PAX_RECORD_LENGTH.match(content)
        record = content[: int(length[1])] if length else b""
        if length is None or len(record) != int(length[1]) or not record.endswith(b"\n") or b"=" not in record:
            raise BadPackage("the archive has a malformed pax header")
        raw_key, value = record[length.end() : -1].split(b"=", 1)
        key = raw_key.decode("utf-8", "replace")
        if key.startswith(PAX_SPARSE_PREFIX):
            raise BadPackage("the archive has a sparse file; expected files, directories, symlinks and hardlinks")
        if key in meaningful:
            raise BadPackage(f"the archive has a pax header with two values for {key}")
        if key in PAX_MEANINGFUL:
            meaningful[key] = value
        content = content[len(record) :]
    return meaningful


def _check_checksum(block: bytes, part_name: str) -> None:
    """The header's own sum, its field counted as eight spaces."""
    if _number(block[CHECKSUM]) != sum(block) - sum(block[CHECKSUM]) + 8 * ord(" "):
        raise BadPackage(f"{part_name} has a damaged member header: its checksum is wrong; upload it again")


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or big-endian binary where it is too large for them (GNU)."""
    if field[0] == BASE_256_FLAG:
        return int.from_bytes(field[1:], "big")
    octal = OCTAL.match(field)
    if octal is None:
        raise BadPackage(f"the archive has a member header with {shown(field)} where a number should be")
    return int(octal[1] or b"0", 8)


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 19:
        raise BadPackage(f"the archive has a pax header with the size {shown(value)}")
    return int(value)


def _text(field: bytes) -> bytes:
    return field.split(b"\x00", 1)[0]
