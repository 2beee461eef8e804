"""Checks of the install paths of a noarch python package: clients move `site-packages` and `python-scripts`."""

import re

from publishing.archive.errors import BadPackage
from publishing.archive.tar import MemberKind
from publishing.archive.tree import Tree
from publishing.wording import quote

# Folders that conda and rattler move. rattler also moves a file of this name.
MOVED = ("site-packages", "python-scripts")
# Paths that may end in the same place, moved or unchanged, on some system and for some Python version.
BIN = re.compile(r"(?:(?P<moved>python-scripts)|bin|(?i:scripts))/(?P<rest>.+)", re.DOTALL)
SITE_PACKAGES = re.compile(
    r"(?:(?P<moved>site-packages)|lib/python[^/]+/site-packages|(?i:lib)/site-packages)/(?P<rest>.+)", re.DOTALL
)


def check(tree: Tree) -> None:
    """Refuse files instead of the two folders, and files of which one would replace another."""
    for folder in MOVED:
        kind = tree.kind_of(folder)
        if kind not in (None, MemberKind.DIRECTORY):
            raise BadPackage(
                f"the member {quote(folder)} is {kind.value}: conda installs it, rattler takes it for the folder; "
                "rename it"
            )
    for folders in (BIN, SITE_PACKAGES):
        _check_place(tree, folders)


def _check_place(tree: Tree, folders: re.Pattern[str]) -> None:
    """Refuse moved and fixed files with equal install paths, or with one below the other."""
    moved: set[bytes] = set()
    fixed: set[bytes] = set()
    for path, node in tree.members():
        if node.kind not in (None, MemberKind.DIRECTORY) and (found := folders.fullmatch(path)):
            # NUL instead of the slash, so that sorting puts the content of a folder right after the folder.
            (moved if found["moved"] else fixed).add(found["rest"].replace("/", "\x00").encode())
    above: list[bytes] = []
    for place in sorted(moved | fixed) if moved and fixed else ():
        while above and not place.startswith(above[-1] + b"\x00"):
            above.pop()
        is_both = place in moved and place in fixed
        if is_both or any((other in moved) != (place in moved) for other in above):
            name = quote(place.replace(b"\x00", b"/"))
            raise BadPackage(
                f"of the files that come to {name} where Python has its own, one lies in 'python-scripts/' or "
                "'site-packages/' and one does not: the client decides which one counts; build it with one"
            )
        above.append(place)
