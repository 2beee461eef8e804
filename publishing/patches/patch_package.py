"""Patch packages, as conda-index takes them: a conda package with SUBDIR/patch_instructions.json among its files.

Also reads a patch_instructions.json alone, plain or compressed by zstd. No file is extracted.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from channels_app import identifiers
from hub.sizes import MIB, human_size
from publishing.archive import compression, conda_zip, kinds
from publishing.archive.compression import Part
from publishing.archive.errors import BadPackage
from publishing.archive.limits import Budget, Limits
from publishing.archive.tar import MemberKind, TarReader
from publishing.patches.changes import BadPatch
from publishing.patches.instructions import BYTES_MAX, FILE_NAME
from publishing.wording import quote

LIMITS = Limits(pkg_bytes=512 * MIB, pkg_seconds=60)
# Of the instructions of all subdirs together.
TOTAL_MAX_BYTES = 2 * BYTES_MAX
MEMBER = re.compile(rf"([a-z0-9-]+)/{re.escape(FILE_NAME)}\Z".encode())
PKG = re.compile(r"pkg-.+\.tar\.zst\Z")


def read(file: BinaryIO, file_bytes: int, subdir: str) -> Iterator[tuple[str, bytes]]:
    """Yield subdir and instructions. A file without subdirs is for `subdir`. Raise BadPatch if the file is no such."""
    head = file.read(4)
    file.seek(0)
    try:
        if part := _package(file, file_bytes, head):
            yield from _members(TarReader(part))
        else:
            yield _checked(subdir), _document(file, file_bytes, head)
    except BadPackage as error:
        raise BadPatch(f"The file can't be read: {error}.") from error


def _package(file: BinaryIO, file_bytes: int, head: bytes) -> Part | None:
    """Return the tar of a package with its files, or None for other files."""
    if head.startswith(kinds.MAGIC[".tar.bz2"]):
        budget = Budget.for_pkg("the archive", file_bytes, LIMITS)
        return Part(compression.bz2_chunks(file, budget), budget)
    if not head.startswith(kinds.MAGIC[".conda"]):
        return None
    entries = conda_zip.entries(file, file_bytes)
    entry = next((entry for name, entry in entries.items() if PKG.match(name)), None)
    if entry is None:
        raise BadPatch("The file is a ZIP without the part pkg-….tar.zst of a .conda package.")
    budget = Budget.for_pkg("the pkg archive", entry.size_bytes, LIMITS)
    source = conda_zip.EntryReader(file, entry)
    return Part(compression.zstd_chunks(source, budget, LIMITS.window_bytes), budget)


def _members(tar: TarReader) -> Iterator[tuple[str, bytes]]:
    left_bytes, found = TOTAL_MAX_BYTES, set()
    for member in tar:
        match = MEMBER.match(member.raw_name)
        if not match or member.kind is not MemberKind.FILE:
            continue
        subdir = _checked(match[1].decode())
        left_bytes -= member.size_bytes
        if member.size_bytes > BYTES_MAX or left_bytes < 0:
            limits = f"{human_size(BYTES_MAX)} for each platform, {human_size(TOTAL_MAX_BYTES)} together"
            raise BadPatch(
                f"The {FILE_NAME} of {subdir} has {human_size(member.size_bytes)}; expected at most {limits}."
            )
        if subdir in found:
            raise BadPatch(f"The package has two files {subdir}/{FILE_NAME}.")
        found.add(subdir)
        yield subdir, b"".join(iter(lambda: tar.read(MIB), b""))
    if not found:
        raise BadPatch(f"The package has no file SUBDIR/{FILE_NAME}, such as noarch/{FILE_NAME}.")


def _document(file: BinaryIO, file_bytes: int, head: bytes) -> bytes:
    """Return a JSON document, plain or compressed by zstd."""
    if head != compression.ZSTD_MAGIC:
        return file.read(BYTES_MAX + 1)
    budget = Budget.for_pkg("the file", file_bytes, LIMITS)
    content = bytearray()
    for chunk in compression.zstd_chunks(file, budget, LIMITS.window_bytes):
        content += chunk
        if len(content) > BYTES_MAX:
            break
    return bytes(content)


def _checked(subdir: str) -> str:
    if not identifiers.is_subdir(subdir):
        raise BadPatch(f"{quote(subdir)} is no platform; state the one whose files the instructions name.")
    return subdir
