"""Variants of the compression and of the tars: headers, names, kinds of members, and their places."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Sequence
from typing import Any

import zstandard

from tests.archives import (
    GNU_MAGIC,
    gnu_long_name,
    paths_entry,
    pax_header,
    symlink,
    tar_bytes,
    tar_member,
)
from tests.differential.shapes import LISTED, MEMBERS, TEXT, Json, Shape, raw_zstd

Named = dict[str, Shape]

SKIPPABLE_FRAME = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
A = tar_member("a", TEXT)
A_LISTED = paths_entry("a", TEXT)
DIRECTORY = b"5"
MODE, UID, MTIME, CHECKSUM, OWNER, GROUP, DEVICE = 100, 108, 136, 148, 265, 297, 329


def with_members(*members: bytes, listed: Sequence[Json] = (), **changes: Any) -> Shape:
    """Return the good package with more members after its own. `listed` adds entries to paths.json."""
    return Shape(members=[*MEMBERS, *members], paths=[*LISTED, *listed], **changes)


def a_file(name: str | bytes, **tweaks: Any) -> Shape:
    """Return the good package with one more file, listed under its name."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return with_members(tar_member(name, TEXT, **tweaks), listed=[paths_entry(text, TEXT)])


def long_file(name: str, header: Callable[[str], bytes]) -> Shape:
    return with_members(header(name) + tar_member("short", TEXT), listed=[paths_entry(name, TEXT)])


def pax_name(name: str) -> bytes:
    return pax_header({"path": name})


def with_a(*members: bytes, listed: Sequence[Json] = (), **changes: Any) -> Shape:
    """Return the good package with a file `a` and more members that refer to it."""
    return with_members(A, *members, listed=[A_LISTED, *listed], **changes)


def in_format(header: bytes, magic: bytes) -> bytes:
    """Return an extension header with another magic, and with its checksum updated."""
    block, content = bytearray(header[:512]), header[512:]
    block[257:265], block[CHECKSUM : CHECKSUM + 8] = magic, b" " * 8
    block[CHECKSUM : CHECKSUM + 8] = b"%06o\0 " % sum(block)
    return bytes(block) + content


def by_parts(compress: Callable[[bytes], bytes], at: int) -> Callable[[bytes], bytes]:
    return lambda content: compress(content[:at]) + compress(content[at:])


def by_zstd(**parameters: Any) -> Callable[[bytes], bytes]:
    """Compress with the library. Its output may change between versions, so these variants are few."""
    compressor = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(**parameters))

    def compress(content: bytes) -> bytes:
        stream = compressor.compressobj()
        return stream.compress(content) + stream.flush()

    return compress


def framed(descriptor: bytes, end: bytes = b"") -> Callable[[bytes], bytes]:
    """Return a function that writes a frame of raw blocks with another descriptor, and with `end` after its blocks."""
    return lambda content: raw_zstd(content)[:4] + descriptor + raw_zstd(content)[6:] + end


def _zstds() -> dict[str, Callable[[bytes], bytes]]:
    return {
        "level 1": by_zstd(compression_level=1),
        "level 22": by_zstd(compression_level=22),
        "a checksum": by_zstd(write_checksum=1),
        "a wrong checksum": framed(b"\x04\x50", b"\0\0\0\0"),
        "window of 8 MiB": framed(b"\x00\x68"),
        "window of 128 MiB": framed(b"\x00\x88"),
        "window of 256 MiB": framed(b"\x00\x90"),
        "window of 2 GiB": framed(b"\x00\xa8"),
        "a dictionary": framed(b"\x01\x50\x07"),
        "two frames": by_parts(raw_zstd, 700),
        "two frames, cut between members": by_parts(raw_zstd, 1024),
        "an empty frame in front": lambda content: raw_zstd(b"") + raw_zstd(content),
        "an empty frame behind": lambda content: raw_zstd(content) + raw_zstd(b""),
        "a skippable frame in front": lambda content: SKIPPABLE_FRAME + raw_zstd(content),
        "a skippable frame behind": lambda content: raw_zstd(content) + SKIPPABLE_FRAME,
        "bytes behind": lambda content: raw_zstd(content) + b"evil",
        "zeros behind": lambda content: raw_zstd(content) + bytes(512),
        "cut off in the last block": lambda content: raw_zstd(content)[:-1],
        "cut off in the middle": lambda content: raw_zstd(content)[: len(content) // 2],
        "no bytes": lambda _: b"",
        "not compressed": lambda content: content,
        "compressed by bz2": bz2.compress,
        "compressed by gzip": lambda content: gzip.compress(content, mtime=0),
        "compressed by xz": lzma.compress,
    }


ZSTD: Named = {f"pkg archive: {name}": Shape(compress_pkg=compress) for name, compress in _zstds().items()}
ZSTD |= {f"info archive: {name}": Shape(compress_info=compress) for name, compress in _zstds().items()}

BZ2: Named = {
    name: Shape(compress_whole=compress)
    for name, compress in {
        "level 1": lambda content: bz2.compress(content, 1),
        "two streams": by_parts(bz2.compress, 700),
        "two streams, cut between members": by_parts(bz2.compress, 1024),
        "an empty stream in front": lambda content: bz2.compress(b"") + bz2.compress(content),
        "an empty stream behind": lambda content: bz2.compress(content) + bz2.compress(b""),
        "a second tar behind": lambda content: bz2.compress(content) + bz2.compress(tar_bytes([A])),
        "bytes behind": lambda content: bz2.compress(content) + b"evil",
        "zeros behind": lambda content: bz2.compress(content) + bytes(512),
        "cut off at the end": lambda content: bz2.compress(content)[:-1],
        "cut off in the middle": lambda content: bz2.compress(content)[:300],
        "no bytes": lambda _: b"",
        "not compressed": lambda content: content,
        "compressed by gzip": lambda content: gzip.compress(content, mtime=0),
        "compressed by xz": lzma.compress,
        "compressed by zstd": raw_zstd,
    }.items()
}


def ending(end: bytes) -> Shape:
    return Shape(pkg_tar=lambda members: tar_bytes(members, end))


END: Named = {
    "no zero blocks": ending(b""),
    "one zero block": ending(bytes(512)),
    "zeros to 10 KiB": ending(bytes(10_240)),
    "zeros, not a whole block": ending(bytes(1024 + 100)),
    "bytes after the end": ending(bytes(1024) + b"evil"),
    "a member after the end": ending(bytes(1024) + A),
    "a member after one zero block": ending(bytes(512) + A + bytes(1024)),
    "cut off in a header": Shape(pkg_tar=lambda members: b"".join(members)[:-700]),
    "cut off in the content": Shape(pkg_tar=lambda members: b"".join(members)[:-100]),
    "no members": Shape(members=[], paths=[]),
}

LONG = "/".join(["d" * 90] * 5)
HEADER: Named = {
    "GNU": a_file("a", magic=GNU_MAGIC),
    "V7, no magic": a_file("a", magic=bytes(8)),
    "ustar without version": a_file("a", magic=b"ustar\0\0\0"),
    "mode with spaces": a_file("a", fields=[(MODE, b"   644 \0")]),
    "mode empty": a_file("a", fields=[(MODE, bytes(8))]),
    "mode no number": a_file("a", fields=[(MODE, b"0000x44\0")]),
    "size with spaces": a_file("a", size_field=b"          6\0"),
    "size ended by a space": a_file("a", size_field=b"00000000006 "),
    "size without an end": a_file("a", size_field=b"000000000006"),
    "size in base 256": a_file("a", size_field=b"\x80" + bytes(10) + b"\x06"),
    "size negative in base 256": a_file("a", size_field=b"\xff" * 12),
    "size no number": a_file("a", size_field=b"0000000000x\0"),
    "size empty": with_members(tar_member("a", size_field=bytes(12)), listed=[paths_entry("a")]),
    "mtime empty": a_file("a", fields=[(MTIME, bytes(12))]),
    "mtime in base 256": a_file("a", fields=[(MTIME, b"\x80" + bytes(7) + b"\x60\0\0\0")]),
    "mtime negative in base 256": a_file("a", fields=[(MTIME, b"\xff" * 12)]),
    "mtime no number": a_file("a", fields=[(MTIME, b"0000000000x\0")]),
    "mtime of 2100": a_file("a", fields=[(MTIME, b"36456350400\0")]),
    "owner above 2 million in base 256": a_file("a", fields=[(UID, b"\x80\0\0\0\x40\0\0\0")]),
    "owner empty": a_file("a", fields=[(UID, bytes(8))]),
    "owner no number": a_file("a", fields=[(UID, b"000x000\0")]),
    "owner's name": a_file("a", fields=[(OWNER, b"conda"), (GROUP, b"staff")]),
    "owner's name in Latin-1": a_file("a", fields=[(OWNER, b"Andr\xe9")]),
    "device numbers of a file": a_file("a", fields=[(DEVICE, b"0000000\x000000000\0")]),
    "device number no number": with_members(tar_member("a", TEXT, fields=[(DEVICE, b"letters\0")]), listed=[A_LISTED]),
    "mode in base 256": a_file("a", fields=[(MODE, b"\x80\0\0\0\0\0\x01\xa4")]),
    "mtime beyond 64 bits": a_file("a", fields=[(MTIME, b"\x80\0\0\0\x80" + bytes(7))]),
    "unknown format": a_file("a", magic=b"ustar\x0001"),
    "GNU long name in V7": with_members(in_format(gnu_long_name("b"), bytes(8)) + A, listed=[paths_entry("b", TEXT)]),
    "pax in GNU": with_members(in_format(pax_name("b"), GNU_MAGIC) + A, listed=[paths_entry("b", TEXT)]),
    "pax time no number": with_members(pax_header({"mtime": "nan"}) + A, listed=[A_LISTED]),
    "pax owner no number": with_members(pax_header({"uid": "x"}) + A, listed=[A_LISTED]),
    "pax without a value": with_members(pax_header({"comment": ""}) + A, listed=[A_LISTED]),
    "pax without a key": with_members(pax_header({"": "x", "path": "b"}) + A, listed=[paths_entry("b", TEXT)]),
    "two pax headers, one of them a comment": with_members(
        pax_name("b") + pax_header({"comment": "x"}) + A, listed=[paths_entry("b", TEXT)]
    ),
    "global pax after a name": with_members(
        pax_name("b") + pax_header({"comment": "x"}, b"g") + A, listed=[paths_entry("b", TEXT)]
    ),
    "pax at the end": with_members(A, pax_header({"comment": "x"}), listed=[A_LISTED]),
    "checksum wrong": a_file("a", checksum_field=b"000000\0 "),
    "checksum empty": a_file("a", checksum_field=bytes(8)),
    "name by prefix": with_members(tar_member("f", TEXT, prefix=b"p"), listed=[paths_entry("p/f", TEXT)]),
    "prefix in a GNU header": with_members(
        tar_member("f", TEXT, prefix=b"p", magic=GNU_MAGIC), listed=[paths_entry("f", TEXT)]
    ),
    "name of 100 bytes": a_file("n" * 100),
    "long name of GNU": long_file(LONG, gnu_long_name),
    "long name of pax": long_file(LONG, pax_name),
    "long name of pax, in UTF-8": long_file("é" * 80, pax_name),
    "long target of GNU": with_members(
        gnu_long_name(LONG, b"K") + symlink("l", "x"), listed=[paths_entry("l", b"", "softlink")]
    ),
    "long target of pax": with_members(
        pax_header({"linkpath": LONG}) + symlink("l", "x"), listed=[paths_entry("l", b"", "softlink")]
    ),
    "two long names of GNU": with_members(gnu_long_name("x") + gnu_long_name("y") + A, listed=[paths_entry("y", TEXT)]),
    "GNU and pax name": with_members(gnu_long_name("x") + pax_name("y") + A, listed=[paths_entry("y", TEXT)]),
    "two pax headers": with_members(pax_name("x") + pax_name("y") + A, listed=[paths_entry("y", TEXT)]),
    "pax times and owner": with_members(
        pax_header({"mtime": "1.5", "atime": "1.5", "uid": "99999999", "uname": "André"}) + A, listed=[A_LISTED]
    ),
    "pax size": with_members(pax_header({"size": "6"}) + A, listed=[A_LISTED]),
    "pax size that differs": with_members(pax_header({"size": "3"}) + A, listed=[paths_entry("a", TEXT[:3])]),
    "pax extended attributes": with_members(
        pax_header({"SCHILY.xattr.user.x": "1", "LIBARCHIVE.xattr.user.y": "Mg"}) + A, listed=[A_LISTED]
    ),
    "pax access control list": with_members(pax_header({"SCHILY.acl.access": "user::rw-"}) + A, listed=[A_LISTED]),
    "pax hdrcharset": with_members(pax_header({"hdrcharset": "BINARY", "path": "a"}) + A, listed=[A_LISTED]),
    "pax comment": with_members(pax_header({"comment": "hello"}) + A, listed=[A_LISTED]),
    "pax of an unknown vendor": with_members(pax_header({"VENDOR.key": "x"}) + A, listed=[A_LISTED]),
    "pax empty": with_members(tar_member("PaxHeaders/x", b"", kind=b"x") + A, listed=[A_LISTED]),
    "pax malformed": with_members(tar_member("x", b"5 path=a\n", kind=b"x") + A, listed=[A_LISTED]),
    "pax sparse": with_members(pax_header({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + A, listed=[A_LISTED]),
    "global pax comment": with_members(pax_header({"comment": "0" * 40}, b"g") + A, listed=[A_LISTED]),
    "global pax mtime": with_members(pax_header({"mtime": "1"}, b"g") + A, listed=[A_LISTED]),
    "global pax path": with_members(pax_header({"path": "b"}, b"g") + A, listed=[A_LISTED]),
}

KIND: Named = {
    f"type {kind!r}": with_members(tar_member("a", kind=kind), listed=[paths_entry("a")])
    for kind in (b"\0", b"7", b"3", b"4", b"6", b"S", b"Z", b"V", b"M", b"D", b"N", b"A", b"X")
} | {
    "contiguous file with content": a_file("a", kind=b"7"),
    "volume label in front": Shape(members=[tar_member("label", kind=b"V"), *MEMBERS]),
    "directory": with_members(tar_member("d/", kind=DIRECTORY, mode=0o755)),
    "directory, listed": with_members(
        tar_member("d/", kind=DIRECTORY, mode=0o755), listed=[paths_entry("d", b"", "directory")]
    ),
    "directory without a slash": with_members(tar_member("d", kind=DIRECTORY, mode=0o755)),
    "directory of a file kind with a slash": with_members(tar_member("d/", kind=b"\0", magic=bytes(8))),
    "directories of all files": Shape(
        members=[
            *(tar_member(f"{name}/", kind=DIRECTORY, mode=0o755) for name in ("bin", "etc", "lib", "share")),
            *MEMBERS,
        ]
    ),
    "directory after its files": with_members(tar_member("share/", kind=DIRECTORY, mode=0o755)),
    "directory twice": with_members(*[tar_member("d/", kind=DIRECTORY, mode=0o755)] * 2),
    "directory with content": with_members(tar_member("d/", TEXT, kind=DIRECTORY, mode=0o755)),
    "root directory": Shape(members=[tar_member("./", kind=DIRECTORY, mode=0o755), *MEMBERS]),
    "symlink with content": with_members(
        tar_member("l", TEXT, kind=b"2", target="bin/demo"), listed=[paths_entry("l", b"", "softlink")]
    ),
    "hardlink with content": with_a(tar_member("b", TEXT, kind=b"1", target="a"), listed=[paths_entry("b", TEXT)]),
}

MODES: Named = {
    f"mode {mode:04o}": a_file("a", mode=mode)
    for mode in (0o600, 0o640, 0o664, 0o666, 0o755, 0o775, 0o777, 0o444, 0o555, 0o400, 0o111, 0, 0o4755, 0o2755, 0o1644)
} | {
    "setuid of a directory's kind": with_members(tar_member("d/", kind=DIRECTORY, mode=0o2775)),
    "directory of mode 0700": with_members(tar_member("d/", kind=DIRECTORY, mode=0o700)),
    "mode with another kind of stat": a_file("a", fields=[(MODE, b"0010644\0")]),
    "executable of type b'7'": a_file("a", kind=b"7", mode=0o755),
    "hardlink with another mode": with_a(
        tar_member("b", kind=b"1", target="a", mode=0o755), listed=[paths_entry("b", TEXT)]
    ),
    "mode with the kind of stat": a_file("a", fields=[(MODE, b"0100644\0")]),
}

LAYERS_OF_CONDA = {"zstd": ZSTD}
LAYERS_OF_TAR_BZ2 = {"bz2": BZ2}
LAYERS = {"end of the tar": END, "tar header": HEADER, "kind of member": KIND, "mode": MODES}
