"""Mutations of a tar: each field of a header, extension headers, order, end."""

from collections.abc import Callable
from random import Random

from tests.archives import GNU_MAGIC, POSIX_MAGIC, gnu_long_name, pax_header, tar_member
from tests.fuzz.drafts import CHECKSUM, Block, Tar, blocks_of

FIELDS = {
    "name": slice(0, 100),
    "mode": slice(100, 108),
    "uid": slice(108, 116),
    "gid": slice(116, 124),
    "size": slice(124, 136),
    "mtime": slice(136, 148),
    "checksum": CHECKSUM,
    "type": slice(156, 157),
    "target": slice(157, 257),
    "magic": slice(257, 263),
    "version": slice(263, 265),
    "magic and version": slice(257, 265),
    "owner": slice(265, 297),
    "group": slice(297, 329),
    "device major": slice(329, 337),
    "device minor": slice(337, 345),
    "prefix": slice(345, 500),
    "end of the prefix": slice(476, 500),
    "padding": slice(500, 512),
}
NUMBERS = ("mode", "uid", "gid", "size", "mtime", "device major", "device minor", "checksum")
TYPES = b"0123456789\0ADEFGIKLMNPSVXZgx?"
TEXTS = (
    b"", b"a", b"x" * 155, b"../x", b"/x", b"./x", b"bin/f0", b"bin/", b"x//y", b"x/", b"info/index.json", b"\xff",
    b"\xc3\xa9",
    b"a\0b", b" ", b".", b"..", b"share/d", b"x\\y", b"l/x", b"h", b"INFO/x", b"conda-meta/x", b"a:b",
)  # fmt: skip
MAGICS = (
    POSIX_MAGIC, GNU_MAGIC, bytes(8), b"ustar\0\0\0", b"ustar\x0001", b"ustar 00", b"ustar\x00 \0", b"USTAR\x0000",
    b"ustarx00", b"ustar  0",
)  # fmt: skip
PAX_KEYS = (
    "path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime", "atime", "ctime", "comment", "hdrcharset",
    "charset",
    "mode", "devmajor", "SCHILY.devmajor", "SCHILY.xattr.user.x", "SCHILY.realsize", "SCHILY.filetype",
    "LIBARCHIVE.xattr.user.x",
    "LIBARCHIVE.symlinktype", "GNU.sparse.map", "GNU.sparse.name", "GNU.sparse.major", "GNU.sparse.size",
    "GNU.sparse.realsize",
    "RHT.security.selinux", "x", "", " path", "PATH", "path\n", "\u00e9",
)  # fmt: skip
PAX_VALUES = (
    b"", b"x", b"5", b"0", b"-1", b"+5", b" 5", b"5 ", b"1_0", b"5.5", b"1e9", b"1e400", b"nan", b"inf",
    b"99999999999999999999", b"9" * 30,
    b"\xff", b"a\nb", b"a=b", b"a\0b", b"bin/f0", b"x/", b"./x", b"x//y", b"../x", b"BINARY",
    b"ISO-IR 10646 2000 UTF-8", b"\xd9\xa5",
    b"1700000000.123456789", b"-62135596800", b"0x10", b"0o7", b"9223372036854775807", b"9223372036854775808",
)  # fmt: skip


def number(random: Random, size_bytes: int) -> bytes:
    """Return a number in a correct, a sloppy or an invalid form."""
    width = size_bytes - 1
    value = random.choice((0, 1, 5, 0o644, 0o755, 0o4755, 0o1644, 0o100644, 8 ** (width - 1), 8**width - 1))
    forms: list[Callable[[], bytes]] = [
        lambda: b"%0*o\0" % (width, value),
        lambda: b"%0*o " % (width, value),
        lambda: b"%0*o" % (size_bytes, value),
        lambda: b"%*o\0" % (width, value),
        lambda: b"%o\0" % value,
        lambda: b"%o\0" % value + b"x" * size_bytes,
        lambda: b"%o " % value + b"7" * size_bytes,
        lambda: b"\0%o" % value,
        lambda: b" \0%o" % value,
        lambda: b"",
        lambda: b" " * size_bytes,
        lambda: (
            random.choice((b"x", b"+", b"-", b"0x", b"0o", b"\t", b"1_", b"8", b"\xff", b"\x0b", b"\n"))
            + b"%o\0" % value
        ),
        lambda: b"%o" % value + random.choice((b"x", b"_7", b"\t", b".", b"\n", b"8")),
        lambda: b"\x80" + value.to_bytes(width, "big"),
        lambda: b"\xff" + random.randbytes(width),
        lambda: bytes([random.randrange(128, 256)]) + random.randbytes(width),
        lambda: b"\x80" + random.randbytes(width),
        lambda: random.randbytes(size_bytes),
    ]
    return random.choice(forms)()


def set_field(random: Random, tar: Tar) -> str:
    """Set one field of one header to another value."""
    block = random.choice(tar.blocks)
    name = random.choice(list(FIELDS))
    place = FIELDS[name]
    size_bytes = place.stop - place.start
    if name in NUMBERS:
        value = number(random, size_bytes)
    elif name == "type":
        value = bytes([random.choice(TYPES)])
    elif name.startswith("magic"):
        value = random.choice(MAGICS)
    elif name in ("padding", "version", "end of the prefix"):
        value = random.choice((random.randbytes(size_bytes), b"00", b" \0", bytes(size_bytes), b"x" * size_bytes))
    else:
        value = random.choice(TEXTS)
    block.header[place] = value[:size_bytes].ljust(size_bytes, b"\0")
    if name == "checksum":
        block.is_summed = False
        if random.random() < 0.7:
            _sum_as(block, random)
    return f"{name} of {bytes(block.header[:20])!r} = {value!r}"


def _sum_as(block: Block, random: Random) -> None:
    """Write a correct checksum, unsigned or signed, in another form."""
    rest = bytes(block.header[: CHECKSUM.start]) + b" " * 8 + bytes(block.header[CHECKSUM.stop :])
    total = random.choice((sum(rest), sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest)))
    forms = (
        b"%06o\0 ",
        b"%07o\0",
        b"%08o",
        b"%6o\0 ",
        b"%o",
        b" %06o\0",
        b"%06o  ",
        b"%o\0junk",
        b"0o%o",
        b"+%o",
        b"\0%o",
    )
    block.header[CHECKSUM] = (random.choice(forms) % total)[:8].ljust(8, b"\0")


def set_bytes(random: Random, tar: Tar) -> str:
    """Change some bytes of a header, and update its checksum."""
    block = random.choice(tar.blocks)
    places = [random.randrange(512) for _ in range(random.randrange(1, 4))]
    for place in places:
        block.header[place] = random.choice((random.randrange(256), 0, 32, 48, 255))
    return f"bytes {places} of {bytes(block.header[:20])!r}"


def insert_pax(random: Random, tar: Tar) -> str:
    """Insert a pax header with some records, sometimes a global one."""
    records = {random.choice(PAX_KEYS): random.choice(PAX_VALUES) for _ in range(random.randrange(4))}
    kind = random.choice((b"x", b"x", b"x", b"g", b"X"))
    block = blocks_of(pax_header(records, kind))[0]
    block.header[257:265] = random.choice((POSIX_MAGIC, POSIX_MAGIC, POSIX_MAGIC, GNU_MAGIC, bytes(8)))
    if random.random() < 0.2:
        block.content = _odd_records(random, block.content)
        block.header[124:136] = b"%011o\0" % len(block.content)
    tar.blocks.insert(random.randrange(len(tar.blocks) + 1), block)
    return f"pax {kind!r} {records}"


def _odd_records(random: Random, content: bytes) -> bytes:
    return random.choice(
        (content[:-1], content + b"\0", content + b"\n", b"0" + content, b" " + content, content + b"6 =ab\n",
         b"6 =ab\n" + content,
         content + content, b"5 a=\n" + content, b"3 \n" + content, content.replace(b" ", b"\t", 1),
         b"0 a=b\n" + content)
    )  # fmt: skip


def insert_long(random: Random, tar: Tar) -> str:
    """Insert a GNU header with a long name or target."""
    name = random.choice((*TEXTS, b"n" * 150, b"d/" * 60 + b"x"))
    kind = random.choice((b"L", b"K"))
    block = blocks_of(gnu_long_name(name, kind))[0]
    block.header[257:265] = random.choice((POSIX_MAGIC, GNU_MAGIC, GNU_MAGIC, bytes(8)))
    if random.random() < 0.3:
        block.content = random.choice((name, name + b"\0\0", name + b"\0junk", b""))
        block.header[124:136] = b"%011o\0" % len(block.content)
    tar.blocks.insert(random.randrange(len(tar.blocks) + 1), block)
    return f"long {kind!r} {name!r}"


def insert_member(random: Random, tar: Tar) -> str:
    """Insert one more member, mostly an unusual one."""
    kind = (
        bytes([random.choice(TYPES)]) if random.random() < 0.4 else random.choice((b"0", b"1", b"2", b"5", b"7", b"\0"))
    )
    name, target = random.choice(TEXTS), random.choice(TEXTS)
    content = random.choice((b"", b"", b"x", b"x" * 513))
    magic = random.choice(MAGICS)
    mode = random.choice((0o644, 0o755, 0o711, 0o100, 0o4755, 0))
    block = tar_member(name, content, kind=kind, target=target, mode=mode, magic=magic)
    tar.blocks.insert(random.randrange(len(tar.blocks) + 1), blocks_of(block)[0])
    return f"member {kind!r} {name!r} -> {target!r} {mode:o} {magic!r}"


def set_type(random: Random, tar: Tar) -> str:
    """Change the kind of a member, and its mode."""
    block = random.choice(tar.blocks)
    block.header[156:157] = random.choice((b"0", b"1", b"2", b"5", b"7", b"\0"))
    block.header[100:108] = b"%07o\0" % random.choice((0o644, 0o755, 0o100, 0o611, 0))
    if random.random() < 0.5:
        block.header[157:257] = random.choice(TEXTS)[:100].ljust(100, b"\0")
    return f"type of {bytes(block.header[:20])!r}"


def reorder(random: Random, tar: Tar) -> str:
    """Drop, move or duplicate a block of the tar."""
    place = random.randrange(len(tar.blocks))
    block = tar.blocks[place]
    what = random.choice(("drop", "move", "double"))
    if what != "double":
        del tar.blocks[place]
    if what != "drop":
        copy = Block(bytearray(block.header), block.content)
        tar.blocks.insert(random.randrange(len(tar.blocks) + 1), copy)
    tar.blocks = tar.blocks or [block]
    return f"{what} {place}"


def set_end(random: Random, tar: Tar) -> str:
    """Change the end of the tar."""
    zeros = bytes(512)
    tar.end = random.choice(
        (b"", zeros, zeros * 3, zeros * 20, zeros * 2 + b"x", zeros + b"x" * 512, zeros * 2 + bytes(100), bytes(1023),
         bytes(700),
         zeros * 2 + tar_member("late", b"x") + zeros * 2, zeros + tar_member("late", b"x") + zeros * 2,
         b"\0" * 511 + b"x")
    )  # fmt: skip
    return f"end of {len(tar.end)} bytes"


def set_content(random: Random, tar: Tar) -> str:
    """Make the content longer or shorter, in half of the cases without updating the size."""
    block = random.choice(tar.blocks)
    block.content = random.choice(
        (block.content + b"x", block.content[:-1], b"", bytes(512), block.content + bytes(512))
    )
    if random.random() < 0.5:
        block.header[124:136] = b"%011o\0" % len(block.content)
    return f"content of {bytes(block.header[:20])!r} of {len(block.content)} bytes"


MUTATIONS = (
    set_field, set_field, set_field, set_field, set_bytes, insert_pax, insert_pax, insert_long, insert_member,
    set_type, reorder, set_end, set_content
)  # fmt: skip
