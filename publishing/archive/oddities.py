"""Warnings about paths that are allowed but may trouble some client."""

from collections.abc import Iterator
from itertools import islice

from publishing.archive import paths
from publishing.archive.rules import shown
from publishing.archive.tree import PATHS_JSON, Tree

NAMES_SHOWN = 3
# Where files that differ by case alone overwrite each other.
CASE_BLIND_SUBDIRS = ("noarch", "osx-", "win-")
WINDOWS_SUBDIRS = ("noarch", "win-")


def warnings(tree: Tree, subdir: str) -> Iterator[str]:
    """The sentences for a package of `subdir`."""
    if subdir.startswith(CASE_BLIND_SUBDIRS):
        yield from islice(_case_collisions(tree), NAMES_SHOWN)
    if subdir.startswith(WINDOWS_SUBDIRS):
        yield from islice(_names_unfit_for_windows(tree), NAMES_SHOWN)
    yield from islice(_listed_below_info(tree), NAMES_SHOWN)


def _case_collisions(tree: Tree) -> Iterator[str]:
    seen: dict[bytes, str] = {}
    for path, _ in tree.members():
        other = seen.setdefault(path.casefold().encode(), path)
        if other is not path:
            yield f"{shown(other)} and {shown(path)} differ by case alone"


def _names_unfit_for_windows(tree: Tree) -> Iterator[str]:
    for path, found in tree.members():
        if found.kind and not path.startswith(paths.INFO_PREFIX) and not paths.fits_windows(path):
            yield f"{shown(path)} is a name that Windows cannot hold"


def _listed_below_info(tree: Tree) -> Iterator[str]:
    """Of files below info/, which are the package's own and which clients leave out unless they are listed."""
    for path, found in tree.members():
        if found.listed and path.startswith(paths.INFO_PREFIX):
            yield f"{PATHS_JSON} lists {shown(path)}, so that clients put it into the environment"
