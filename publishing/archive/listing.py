"""info/paths.json (CEP 34), read one entry at a time: as Python objects, 128 MiB of it would take a gigabyte."""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

from hub.sizes import KIB
from publishing import strict_json
from publishing.archive import json_documents
from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.limits import Limits
from publishing.archive.tar import MemberKind
from publishing.wording import quote

READ_BYTES = 64 * KIB
# An entry has one path, one placeholder and one hash, so valid values are shorter than this.
VALUE_MAX_CHARACTERS = 64 * KIB
KEYS_MAX = 64
NOT_SPACE = re.compile(r"[^ \t\n\r]")
SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")


class PathType(Enum):
    """The way in which clients link a path; OLD for entries of info/files, which does not state it."""

    HARDLINK = "hardlink"
    SOFTLINK = "softlink"
    OLD = "path"


KINDS = {
    PathType.HARDLINK: (MemberKind.FILE, MemberKind.HARDLINK),
    PathType.SOFTLINK: (MemberKind.SYMLINK,),
    PathType.OLD: (MemberKind.FILE, MemberKind.HARDLINK, MemberKind.SYMLINK),
}
PATH_TYPES = (PathType.HARDLINK.value, PathType.SOFTLINK.value)
DIRECTORY = "directory"
FILE_MODES = ("binary", "text")


@dataclass(frozen=True, slots=True)
class ListedPath:
    """An entry of the list. `file_mode` is empty for files without a prefix; size and hash are optional."""

    path: str
    path_type: PathType
    file_mode: str = ""
    size_bytes: int | None = None
    sha256: bytes = b""


def entries(read: Callable[[int], bytes], name: str, limits: Limits) -> Iterator[ListedPath]:
    """Yield the entries of the document, which `read` returns chunk by chunk. Raise BadPackage if it is invalid."""
    document = _Document(read, name, limits.json_depth)
    missing = {"paths", "paths_version"}
    for key in document.read_keys():
        missing.discard(key)
        if key == "paths":
            yield from (_entry(value, name) for value in document.read_items())
        elif ((value := document.read_value()) != 1 or type(value) is not int) and key == "paths_version":
            raise BadPackage(f"{name} has the paths_version {quote(value)}; expected 1")
    if missing:
        raise BadPackage(f"{name} lacks {' and '.join(sorted(missing))}")


def _entry(value: Any, name: str) -> ListedPath:
    """Return an entry that rattler's PathsEntry accepts. Raise BadPackage otherwise."""
    if not isinstance(value, dict) or not isinstance(value.get("_path"), str):
        raise BadPackage(f"{name} has the entry {quote(value)} without a _path")
    path = value["_path"]
    if value.get("path_type") == DIRECTORY:
        raise BadPackage(
            f"{name} lists the directory {quote(path)}, which neither conda nor rattler can link; list files alone"
        )
    if value.get("path_type") not in PATH_TYPES:
        raise BadPackage(f"{name} gives {quote(path)} the path_type {quote(value.get('path_type'))}")
    placeholder, file_mode = value.get("prefix_placeholder"), value.get("file_mode")
    if placeholder not in (None, "") and (not isinstance(placeholder, str) or file_mode not in FILE_MODES):
        raise BadPackage(f"{name} gives {quote(path)} a prefix_placeholder with the file_mode {quote(file_mode)}")
    if file_mode is not None and file_mode not in FILE_MODES:
        raise BadPackage(f"{name} gives {quote(path)} the file_mode {quote(file_mode)}; expected text or binary")
    sha256, size_in_bytes, no_link = value.get("sha256"), value.get("size_in_bytes"), value.get("no_link", False)
    if sha256 is not None and not (isinstance(sha256, str) and SHA256.match(sha256)):
        raise BadPackage(f"{name} gives {quote(path)} the sha256 {quote(sha256)}")
    if size_in_bytes is not None and (type(size_in_bytes) is not int or size_in_bytes < 0):
        raise BadPackage(f"{name} gives {quote(path)} the size_in_bytes {quote(size_in_bytes)}")
    if not isinstance(no_link, bool):
        raise BadPackage(f"{name} gives {quote(path)} the no_link {quote(no_link)}")
    _check_installers_keys(value, path, name)
    path_type = PathType(value["path_type"])
    if path_type is PathType.SOFTLINK and (placeholder or no_link):
        key = "prefix_placeholder" if placeholder else "no_link"
        raise BadPackage(f"{name} gives the symlink {quote(path)} a {key}: conda keeps it, rattler copies its file")
    digest = bytes.fromhex(sha256 or "")
    return ListedPath(path, path_type, str(file_mode) if placeholder else "", size_in_bytes, digest)


def _check_installers_keys(value: dict[str, Any], path: str, name: str) -> None:
    """Check the keys that only conda reads, and that it writes into its own records."""
    sha256_in_prefix, inode_paths = value.get("sha256_in_prefix"), value.get("inode_paths")
    if sha256_in_prefix is not None and not isinstance(sha256_in_prefix, str):
        raise BadPackage(f"{name} gives {quote(path)} the sha256_in_prefix {quote(sha256_in_prefix)}")
    is_list = isinstance(inode_paths, list) and all(isinstance(each, str) for each in inode_paths)
    if inode_paths is not None and not is_list:
        raise BadPackage(f"{name} gives {quote(path)} the inode_paths {quote(inode_paths)}")


class _Document:
    """A JSON object that is parsed value by value while its text arrives in chunks."""

    def __init__(self, read: Callable[[int], bytes], name: str, max_depth: int) -> None:
        self._read = read
        self._name = name
        self._max_depth = max_depth
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._position = 0
        self._is_at_end = False

    def read_keys(self) -> Iterator[str]:
        """Yield the keys of the object. The caller must read each key's value before the next key."""
        seen: set[str] = set()
        json_documents.check_no_mark(self._next_character().encode(), self._name)
        self._expect("{")
        for _ in self._separated("}"):
            key = self.read_value()
            if not isinstance(key, str) or key in seen or len(seen) == KEYS_MAX:
                self._refuse(f"{quote(key)} is no key, stands twice, or is one of too many")
            seen.add(key)
            self._expect(":")
            yield key
        if self._next_character():
            self._refuse("there is more after its end")

    def read_items(self) -> Iterator[Any]:
        """Yield the items of the list at the current position."""
        self._expect("[")
        for _ in self._separated("]"):
            yield self.read_value()

    def read_value(self) -> Any:
        """Return the value at the current position, which must be small."""
        self._next_character()
        try:
            value, end = strict_json.DECODER.raw_decode(self._text, self._position)
            strict_json.check(value, self._max_depth - 2)
        except json.JSONDecodeError as error:
            self._refuse(f"{error.msg} near {quote(self._text[error.pos : error.pos + 40])}")
        except (RecursionError, strict_json.TooDeepError) as error:
            reason = f"{self._name} is nested deeper than the {self._max_depth} levels allowed"
            raise over_limit(reason, "json_depth") from error
        except ValueError as error:
            self._refuse(str(error))
        if end - self._position > VALUE_MAX_CHARACTERS:
            self._refuse(f"it has a value of more than {VALUE_MAX_CHARACTERS} characters")
        self._position = end
        return value

    def _separated(self, closing: str) -> Iterator[None]:
        """Yield once per value, and skip the commas between values up to `closing`."""
        if self._next_character() == closing:
            self._expect(closing)
            return
        while True:
            yield
            if self._next_character() == closing:
                self._expect(closing)
                return
            self._expect(",")

    def _expect(self, character: str) -> None:
        found = self._next_character()
        if found != character:
            self._refuse(f"expected {character!r}, found {quote(found)}")
        self._position += 1

    def _next_character(self) -> str:
        """Return the next character that is no space, or '' at the end. The buffer then holds a whole value."""
        while True:
            if len(self._text) - self._position <= VALUE_MAX_CHARACTERS and not self._is_at_end:
                self._fill()
            found = NOT_SPACE.search(self._text, self._position)
            self._position = found.start() if found else len(self._text)
            if len(self._text) - self._position > VALUE_MAX_CHARACTERS or self._is_at_end:
                return found[0] if found else ""

    def _fill(self) -> None:
        """Read until the buffer holds more than the longest value, or the whole rest."""
        pieces = [self._text[self._position :]]
        length = len(pieces[0])
        while length <= 2 * VALUE_MAX_CHARACTERS and not self._is_at_end:
            data = self._read(READ_BYTES)
            self._is_at_end = not data
            try:
                piece = self._decode.decode(data, final=self._is_at_end)
            except UnicodeDecodeError as error:
                self._refuse(f"it is not UTF-8: {error.reason}")
            pieces.append(piece)
            length += len(piece)
        self._text = "".join(pieces)
        self._position = 0

    def _refuse(self, reason: str) -> NoReturn:
        raise BadPackage(f"{self._name} is not strict JSON: {reason}")
