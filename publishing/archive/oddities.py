"""Paths that trouble some system: refused where every client of the package has it, else a warning."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice

from publishing.archive import paths, system_names
from publishing.archive.rules import BadPackage, shown
from publishing.archive.tar import Kind
from publishing.archive.tree import Tree

NAMES_SHOWN = 3
WINDOWS_SUBDIRS = "win-"
# Where files that differ by case alone overwrite each other.
CASE_BLIND_SUBDIRS = ("noarch", "osx-")
ANY_SYSTEM = "noarch"


def warnings(tree: Tree, subdir: str) -> Iterator[str]:
    """The sentences for a package of `subdir`. Raises BadPackage for one of Windows that Windows can't hold."""
    if subdir.startswith(WINDOWS_SUBDIRS):
        unfit = _names_unfit_for_windows(tree, with_info=True)
        for problem in chain(_case_collisions(tree, alike=False), unfit, _short_names(tree)):
            raise BadPackage(f"{problem}; rename it, since this package is for Windows")
        yield from islice(_case_collisions(tree, alike=True), NAMES_SHOWN)
    if subdir.startswith(CASE_BLIND_SUBDIRS):
        yield from islice(chain(*(_case_collisions(tree, alike=alike) for alike in (False, True))), NAMES_SHOWN)
    if subdir == ANY_SYSTEM:
        yield from islice(_names_unfit_for_windows(tree, with_info=False), NAMES_SHOWN)
        yield from islice(_short_names(tree), NAMES_SHOWN)
    yield from islice(_listed_below_info(tree), NAMES_SHOWN)


def _case_collisions(tree: Tree, *, alike: bool) -> Iterator[str]:
    """Of two names that are one where case does not count, with the same bytes (`alike`) or others."""
    seen: dict[bytes, tuple[str, Kind | None]] = {}
    for path, found in tree.members():
        other, kind = seen.setdefault(path.casefold().encode(), (path, found.kind))
        is_harmless = kind is found.kind is Kind.DIRECTORY
        if other is not path and not is_harmless and tree.have_same_bytes(other, path) == alike:
            yield f"{shown(other)} and {shown(path)} differ by case alone"


def _names_unfit_for_windows(tree: Tree, *, with_info: bool) -> Iterator[str]:
    for path, found in tree.members():
        is_meant = found.kind and (with_info or not path.startswith(paths.INFO_PREFIX))
        if is_meant and not system_names.fits_windows(path):
            yield f"{shown(path)} is a name that Windows cannot hold"


def _short_names(tree: Tree) -> Iterator[str]:
    """Of names such as INDEX~1.JSO beside an index.json, which Windows may take for one."""
    shorts: dict[str, list[str]] = defaultdict(list)
    for path, _ in tree.members():
        parent, _, name = path.rpartition("/")
        if "~" in name and system_names.SHORT_SEGMENT.match(name):
            shorts[parent].append(name)
    for path, _ in tree.members() if shorts else ():
        parent, _, name = path.rpartition("/")
        for short in islice(shorts.get(parent, ()), NAMES_SHOWN):
            if system_names.may_be_short_for(short, name):
                yield f"{shown(short)} may be the short name of Windows of {shown(path)}"


def _listed_below_info(tree: Tree) -> Iterator[str]:
    """Of files below info/, which are the package's own and which clients leave out unless they are listed."""
    for path, found in tree.members():
        if found.listed and path.startswith(paths.INFO_PREFIX):
            yield f"{tree.listing_name} lists {shown(path)}, so that clients put it into the environment"
