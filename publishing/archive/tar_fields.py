"""The fields of tar headers and pax records, each read as strictly as the strictest client reads it.

Python's tarfile (conda) ignores everything after a number that it can't read. rattler has two readers: tar-rs unpacks
archives, tokio-tar reads single files. Only values that all three read alike are accepted, even in unused fields.
"""

import re

from publishing.archive.errors import BadPackage
from publishing.wording import quote

NAME = slice(0, 100)
MODE = slice(100, 108)
SIZE = slice(124, 136)
MTIME = slice(136, 148)
CHECKSUM = slice(148, 156)
TYPE = slice(156, 157)
TARGET = slice(157, 257)
MAGIC = slice(257, 265)
DEVICES = slice(329, 345)
PREFIX = slice(345, 500)
# Mode, owner and group. Clients ignore the last two.
SHORT_NUMBERS = (MODE, slice(108, 116), slice(116, 124))
DEVICE_NUMBERS = (slice(329, 337), slice(337, 345))

POSIX_MAGIC = b"ustar\x0000"
GNU_MAGIC = b"ustar  \x00"
# The last one is that of Unix V7, which has no magic.
MAGICS = (POSIX_MAGIC, GNU_MAGIC, bytes(8))

BASE_256_FLAG = 0x80
NEGATIVE_BASE_256_FLAG = 0xFF
OCTAL = re.compile(rb" *([0-7]*)[ \x00]*\Z")
# Mode, ids, size and time as most tools write them, without setuid, setgid and sticky: no further checks needed.
PLAIN_NUMBERS = re.compile(rb"[0-7]{3}0[0-7]{3}\x00(?:[0-7]{7}\x00){2}(?:[0-7]{11}\x00){2}")
PLAIN_DEVICES = (bytes(16), b"0000000\x000000000\x00")
TIME_MAX = 2**63

PAX_NAME = "path"
PAX_TARGET = "linkpath"
PAX_SIZE = "size"
# The keys of pax records that change a member. Only sizes from 8 GiB on need one.
PAX_MEANINGFUL = (PAX_NAME, PAX_TARGET, PAX_SIZE)
# Real headers have times, an owner, names and a few attributes. Thousands of records would take long to read, and
# compress to a few bytes.
PAX_RECORDS_MAX = 64
PAX_SPARSE_PREFIX = "GNU.sparse."
PAX_RECORD_LENGTH = re.compile(rb"([1-9][0-9]{0,5}) ")
WHOLE_NUMBER = re.compile(rb"[0-9]{1,19}\Z")
# The charsets of POSIX. conda fails on a path of an unknown charset.
PAX_CHARSETS = re.compile(rb"(?:BINARY|ISO-IR 10646 2000 UTF-8)\Z")
PAX_FORMS = {
    "hdrcharset": PAX_CHARSETS,
    **dict.fromkeys((PAX_SIZE, "uid", "gid"), WHOLE_NUMBER),
    **dict.fromkeys(("mtime", "atime", "ctime"), re.compile(rb"-?[0-9]{1,18}(?:\.[0-9]{0,18})?\Z")),
}


def check(block: bytes) -> bool:
    """Refuse a format, number or time in a header that some client can't read.

    Return True if the mode has seven octal digits and the other numbers are as plain.
    """
    if block[MAGIC] not in MAGICS:
        raise BadPackage(f"the archive has a member header of the unknown format {quote(block[MAGIC])}")
    if block[DEVICES] not in PLAIN_DEVICES:
        for field in DEVICE_NUMBERS:
            number(block[field])
    if PLAIN_NUMBERS.match(block, MODE.start):
        return True
    for field in SHORT_NUMBERS:
        _signed(block[field])
    if not -TIME_MAX <= _signed(block[MTIME]) < TIME_MAX:
        raise BadPackage(
            "the archive has a member header with a time that no system can hold; build it with a true one"
        )
    return False


def check_checksum(block: bytes, part_name: str) -> None:
    """Compare the checksum of the header. Its own field counts as eight spaces."""
    if octal(block[CHECKSUM]) != sum(block) - sum(block[CHECKSUM]) + 8 * ord(" "):
        raise BadPackage(f"{part_name} has a damaged member header: its checksum is wrong; upload it again")


def number(field: bytes) -> int:
    """Return a number of octal digits, or of big-endian binary for numbers that don't fit (GNU)."""
    return int.from_bytes(field[1:], "big") if field[0] == BASE_256_FLAG else octal(field)


def octal(field: bytes) -> int:
    """Return a number of octal digits. Modes and checksums have no other form."""
    found = OCTAL.match(field)
    if found is None:
        raise BadPackage(f"the archive has a member header with {quote(field)} where a number should be")
    return int(found[1] or b"0", 8)


def text(field: bytes) -> bytes:
    """Return the bytes before the first NUL."""
    return field.split(b"\x00", 1)[0]


def pax_records(content: bytes) -> dict[str, bytes]:
    """Return the records of a pax header that change a member.

    A record is `length key=value newline`; the length includes itself.
    """
    meaningful: dict[str, bytes] = {}
    count = 0
    while content:
        count += 1
        if count > PAX_RECORDS_MAX:
            raise BadPackage(f"the archive has a pax header of more than {PAX_RECORDS_MAX} records; expected a few")
        length = PAX_RECORD_LENGTH.match(content)
        record = content[: int(length[1])] if length else b""
        if length is None or len(record) != int(length[1]) or not record.endswith(b"\n") or b"=" not in record:
            raise BadPackage("the archive has a malformed pax header")
        raw_key, value = record[length.end() : -1].split(b"=", 1)
        key = raw_key.decode("utf-8", "replace")
        _check_pax_record(key, value)
        if key in meaningful:
            raise BadPackage(f"the archive has a pax header with two values for {key}")
        if key in PAX_MEANINGFUL:
            meaningful[key] = value
        content = content[len(record) :]
    return meaningful


def _check_pax_record(key: str, value: bytes) -> None:
    if key.startswith(PAX_SPARSE_PREFIX):
        raise BadPackage("the archive has a sparse file; expected files, directories, symlinks and hardlinks")
    if not key or (not value and key != PAX_NAME):
        raise BadPackage(f"the archive has a pax header with {quote(f'{key}=')}, without a key or a value")
    if key in PAX_FORMS and not PAX_FORMS[key].match(value):
        expected = "a charset of POSIX" if PAX_FORMS[key] is PAX_CHARSETS else "a number"
        raise BadPackage(f"the archive has a pax header with the {key} {quote(value)}; expected {expected}")


def _signed(field: bytes) -> int:
    """Return a number that may also be negative in binary."""
    if field[0] == NEGATIVE_BASE_256_FLAG:
        return int.from_bytes(field, "big", signed=True)
    return number(field)
