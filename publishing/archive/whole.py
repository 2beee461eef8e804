"""Checks of a tree after all members were read: parents, detours of links, names, and its list."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import pairwise

from publishing.archive import listing, paths
from publishing.archive.errors import BadPackage
from publishing.archive.nodes import NOTHING, Node
from publishing.archive.tar import MemberKind
from publishing.wording import quote

INFO_PREFIX = b"info/"

Nodes = Mapping[bytes, Node]
# A symlink, and a directory that its target enters and leaves again.
Detour = tuple[str, str]


def check(nodes: Nodes, detours: Iterable[Detour]) -> None:
    """Refuse members below a file or link, detours through other nodes than directories, and names equal in NFC."""
    ordered = _ordered(nodes)
    _check_parents(nodes, ordered)
    _check_detours(nodes, ordered, detours)
    _check_composed_names(nodes)


def check_listing(nodes: Nodes, name: str) -> None:
    """Check that the list `name` has exactly the members outside info/, without directories."""
    for raw_path, found in nodes.items():
        is_info = raw_path == b"info" or raw_path.startswith(INFO_PREFIX)
        if fault := "" if is_info and not found.listed else _mismatch(found):
            raise BadPackage(f"{name} {fault.format(quote(raw_path.decode()))}")


def _ordered(nodes: Nodes) -> list[bytes]:
    """Return the members' paths in an order in which a directory's content follows it: NUL replaces the slash."""
    return sorted(path.replace(b"/", b"\x00") for path, found in nodes.items() if found.kind is not None)


def _check_detours(nodes: Nodes, ordered: list[bytes], detours: Iterable[Detour]) -> None:
    """Refuse a symlink with a `..` after something else than a directory of the archive."""
    for path, directory in detours:
        found = nodes.get(directory.encode(), NOTHING).kind
        below = directory.encode().replace(b"/", b"\x00") + b"\x00"
        following = ordered[bisect_left(ordered, below) :][:1] if found is None else []
        if found is not MemberKind.DIRECTORY and not any(other.startswith(below) for other in following):
            raise BadPackage(
                f"the symlink {quote(path)} has a '..' after {quote(directory)}, no directory of the package; "
                "link to the file directly"
            )


def _check_parents(nodes: Nodes, ordered: list[bytes]) -> None:
    for parent, child in pairwise(ordered):
        path = parent.replace(b"\x00", b"/")
        kind = nodes[path].kind
        if kind not in (None, MemberKind.DIRECTORY) and child.startswith(parent + b"\x00"):
            below = child.replace(b"\x00", b"/").decode()
            raise BadPackage(f"the member {quote(below)} lies below {quote(path.decode())}, which is no directory")


def _check_composed_names(nodes: Nodes) -> None:
    seen: dict[str, bytes] = {}
    for raw_path in nodes:
        if raw_path.isascii():
            continue
        path = raw_path.decode()
        other = seen.setdefault(paths.same_name(path), raw_path)
        if other is not raw_path:
            raise BadPackage(
                f"the names {quote(other.decode())} and {quote(path)} differ in Unicode normalisation alone"
            )


def _mismatch(found: Node) -> str:
    """Return the fault of the list about a path outside info/, with `{}` for the path; '' if it is right."""
    if found.kind is None:
        return "lists {}, which the archive does not hold"
    if found.listed is None:
        return "" if found.kind is MemberKind.DIRECTORY else "does not list {}, which the archive holds"
    if found.listed is listing.PathType.OLD and found.kind is MemberKind.DIRECTORY:
        return "lists the directory {}, which no client can link; list files alone"
    if found.kind not in listing.KINDS[found.listed]:
        return f"calls {{}} a {found.listed.value}; the archive holds {found.kind.value}"
    return ""
