"""Mutations of the ZIP, and of the compression of the tars."""

import bz2
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from random import Random

import zstandard

from tests.differential.shapes import raw_zstd
from tests.differential.zip_variants import descriptor
from tests.fuzz.drafts import Draft
from tests.zips import ZipEntry

EXTRA_KINDS = (
    0x0001,
    0x0001,
    0x0001,
    0x000A,
    0x0017,
    0x5455,
    0x5455,
    0x5855,
    0x6375,
    0x7075,
    0x7875,
    0x9901,
    0xA11E,
    0xCAFE,
    0xD935,
    0x9999,
)
VERSIONS = (0, 10, 20, 45, 46, 51, 63, 99, 255, 0x0314, 0x0A14, 0xFFFF)


def extra(random: Random, entry: ZipEntry) -> bytes:
    """Return an extra field of a kind that some reader knows, mostly with a length that it expects."""
    kind = random.choice(EXTRA_KINDS)
    size = len(entry.content)
    name = entry.name.encode()
    contents: dict[int, list[bytes]] = {
        0x0001: [
            struct.pack(f"<{count}Q", *(random.choice((0, size, size + 1, 5, 2**32, 2**64 - 1)) for _ in range(count)))
            for count in (1, 2, 3, 4)
        ],
        0x000A: [bytes(32), struct.pack("<L2H3Q", 0, 1, 24, 1, 2, 3), bytes(31)],
        0x5455: [b"\1" + bytes(4), b"\7" + bytes(12), b"\3" + bytes(4), b"\0", b"", b"\1"],
        0x7075: [b"\1" + struct.pack("<L", zlib.crc32(name)) + random.choice((name, b"x.txt"))],
        0x6375: [b"\1" + struct.pack("<L", zlib.crc32(b"")) + b"comment"],
        0x9901: [struct.pack("<H2sBH", 2, b"AE", 3, 0), struct.pack("<H2sBH", 2, b"AE", 3, 8), b"x"],
    }
    content = random.choice([*contents.get(kind, []), random.randbytes(random.randrange(24))])
    length = len(content) if random.random() < 0.9 else random.randrange(40)
    return struct.pack("<2H", kind, length) + content


def one_entry(random: Random, draft: Draft) -> str:
    """Change one property of one entry."""
    place = random.randrange(3)
    name = random.choice(list(ENTRY_CHANGES))
    seed = random.random()

    def change(entries: list[ZipEntry]) -> list[ZipEntry]:
        if place < len(entries):
            entries[place] = ENTRY_CHANGES[name](Random(seed), entries[place])
        return entries

    draft.entries.append(change)
    return f"{name} of entry {place}"


ENTRY_CHANGES: dict[str, Callable[[Random, ZipEntry], ZipEntry]] = {
    "flags": lambda random, entry: replace(entry, flags=1 << random.randrange(16)),
    "flags in the directory": lambda random, entry: replace(entry, local_flags=0, flags=1 << random.randrange(16)),
    "extra": lambda random, entry: replace(entry, extra=extra(random, entry)),
    "local extra": lambda random, entry: replace(entry, local_extra=extra(random, entry)),
    "two local extras": lambda random, entry: replace(entry, local_extra=extra(random, entry) + extra(random, entry)),
    "padded local extra": lambda random, entry: replace(entry, local_extra=extra(random,
    entry) + bytes(random.randrange(9))),
    "zip64": lambda random, entry: replace(entry, is_zip64=True, local_extra=extra(random,
    entry) if random.random() < 0.5 else b""),
    "method": lambda random, entry: replace(entry, method=random.choice((1, 8, 9, 12, 14, 93, 95, 99))),
    "needed": lambda random, entry: replace(entry, needed=random.choice(VERSIONS)),
    "local needed": lambda random, entry: replace(entry, local_needed=random.choice(VERSIONS)),
    "made by": lambda random, entry: replace(entry, made_by=random.choice(VERSIONS)),
    "external": lambda random, entry: replace(entry, external=random.choice((0x10, 0o40755 << 16, 0o120777 << 16,
    2**32 - 1))),
    "internal": lambda random, entry: replace(entry, internal=random.randrange(2**16)),
    "date": lambda random, entry: replace(entry, date=random.randrange(2**16)),
    "local date": lambda random, entry: replace(entry, local_date=random.randrange(2**16)),
    "checksum": lambda random, entry: replace(entry, crc=random.choice((0, 1, 2**32 - 1))),
    "local checksum": lambda random, entry: replace(entry, local_crc=random.choice((0, 1))),
    "size": lambda random, entry: replace(entry, size_bytes=random.choice((0, 5, len(entry.content) + 1, 2**32 - 1))),
    "comment": lambda _, entry: replace(entry, comment=b"x"),
    "gap": lambda _, entry: replace(entry, gap_before=b"gap"),
    "name": lambda random, entry: replace(entry, name=random.choice(("x", "./" + entry.name, entry.name + "/",
    entry.name.upper(), "\u00e9" + entry.name))),
    "local name": lambda _, entry: replace(entry, local_name="x" * len(entry.name)),
    "descriptor": lambda random, entry: replace(
        entry, flags=8, is_described=True, keeps_sizes=random.random() < 0.5,
        descriptor=descriptor(entry, signature=random.choice((b"PK\x07\x08", b"PK\x07\x08", b"")),
        size=random.choice("LLQ")),
    ),
    "padding behind": lambda random, entry: replace(entry, content=entry.content + random.choice((b"\0", bytes(600),
    raw_zstd(b""), b"PK\x03\x04"))),
    "cut": lambda random, entry: replace(entry, content=entry.content[: random.randrange(len(entry.content) + 1)]),
}  # fmt: skip


def order(random: Random, draft: Draft) -> str:
    """Reorder, duplicate, drop or add entries."""
    places = [random.randrange(3) for _ in range(3)] if random.random() < 0.3 else random.sample(range(3), 3)
    if random.random() < 0.2:
        places.append(random.randrange(3))
    draft.entries.append(lambda entries: [entries[place] for place in places if place < len(entries)])
    return f"order {places}"


def tail(random: Random, draft: Draft) -> str:
    """Add bytes before, between or after the parts, or change the end record."""
    key, values = random.choice(
        (("prefix", (b"x", bytes(4), b"PK\x03\x04")), ("before_directory", (b"x", b"PK\x07\x08")), ("after_directory",
         (b"x", b"PK\x05\x05\0\0")),
         ("comment", (b"x", b"PK\x05\x06" + bytes(18))), ("suffix", (b"\0", b"\n")), ("count", (0, 2, 4, 65535)),
          ("is_zip64", (True,)))
    )  # fmt: skip
    draft.zip[key] = random.choice(values)
    return f"{key} {draft.zip[key]!r}"


def zstd(random: Random, draft: Draft) -> str:
    """Compress one of the two archives in another way."""
    name = random.choice(list(COMPRESSIONS))
    seed = random.random()

    def compress(content: bytes) -> bytes:
        return COMPRESSIONS[name](Random(seed), content)

    if random.random() < 0.5:
        draft.pkg.compress = compress
    else:
        draft.info_changes.append(lambda tar: setattr(tar, "compress", compress))
    return f"zstd {name}"


def frame(content: bytes, descriptor: int, head: bytes, end: bytes = b"") -> bytes:
    """Return a zstd frame of raw blocks with another header."""
    return raw_zstd(content)[:4] + bytes([descriptor]) + head + raw_zstd(content)[6:] + end


def _split(random: Random, content: bytes) -> tuple[bytes, bytes]:
    place = random.randrange(len(content) + 1)
    return content[:place], content[place:]


def _flipped(random: Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(random.randrange(1, 3)):
        place = random.randrange(min(len(data), 40)) if random.random() < 0.5 else random.randrange(len(data))
        data[place] ^= 1 << random.randrange(8)
    return bytes(data)


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
COMPRESSIONS: dict[str, Callable[[Random, bytes], bytes]] = {
    "two frames": lambda random, content: b"".join(map(raw_zstd, _split(random, content))),
    "skippable between": lambda random, content: SKIPPABLE.join(map(zstandard.compress, _split(random, content))),
    "skippable in front": lambda _, content: SKIPPABLE + raw_zstd(content),
    "skippable cut behind": lambda random, content: raw_zstd(content) + SKIPPABLE[: random.randrange(12)],
    "size stated": lambda random, content: frame(content, 0x80, b"\x50" + struct.pack("<L",
    len(content) + random.choice((0, 0, 1)))),
    "single segment": lambda random, content: frame(content, 0xA0, struct.pack("<L", len(content) + random.choice((0,
    0, 1)))),
    "checksum": lambda random,
    content: zstandard.ZstdCompressor(write_checksum=True).compress(content)[: None if random.random() < 0.5 else -1],
    "wrong checksum": lambda _, content: frame(content, 0x04, b"\x50", b"abcd"),
    "dictionary": lambda random, content: frame(content, 0x01, b"\x50" + bytes([random.randrange(2)])),
    "window": lambda random, content: frame(content, 0x00, bytes([random.randrange(256)])),
    "reserved bit": lambda _, content: frame(content, 0x08, b"\x50"),
    "unused bit": lambda _, content: frame(content, 0x10, b"\x50"),
    "flipped": lambda random, content: _flipped(random, raw_zstd(content)),
    "flipped after compression": lambda random, content: _flipped(random, zstandard.compress(content)),
    "empty frames": lambda random,
    content: raw_zstd(b"") * random.randrange(3) + raw_zstd(content) + raw_zstd(b"") * random.randrange(3),
    "behind": lambda random, content: raw_zstd(content) + random.choice((b"\0", b"\x28", b"\x28\xb5\x2f\xfd",
    bytes(512), b"x" * 20)),
    "old magic": lambda _, content: b"\x27" + raw_zstd(content)[1:],
    "bz2": lambda _, content: bz2.compress(content),
    "no bytes": lambda _, __: b"",
}  # fmt: skip


def bz2_stream(random: Random, draft: Draft) -> str:
    """Compress a `.tar.bz2` file in another way."""
    name = random.choice(list(STREAMS))
    seed = random.random()
    draft.pkg.compress = lambda content: STREAMS[name](Random(seed), content)
    return f"bz2 {name}"


STREAMS: dict[str, Callable[[Random, bytes], bytes]] = {
    "level": lambda random, content: bz2.compress(content, random.randrange(1, 10)),
    "two streams": lambda random, content: b"".join(map(bz2.compress, _split(random, content))),
    "flipped": lambda random, content: _flipped(random, bz2.compress(content)),
    "flipped at the end": lambda random, content: bz2.compress(content)[:-10] + _flipped(random,
    bz2.compress(content)[-10:]),
    "behind": lambda random, content: bz2.compress(content) + random.choice((b"\0", b"B", b"BZh9", bytes(512),
    bz2.compress(b""))),
    "cut": lambda random, content: bz2.compress(content)[: -random.randrange(1, 12)],
    "empty in front": lambda _, content: bz2.compress(b"") + bz2.compress(content),
    "another level stated": lambda random, content: b"BZh%d" % random.randrange(10) + bz2.compress(content)[4:],
}  # fmt: skip

MUTATIONS = (one_entry, one_entry, one_entry, order, tail, zstd, zstd)
