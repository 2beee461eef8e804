"""A small good package in parts that mutations change: tar headers, documents, ZIP entries, compression."""

import bz2
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import zstandard

from tests.archives import (
    GNU_MAGIC,
    POSIX_MAGIC,
    TAR_BLOCK_BYTES,
    TAR_END,
    gnu_long_name,
    index_json,
    paths_entry,
    pax_header,
    tar_member,
)
from tests.differential.shapes import raw_zstd
from tests.zips import ZipEntry, zip_bytes

SUBDIRS = ("linux-64", "noarch", "win-64")
MAGICS = (POSIX_MAGIC, POSIX_MAGIC, GNU_MAGIC, GNU_MAGIC, bytes(8))
CHECKSUM = slice(148, 156)
FILE, HARDLINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"


@dataclass
class Block:
    """A tar header with its content. Its checksum is updated after mutations unless `is_summed` is false."""

    header: bytearray
    content: bytes
    is_summed: bool = True

    def as_bytes(self) -> bytes:
        if self.is_summed:
            self.header[CHECKSUM] = b" " * 8
            self.header[CHECKSUM] = b"%06o\0 " % sum(self.header)
        return bytes(self.header) + self.content + bytes(-len(self.content) % TAR_BLOCK_BYTES)


@dataclass
class Tar:
    """One of the tars of a package."""

    blocks: list[Block]
    end: bytes = TAR_END
    compress: Callable[[bytes], bytes] = raw_zstd

    def as_bytes(self) -> bytes:
        return b"".join(block.as_bytes() for block in self.blocks) + self.end


@dataclass
class Draft:
    """A whole package; `changes` describes its mutations."""

    extension: str
    subdir: str
    index: dict[str, Any]
    paths: list[dict[str, Any]] | None
    info: dict[str, bytes]
    pkg: Tar
    zip: dict[str, Any] = field(default_factory=dict)
    entries: list[Callable[[list[ZipEntry]], list[ZipEntry]]] = field(default_factory=list)
    whole: list[Callable[[bytes], bytes]] = field(default_factory=list)
    # Changes of the info tar, which is built after its documents.
    info_changes: list[Callable[[Tar], None]] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    @property
    def file_name(self) -> str:
        return f"demo-1.0-0{self.extension}"

    def as_bytes(self) -> bytes:
        content = self._conda() if self.extension == ".conda" else self._tar_bz2()
        for change in self.whole:
            content = change(content)
        return content

    def _info(self) -> Tar:
        documents = {"index.json": json.dumps(self.index).encode(), **self.info}
        if self.paths is not None:
            documents["paths.json"] = json.dumps({"paths": self.paths, "paths_version": 1}).encode()
        info = Tar(blocks_of(*(tar_member(f"info/{name}", content) for name, content in documents.items())))
        for change in self.info_changes:
            change(info)
        return info

    def _conda(self) -> bytes:
        info = self._info()
        entries = [
            ZipEntry("metadata.json", b'{"conda_pkg_format_version": 2}'),
            ZipEntry("pkg-demo-1.0-0.tar.zst", self.pkg.compress(self.pkg.as_bytes())),
            ZipEntry("info-demo-1.0-0.tar.zst", info.compress(info.as_bytes())),
        ]
        for change in self.entries:
            entries = change(entries)
        return zip_bytes(entries, **self.zip)

    def _tar_bz2(self) -> bytes:
        info = self._info()
        compress = bz2.compress if self.pkg.compress in (raw_zstd, zstandard.compress) else self.pkg.compress
        return compress(Tar(info.blocks + self.pkg.blocks, self.pkg.end).as_bytes())


def blocks_of(*members: bytes) -> list[Block]:
    """Split members that `tests.archives` built into headers with their content."""
    found = []
    for member in members:
        rest = member
        while rest:
            header = bytearray(rest[:TAR_BLOCK_BYTES])
            size_bytes = int(header[124:135] or b"0", 8)
            end = TAR_BLOCK_BYTES + size_bytes
            found.append(Block(header, rest[TAR_BLOCK_BYTES:end]))
            rest = rest[end + -size_bytes % TAR_BLOCK_BYTES :]
    return found


def good(random: Random) -> Draft:
    """Return a good package, which all clients read alike and the hub accepts."""
    extension = random.choice((".conda", ".conda", ".tar.bz2"))
    subdir = random.choice(SUBDIRS)
    members, listed = _members(random)
    paths: list[dict[str, Any]] | None = listed
    info = {"about.json": b"{}"}
    if extension == ".tar.bz2" and random.random() < 0.3:
        paths, info["files"] = None, "".join(f"{entry['_path']}\n" for entry in listed).encode()
    index = index_json(subdir=subdir)
    if subdir == "noarch" and random.random() < 0.5:
        index["noarch"] = "python"
        info["link.json"] = json.dumps(LINK).encode()
    pkg = Tar(blocks_of(*members), compress=random.choice((raw_zstd, raw_zstd, zstandard.compress)))
    return Draft(extension, subdir, index, paths, info, pkg)


LINK: Mapping[str, Any] = {
    "noarch": {"type": "python", "entry_points": ["demo = demo.app:main"]},
    "package_metadata_version": 1,
}


def _members(random: Random) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Return some files, and maybe a directory, a symlink, a hardlink, and names that need an extension header."""
    members, listed = [], []
    magic = random.choice(MAGICS)
    contents = {f"{random.choice(('bin', 'share/d', 'lib'))}/f{number}": _content(random) for number in range(3)}
    for path, content in contents.items():
        mode = random.choice((0o644, 0o755, 0o664))
        members.append(tar_member(path, content, mode=mode, magic=magic))
        listed.append(paths_entry(path, content))
    path, content = next(iter(contents.items()))
    first_mode = int(members[0][100:107], 8)
    if random.random() < 0.3:
        members.append(tar_member("share/d/", kind=DIRECTORY, mode=0o755, magic=magic))
    if random.random() < 0.3:
        members.append(tar_member("l", kind=SYMLINK, target=path, magic=magic))
        listed.append(paths_entry("l", content, "softlink"))
    if random.random() < 0.3:
        members.append(tar_member("h", kind=HARDLINK, target=path, mode=first_mode, magic=magic))
        listed.append(paths_entry("h", content))
    if random.random() < 0.3:
        name = "/".join(["d" * random.choice((9, 49, 99))] * 3) + "/x"
        header = gnu_long_name(name) if random.random() < 0.5 else pax_header({"path": name})
        cut = name[:100] if random.random() < 0.5 else "x"
        members.append(header + tar_member(cut, b"long", magic=magic if any(magic) else GNU_MAGIC))
        listed.append(paths_entry(name, b"long"))
    return members, listed


def _content(random: Random) -> bytes:
    return random.choice((b"", b"hello\n", random.randbytes(random.randrange(1, 700))))
