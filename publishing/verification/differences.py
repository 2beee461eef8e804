"""Kinds of differences between a channel's database, index files and store."""

from dataclasses import dataclass
from enum import StrEnum


class DifferenceKind(StrEnum):
    """A kind of difference. docs/operating.md has the effect of `verify --repair` on each."""

    MISSING_BYTES = "missing bytes"
    WRONG_BYTES = "wrong bytes"
    RIGHT_AGAIN = "right again"
    SIDECAR = "sidecar"
    CACHED = "cached file"
    SIZE = "size"
    MEMBER = "member"
    INDEX = "index"
    LEFTOVER = "leftover"
    UNKNOWN_PACKAGE = "unknown package"
    UNKNOWN_FILE = "unknown file"
    UNKNOWN_CHANNEL = "unknown channel"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference. `key`: the key in the store. `name`: the package name, if its part of an index differs."""

    kind: DifferenceKind
    key: str
    sentence: str
    name: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Return label and subdir of the index that differs. The subdir is empty for the index of the whole channel."""
        return place_of(self.key)[:2]


def place_of(key: str) -> tuple[str, str, str]:
    """Split a key below a channel's folder into label, subdir and path. The label is empty for the channel's files."""
    path, label = key.partition("/")[2], ""
    if path.startswith("label/"):
        label, _, path = path.removeprefix("label/").partition("/")
    subdir, slash, rest = path.partition("/")
    return (label, subdir, rest) if slash else (label, "", subdir)
