"""Nodes: a path of a package as its archive and its list describe it."""

from dataclasses import dataclass
from enum import Enum
from functools import cache

from publishing.archive import listing
from publishing.archive.tar import MemberKind


class NodeSource(Enum):
    """The tar that holds a member. The values are words for messages."""

    INFO = "the info archive"
    PKG = "the pkg archive"
    WHOLE = "the archive"


@dataclass(frozen=True, slots=True)
class Node:
    """A path's kind in the archive, its type in the list, the tar that holds it, and its permissions."""

    kind: MemberKind | None
    listed: listing.PathType | None
    place: NodeSource | None = None
    mode: int = 0


# Cached, since half a million paths share a few distinct nodes.
node = cache(Node)
NOTHING = node(None, None)
