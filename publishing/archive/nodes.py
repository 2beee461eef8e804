"""The node at a path of a package: in the archive, by its list, or both."""

from dataclasses import dataclass
from enum import Enum
from functools import cache

from publishing.archive import listing
from publishing.archive.tar import MemberKind


class NodeSource(Enum):
    """Which tar a member lies in, in the words of a sentence."""

    INFO = "the info archive"
    PKG = "the pkg archive"
    WHOLE = "the archive"


@dataclass(frozen=True, slots=True)
class Node:
    """The entry at a path: in the archive, by info/paths.json, in which tar, and its permissions."""

    kind: MemberKind | None
    listed: listing.PathType | None
    place: NodeSource | None = None
    mode: int = 0


# Half a million paths share these few nodes.
node = cache(Node)
NOTHING = node(None, None)
