"""The lists of packages from before 2017, without paths.json: info/files, has_prefix, no_link and no_softlink.

conda ends a line at a bare CR, strips all Unicode blanks and skips comments. rattler does none of these.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping

from hub.sizes import MIB, human_size
from publishing.archive import json_documents
from publishing.archive.errors import BadPackage
from publishing.archive.listing import ListedPath, PathType
from publishing.archive.tar import MemberKind
from publishing.wording import quote

FILES = "info/files"
HAS_PREFIX = "info/has_prefix"
NO_LINK = "info/no_link"
NO_SOFTLINK = "info/no_softlink"
FILES_MAX_BYTES = 32 * MIB

# A path, or placeholder, mode and path. conda accepts quotes around each, rattler does not.
PREFIX_LINE = re.compile(r"""[^\s"'#][^\s"']*(?:[ \t]+(?:text|binary)[ \t]+([^\s"']+))?\Z""")


def entries(documents: Mapping[str, bytes], kind_of: Callable[[str], MemberKind | None]) -> Iterator[ListedPath]:
    """Yield the entries of info/files. Raise BadPackage for lists that conda and rattler read differently."""
    if FILES not in documents:
        raise BadPackage(
            f"the archive has neither info/paths.json nor an info/files of at most {human_size(FILES_MAX_BYTES)}; "
            "clients need one of them: build it again"
        )
    for path in _paths(documents[FILES], FILES):
        yield ListedPath(path, PathType.OLD)
    for name, named in ((HAS_PREFIX, _prefixed), (NO_LINK, _paths)):
        for path in named(documents.get(name, b""), name):
            _check_named(path, name, kind_of)
    for path in _paths(documents.get(NO_SOFTLINK, b""), NO_SOFTLINK):
        raise BadPackage(
            f"{NO_SOFTLINK} lists {quote(path)}: conda keeps a symlink, rattler copies; build it with paths.json"
        )


def _check_named(path: str, name: str, kind_of: Callable[[str], MemberKind | None]) -> None:
    kind = kind_of(path)
    if kind is None and kind_of(_plain(path)) is not None:
        raise BadPackage(f"{name} names {quote(path)}, which only rattler takes for {quote(_plain(path))}")
    if kind is MemberKind.SYMLINK:
        raise BadPackage(f"{name} names the symlink {quote(path)}: conda keeps it, rattler copies its file")


def _plain(path: str) -> str:
    """Return the path as rattler compares it: without empty segments and '.' segments."""
    return "/".join(segment for segment in path.split("/") if segment not in {"", "."})


def _paths(content: bytes, name: str) -> Iterator[str]:
    """Yield the lines that are not empty; each is a path."""
    for line in _lines(content, name):
        if "\r" in line or line != line.strip() or line.startswith("#"):
            raise BadPackage(
                f"{name} has the line {quote(line)}; expected a path that begins with no '#', has no blanks around "
                "it, and LF or CR LF after it: build it with paths.json"
            )
        if not line and name == FILES:
            raise BadPackage(
                f"{name} has an empty line: rattler takes it for the environment itself, and moves away what other "
                "packages have there; build it with paths.json"
            )
        if line:
            yield line


def _prefixed(content: bytes, name: str) -> Iterator[str]:
    """Yield the path of each line of info/has_prefix."""
    for line in _lines(content, name):
        found = PREFIX_LINE.match(line)
        if found is None:
            raise BadPackage(
                f"{name} has the line {quote(line)}; expected a path, or 'placeholder text path' or "
                "'placeholder binary path' without quotes"
            )
        yield found[1] or line


def _lines(content: bytes, name: str) -> Iterator[str]:
    """Yield the lines as rattler splits them, at LF or CR LF; the last one may lack its end."""
    json_documents.check_no_mark(content, name)
    for raw_line in io.BytesIO(content):
        line = raw_line[:-1].removesuffix(b"\r") if raw_line.endswith(b"\n") else raw_line
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise BadPackage(f"{name} is not UTF-8: {error.reason}") from error
