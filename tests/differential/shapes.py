"""A good package as layers of bytes, of which a variant replaces one. The bytes are the same on every machine."""

import bz2
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.archives import paths_entry, symlink, tar_bytes, tar_member
from tests.zips import ZipEntry, zip_bytes

Json = Mapping[str, Any]
Compress = Callable[[bytes], bytes]

NAME, VERSION, BUILD = "demo", "1.0", "0"
STEM = f"{NAME}-{VERSION}-{BUILD}"
SUBDIR = "linux-64"
PLACEHOLDER = "/opt/placeholder_placeholder_placeholder"

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_BLOCK_BYTES = 128 * 1024

INDEX: Json = {
    "arch": "x86_64",
    "build": BUILD,
    "build_number": 0,
    "depends": [],
    "license": "MIT",
    "name": NAME,
    "platform": "linux",
    "subdir": SUBDIR,
    "timestamp": 1_700_000_000_000,
    "version": VERSION,
}
TOOL = b"#!/bin/sh\necho demo\n"
TEXT = b"hello\n"
SETTING = f"prefix = {PLACEHOLDER}\n".encode()
LIBRARY = b"\x7fELF\x00" + PLACEHOLDER.encode() + b"/lib\x00\x00end\x00"

MEMBERS = (
    tar_member("bin/demo", TOOL, mode=0o755),
    tar_member("share/demo.txt", TEXT),
    symlink("share/link.txt", "demo.txt"),
    tar_member("etc/demo.conf", SETTING),
    tar_member("lib/libdemo.so", LIBRARY, mode=0o755),
)
LISTED = (
    paths_entry("bin/demo", TOOL),
    paths_entry("share/demo.txt", TEXT),
    paths_entry("share/link.txt", TEXT, "softlink"),
    paths_entry("etc/demo.conf", SETTING, prefix_placeholder=PLACEHOLDER, file_mode="text"),
    paths_entry("lib/libdemo.so", LIBRARY, prefix_placeholder=PLACEHOLDER, file_mode="binary"),
)
METADATA = b'{"conda_pkg_format_version": 2}'


def raw_zstd(content: bytes) -> bytes:
    """Return one zstd frame of uncompressed blocks. Its bytes depend on no version of a library."""
    blocks = [content[start : start + ZSTD_BLOCK_BYTES] for start in range(0, len(content), ZSTD_BLOCK_BYTES)] or [b""]
    headers = [
        (len(block) << 3 | (number == len(blocks) - 1)).to_bytes(3, "little") for number, block in enumerate(blocks)
    ]
    # The descriptor states neither checksum nor content size; the window is 1 MiB.
    return ZSTD_MAGIC + b"\x00\x50" + b"".join(header + block for header, block in zip(headers, blocks, strict=True))


@dataclass(frozen=True)
class Shape:
    """Every layer of a package. `index`, `paths` and the values of `info` are JSON or bytes; None leaves one out."""

    index: Json | bytes | None = field(default_factory=lambda: INDEX)
    paths: Sequence[Json] | Json | bytes | None = LISTED
    info: Mapping[str, Any] = field(default_factory=lambda: {"about.json": {"license": "MIT", "summary": "A demo"}})
    info_members: Sequence[bytes] = ()
    members: Sequence[bytes] = MEMBERS
    info_tar: Callable[[Sequence[bytes]], bytes] = tar_bytes
    pkg_tar: Callable[[Sequence[bytes]], bytes] = tar_bytes
    compress_info: Compress = raw_zstd
    compress_pkg: Compress = raw_zstd
    compress_whole: Compress = bz2.compress
    metadata: bytes = METADATA
    entries: Callable[[list[ZipEntry]], list[ZipEntry]] = list
    zip: Mapping[str, Any] = field(default_factory=dict)
    stem: str = STEM
    subdir: str = SUBDIR


def as_conda(shape: Shape) -> bytes:
    entries = [
        ZipEntry("metadata.json", shape.metadata),
        ZipEntry(f"pkg-{shape.stem}.tar.zst", shape.compress_pkg(shape.pkg_tar(shape.members))),
        ZipEntry(f"info-{shape.stem}.tar.zst", shape.compress_info(shape.info_tar(_info_members(shape)))),
    ]
    return zip_bytes(shape.entries(entries), **shape.zip)


def as_tar_bz2(shape: Shape) -> bytes:
    return shape.compress_whole(shape.pkg_tar([*_info_members(shape), *shape.members]))


def as_json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _info_members(shape: Shape) -> list[bytes]:
    paths = shape.paths
    if paths is not None and not isinstance(paths, bytes | Mapping):
        paths = {"paths": list(paths), "paths_version": 1}
    documents = {"index.json": shape.index, **shape.info, "paths.json": paths}
    made = [tar_member(f"info/{name}", as_json(value)) for name, value in documents.items() if value is not None]
    return [*made, *shape.info_members]
