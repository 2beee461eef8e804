"""The lists of packages from before 2017, which lack info/paths.json: info/files, has_prefix and no_softlink."""

import re
from collections.abc import Callable, Iterator, Mapping

from publishing.archive import strict_json
from publishing.archive.rules import MIB, BadPackage, shown, size
from publishing.archive.tar import Kind

FILES = "info/files"
HAS_PREFIX = "info/has_prefix"
NO_SOFTLINK = "info/no_softlink"
FILES_MAX_BYTES = 32 * MIB

# A path alone, or placeholder, mode and path. conda takes quotes around each, rattler does not.
PREFIX_LINE = re.compile(rb"""[^\s"']+(?:\s+(?:text|binary)\s+[^\s"']+)?\Z""")


def check(documents: Mapping[str, bytes], kind_of: Callable[[str], Kind | None]) -> None:
    """Refuse lists that a client cannot read, or that name what the archive does not hold as a file or link."""
    if FILES not in documents:
        raise BadPackage(
            f"the archive has neither info/paths.json nor an info/files of at most {size(FILES_MAX_BYTES)}; "
            "clients need one of them: build it again"
        )
    for path in _listed(documents[FILES]):
        kind = kind_of(path)
        if kind is None:
            raise BadPackage(f"{FILES} lists {shown(path)}, which the archive does not hold")
        if kind is Kind.DIRECTORY:
            raise BadPackage(f"{FILES} lists the directory {shown(path)}, which no client can link; list files alone")
    for line in _lines(documents.get(HAS_PREFIX, b"")):
        if not PREFIX_LINE.match(line):
            raise BadPackage(
                f"{HAS_PREFIX} has the line {shown(line)}; expected a path, or 'placeholder text path' or "
                "'placeholder binary path' without quotes"
            )
    for line in _lines(documents.get(NO_SOFTLINK, b"")):
        raise BadPackage(
            f"{NO_SOFTLINK} lists {shown(line)}: conda keeps a symlink, rattler copies; build it with paths.json"
        )


def _listed(content: bytes) -> Iterator[str]:
    """The lines of info/files. Unlike rattler, conda ends one at a CR alone, strips blanks and skips comments."""
    strict_json.check_no_mark(content, FILES)
    for line in content.split(b"\n"):
        path = line.removesuffix(b"\r")
        if b"\r" in path or path != path.strip() or path.startswith(b"#"):
            raise BadPackage(
                f"{FILES} has the line {shown(path)}; expected a path that begins with no '#', has no blanks around "
                "it, and LF or CR LF after it: build it with paths.json"
            )
        if path:
            yield path.decode("utf-8", "replace")


def _lines(content: bytes) -> Iterator[bytes]:
    """Lines that are neither blank nor comments, as conda reads them."""
    for line in content.splitlines():
        if (stripped := line.strip()) and not stripped.startswith(b"#"):
            yield stripped
