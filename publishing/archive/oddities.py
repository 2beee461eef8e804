"""Paths that cause problems on some system: refused if every client of the package has the problem, else a warning."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice

from publishing.archive import paths, system_names
from publishing.archive.errors import BadPackage
from publishing.archive.tar import MemberKind
from publishing.archive.tree import Tree
from publishing.wording import quote

NAMES_SHOWN = 3
WINDOWS_SUBDIRS = "win-"
# Subdirs whose clients may have a case-insensitive file system.
CASE_BLIND_SUBDIRS = ("noarch", "osx-", "win-")
ANY_SYSTEM = "noarch"


def warnings(tree: Tree, subdir: str) -> Iterator[str]:
    """Yield the warnings for a package of `subdir`. Raise BadPackage for a Windows package that Windows can't hold."""
    found: list[Iterator[str]] = []
    if subdir.startswith(WINDOWS_SUBDIRS):
        for problem in chain(_names_unfit_for_windows(tree, with_info=True), _short_names(tree), _collisions(tree)):
            raise BadPackage(f"{problem}; rename it, since this package is for Windows")
    if subdir == ANY_SYSTEM:
        found += [_names_unfit_for_windows(tree, with_info=False), _short_names(tree)]
    if subdir.startswith(CASE_BLIND_SUBDIRS):
        found.insert(0, (problem for problem, *_ in _names_of_other_case(tree)))
    for problems in (*found, _listed_below_info(tree)):
        yield from islice(problems, NAMES_SHOWN)


def _collisions(tree: Tree) -> Iterator[str]:
    """Yield a sentence for each two paths that differ by case alone, unless both are files of the same content."""
    return (problem for problem, path, other in _names_of_other_case(tree) if not tree.have_same_bytes(path, other))


def _names_of_other_case(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """Yield a sentence and both paths for each two that differ by case alone, unless both are directories."""
    seen: dict[bytes, str] = {}
    for path, found in tree.members():
        other = seen.setdefault(system_names.case_blind(path).encode(), path)
        if other is not path and not tree.kind_of(other) is found.kind is MemberKind.DIRECTORY:
            yield f"{quote(other)} and {quote(path)} differ by case alone", other, path


def _names_unfit_for_windows(tree: Tree, *, with_info: bool) -> Iterator[str]:
    for path, found in tree.members():
        is_meant = found.kind and (with_info or not path.startswith(paths.INFO_PREFIX))
        if is_meant and not system_names.fits_windows(path):
            yield f"{quote(path)} is a name that Windows cannot hold"


def _short_names(tree: Tree) -> Iterator[str]:
    """Yield a sentence for each name such as INDEX~1.JSO that Windows may take for a neighbour such as index.json."""
    shorts: dict[str, list[str]] = defaultdict(list)
    for path, _ in tree.members():
        parent, _, name = path.rpartition("/") if "~" in path else ("", "", "")
        if system_names.SHORT_SEGMENT.match(name):
            shorts[parent].append(name)
    for path, _ in tree.members() if shorts else ():
        parent, _, name = path.rpartition("/")
        for short in islice(shorts.get(parent, ()), NAMES_SHOWN):
            if system_names.may_be_short_for(short, name):
                yield f"{quote(short)} may be the short name of Windows of {quote(path)}"


def _listed_below_info(tree: Tree) -> Iterator[str]:
    """Yield a sentence for each listed file below info/: clients install these only if they are listed."""
    for path, found in tree.members():
        if found.listed and path.startswith(paths.INFO_PREFIX):
            yield f"{tree.listing_name} lists {quote(path)}, so that clients put it into the environment"
