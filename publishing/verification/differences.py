"""What can differ between a channel's database, index files and store, and what becomes of it. PURE."""

from dataclasses import dataclass
from enum import StrEnum


class DifferenceKind(StrEnum):
    """What `verify --repair` does about each stands in docs/operating.md."""

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
    """`key` is that of the store; `name` the package's, where one package name's part of an index differs."""

    kind: DifferenceKind
    key: str
    sentence: str
    name: str = ""

    @property
    def subdir(self) -> str:
        """Of the index that differs; empty for that of the whole channel."""
        folders = self.key.split("/")[1:-1]
        return folders[0] if folders else ""
