"""Kinds of differences between a channel's database, index files and store."""

from dataclasses import dataclass
from enum import StrEnum


class DifferenceKind(StrEnum):
    """A kind of difference. docs/operating.md has the effect of `verify --repair` on each."""

    MISSING_BYTES = "missing bytes"
    WRONG_BYTES = "wrong bytes"
    RIGHT_AGAIN = "right again"
    SIDECAR = "sidecar"
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
    def subdir(self) -> str:
        """Return the subdir of the index that differs, or an empty string for the index of the whole channel."""
        folders = self.key.split("/")[1:-1]
        return folders[0] if folders else ""
