"""The rule of the fuzz test: every client unpacks an accepted package to the same tree and reads the same list.

The list must be that of the tree.
"""

import json
from pathlib import Path

from publishing.archive.reader import DESCRIPTOR_WARNING, BadPackage, PackageInfo, read
from tests.fuzz.clients import NOT_BY_SINGLE_FILES, Clients, Tree, Unpacked


def problem(path: Path, clients: Clients) -> str | None:
    """Return the fault of the hub's verdict on the file at `path`: None if it is refused, '' if it is right."""
    try:
        info = read(path, path.name)
    except BadPackage as bad:
        return f"no reason: {bad.reason}" if "cannot be read" in bad.reason else None
    outcomes = clients.outcomes(path, from_file=DESCRIPTOR_WARNING not in info.warnings)
    if failed := {name: found for name, found in outcomes.items() if isinstance(found, str)}:
        return f"taken, but {failed}"
    unpacked = {name: found for name, found in outcomes.items() if not isinstance(found, str)}
    first = next(iter(unpacked.values()))
    if any(found != first for found in unpacked.values()):
        return f"taken, but they differ: {_differences(unpacked)}"
    return _listing_problem(info, *first) or _single_files_problem(clients.single_files(path), first[0])


def _listing_problem(info: PackageInfo, tree: Tree, listing: list[tuple[str, str, bool, str, str]]) -> str:
    """Return the differences between the list and the tree. Files below info/ may be listed."""
    listed = [path for path, *_ in listing]
    held = {path for path in tree if not path.startswith("info/")}
    if len(set(listed)) != len(listed) or not held <= set(listed) <= set(tree):
        return f"taken, but the list is {listed}, and unpacked were {sorted(tree)}"
    if {path for path, _ in info.files} != held:
        return f"taken, but the hub sees {info.files}, and unpacked were {sorted(tree)}"
    wrong = [path for path, kind, *_ in listing if (kind == "softlink") != (tree[path][0] == "symlink")]
    return f"taken, but the list has another kind of {wrong}" if wrong else ""


def _single_files_problem(found: Tree | str, tree: Tree) -> str:
    if isinstance(found, str):
        is_known = any(known in found for known in NOT_BY_SINGLE_FILES)
        return "" if is_known else f"taken, but rattler gives no single file: {found}"
    plain = {path: (kind, False, what) for path, (kind, _, what) in tree.items()}
    other = {path: entry for path, entry in found.items() if plain.get(path) != entry}
    return f"taken, but rattler's single files differ: {other}" if other else ""


def _differences(unpacked: dict[str, Unpacked]) -> str:
    items = {name: {*tree.items(), *listing} for name, (tree, listing) in unpacked.items()}
    common = set.intersection(*items.values())
    return json.dumps({name: sorted(map(str, each - common)) for name, each in items.items()})
