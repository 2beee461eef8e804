"""The records of current_repodata.json: the newest version of each name, and its dependencies.

The selection is that of conda-index. If no selected record satisfies a dependency, the newest older version that
satisfies it is added, with its own dependencies. A client whose solve fails falls back to repodata.json.
"""

from collections.abc import Callable, Iterator
from typing import Any

from rattler import BuildString, MatchSpec, PackageRecord, Version

SECTIONS = ("packages", "packages.conda")

Record = dict[str, Any]
Packages = dict[str, dict[str, Record]]  # section → file name → record


def select(newest: Packages, all_of: Callable[[str], Packages]) -> Packages:
    """Select the records from the `newest` of each name; `all_of(name)` returns its older ones, if needed."""
    chosen: dict[str, Packages] = {}
    for section, file_name, record in _each(newest):
        _add(chosen, section, file_name, record)
    to_do = [spec for _, _, record in _each(newest) for spec in record["depends"]]
    seen: set[str] = set()
    while to_do:
        spec = to_do.pop()
        if spec not in seen:
            seen.add(spec)
            for section, file_name, record in _missing(spec, chosen, all_of):
                _add(chosen, section, file_name, record)
                to_do += record["depends"]
    return _merged(chosen)


def _missing(
    spec: str, chosen: dict[str, Packages], all_of: Callable[[str], Packages]
) -> list[tuple[str, str, Record]]:
    """Return the newest records that satisfy `spec`.

    Returns an empty list if a chosen record satisfies it, or if this subdir lacks the name.
    """
    match = MatchSpec(spec)
    name = match.name.normalized if match.name else ""
    if name not in chosen or any(_satisfies(record, match) for _, _, record in _each(chosen[name])):
        return []
    fitting = [entry for entry in _each(all_of(name)) if _satisfies(entry[2], match)]
    last = max((Version(record["version"]) for _, _, record in fitting), default=None)
    return [entry for entry in fitting if Version(entry[2]["version"]) == last]


def _satisfies(record: Record, match: MatchSpec) -> bool:
    build = BuildString(record["build"])
    return match.matches(
        PackageRecord(record["name"], record["version"], build, record["build_number"], record["subdir"])
    )


def _each(packages: Packages) -> Iterator[tuple[str, str, Record]]:
    for section, records in packages.items():
        for file_name, record in records.items():
            yield section, file_name, record


def _add(chosen: dict[str, Packages], section: str, file_name: str, record: Record) -> None:
    chosen.setdefault(record["name"], {}).setdefault(section, {})[file_name] = record


def _merged(chosen: dict[str, Packages]) -> Packages:
    merged: Packages = {section: {} for section in SECTIONS}
    for packages in chosen.values():
        for section, records in packages.items():
            merged[section] |= records
    return merged
