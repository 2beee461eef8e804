"""Builders of package archives: valid by default, hostile by replacing one layer.

`make_conda(directory)` and `make_tar_bz2(directory)` write a small valid package and return its path.

Arguments replace a layer: `index` (keys of index.json; None removes one), `info` (files under info/), `files` (files
outside it), `info_tar`, `pkg_tar` or `tar` (a whole tar), `compress`, `metadata`. `members` are raw tar members and
`listed` their entries in paths.json. A `.conda` file also takes `entries` and the keywords of `zip_bytes`.
"""

import bz2
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from publishing.archive.reader import BadPackage, Limits, read
from tests.zips import ZipEntry, zip_bytes

# 175 real packages, stored beside the checkout in development and in CI.
SHARED_PACKAGES = Path(__file__).parents[2] / "shared" / "packages"
# Eight more, as conda-build made them until June 2026: with licence files in the pkg archive.
CONDA_BUILD_PACKAGES = sorted(SHARED_PACKAGES.with_name("conda-build-packages").glob("*/*.conda"))

FILES = {"share/demo.txt": b"hello\n"}
METADATA = b'{"conda_pkg_format_version": 2}'

TAR_BLOCK_BYTES = 512
TAR_END = bytes(2 * TAR_BLOCK_BYTES)
POSIX_MAGIC = b"ustar\x0000"
GNU_MAGIC = b"ustar  \x00"
DIRECTORY = b"5"


def make_conda(
    directory: Path,
    *,
    name: str = "demo",
    version: str = "1.0",
    build: str = "0",
    subdir: str = "noarch",
    depends: Sequence[str] = (),
    files: Mapping[str, bytes] = FILES,
    index: Mapping[str, Any] | None = None,
    info: Mapping[str, bytes | None] | None = None,
    members: Sequence[bytes] = (),
    listed: Sequence[Mapping[str, Any]] = (),
    info_tar: bytes | None = None,
    pkg_tar: bytes | None = None,
    metadata: bytes = METADATA,
    compress: Callable[[bytes], bytes] = zstandard.compress,
    entries: Callable[[list[ZipEntry]], list[ZipEntry]] = list,
    file_name: str | None = None,
    **zip_tweaks: Any,
) -> Path:
    """Write a `.conda` file. `entries` can change the three ZIP entries (metadata, pkg, info); `compress` is pkg's."""
    stem = f"{name}-{version}-{build}"
    identity = {"name": name, "version": version, "build": build, "subdir": subdir, "depends": list(depends)}
    document = index_json(**identity | dict(index or {}))
    info_members = info_tar_members(document, files, listed, info)
    pkg_members = [tar_member(path, content) for path, content in files.items()] + list(members)
    zip_entries = [
        ZipEntry("metadata.json", metadata),
        ZipEntry(f"pkg-{stem}.tar.zst", compress(tar_bytes(pkg_members) if pkg_tar is None else pkg_tar)),
        ZipEntry(f"info-{stem}.tar.zst", zstandard.compress(tar_bytes(info_members) if info_tar is None else info_tar)),
    ]
    path = directory / (file_name or f"{stem}.conda")
    path.write_bytes(zip_bytes(entries(zip_entries), **zip_tweaks))
    return path


def make_tar_bz2(
    directory: Path,
    *,
    name: str = "demo",
    version: str = "1.0",
    build: str = "0",
    subdir: str = "noarch",
    depends: Sequence[str] = (),
    files: Mapping[str, bytes] = FILES,
    index: Mapping[str, Any] | None = None,
    info: Mapping[str, bytes | None] | None = None,
    members: Sequence[bytes] = (),
    listed: Sequence[Mapping[str, Any]] = (),
    tar: bytes | None = None,
    compress: Callable[[bytes], bytes] = bz2.compress,
    file_name: str | None = None,
) -> Path:
    """Write a `.tar.bz2` file with info/ first."""
    identity = {"name": name, "version": version, "build": build, "subdir": subdir, "depends": list(depends)}
    document = index_json(**identity | dict(index or {}))
    all_members = info_tar_members(document, files, listed, info)
    all_members += [tar_member(path, content) for path, content in files.items()] + list(members)
    path = directory / (file_name or f"{name}-{version}-{build}.tar.bz2")
    path.write_bytes(compress(tar_bytes(all_members) if tar is None else tar))
    return path


def refusal(path: Path, limits: Limits = Limits()) -> str:  # noqa: B008 (immutable)
    """Return the reason for which the archive at `path` is refused."""
    with pytest.raises(BadPackage) as caught:
        read(path, path.name, limits)
    return caught.value.reason


def index_json(**keys: Any) -> dict[str, Any]:
    """Return an info/index.json without the keys that are None."""
    defaults = {
        "name": "demo",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": "noarch",
        "timestamp": 1_700_000_000_000,
    }
    merged = defaults | keys
    if merged["subdir"] == "noarch":
        merged.setdefault("noarch", "generic")
    return {key: value for key, value in merged.items() if value is not None}


def info_tar_members(
    index: Mapping[str, Any],
    files: Mapping[str, bytes],
    listed: Sequence[Mapping[str, Any]] = (),
    info: Mapping[str, bytes | None] | None = None,
) -> list[bytes]:
    """Return the members under info/. `info` adds, replaces or (with None) removes files by their names below info/."""
    paths = [paths_entry(path, content) for path, content in files.items()] + list(listed)
    contents: dict[str, bytes | None] = {
        "index.json": json.dumps(index).encode(),
        "about.json": b"{}",
        "paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
    }
    contents |= info or {}
    return [tar_member(f"info/{path}", content) for path, content in contents.items() if content is not None]


def paths_entry(path: str, content: bytes = b"", path_type: str = "hardlink", **more: Any) -> dict[str, Any]:
    """Return an entry of info/paths.json."""
    sha256 = hashlib.sha256(content).hexdigest()
    return {"_path": path, "path_type": path_type, "sha256": sha256, "size_in_bytes": len(content), **more}


def tar_bytes(members: Iterable[bytes], end: bytes = TAR_END) -> bytes:
    return b"".join(members) + end


def tar_member(
    name: str | bytes,
    content: bytes = b"",
    *,
    kind: bytes = b"0",
    target: str | bytes = b"",
    mode: int | None = None,
    size_field: bytes | None = None,
    magic: bytes = POSIX_MAGIC,
    prefix: bytes = b"",
    checksum_field: bytes | None = None,
    fields: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """Return one tar header with its padded content. `fields` overwrite the header at their offsets.

    The default mode is that of a plain file or directory. Names above 100 bytes need `pax_header` or `gnu_long_name`
    before it.
    """
    header = bytearray(TAR_BLOCK_BYTES)
    if mode is None:
        mode = 0o755 if kind == DIRECTORY else 0o644
    all_fields = (
        (0, _encoded(name)[:100]),
        (100, b"%07o\x00" % mode),
        (108, b"0000000\x00"),
        (116, b"0000000\x00"),
        (124, b"%011o\x00" % len(content) if size_field is None else size_field),
        (136, b"00000000000\x00"),
        (148, b" " * 8),
        (156, kind),
        (157, _encoded(target)[:100]),
        (257, magic),
        (345, prefix),
        *fields,
    )
    for offset, value in all_fields:
        header[offset : offset + len(value)] = value
    header[148:156] = b"%06o\x00 " % sum(header) if checksum_field is None else checksum_field
    return bytes(header) + content + bytes(-len(content) % TAR_BLOCK_BYTES)


def symlink(name: str | bytes, target: str | bytes) -> bytes:
    return tar_member(name, kind=b"2", target=target)


def hardlink(name: str | bytes, target: str | bytes) -> bytes:
    return tar_member(name, kind=b"1", target=target)


def pax_header(records: Mapping[str, str | bytes], kind: bytes = b"x") -> bytes:
    """Return a pax header, which describes the member after it."""
    content = b"".join(_pax_record(key.encode(), _encoded(value)) for key, value in records.items())
    return tar_member("PaxHeaders/x", content, kind=kind)


def gnu_long_name(name: str | bytes, kind: bytes = b"L") -> bytes:
    """Return GNU's header for a name above 100 bytes; with kind K, for a link target."""
    return tar_member("././@LongLink", _encoded(name) + b"\x00", kind=kind, magic=GNU_MAGIC)


def _pax_record(key: bytes, value: bytes) -> bytes:
    """Return `length key=value newline`. The length includes its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def _encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
