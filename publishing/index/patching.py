"""Patches: changes of repodata records (hotfixes), as conda-index applies patch_instructions.json. Without I/O.

`Changes` map a key of the record to its change:

- `depends`, `constrains`: the new list, or an object with some of `remove` (specs), `replace` (spec → spec) and `add`
  (specs), applied in this order. A bare name stands for every spec of that package that is not named itself.
- `license`, `license_family`, `track_features`, `features`: the new text, or null to remove the key.
- `run_exports`: the new run exports in CEP 12's form (CEP 21).
- `removed`: true moves the record into `removed`. `revoked`: true makes it impossible to install.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeVar

from rattler import Version, VersionSpec

from publishing import name_globs

Changes = Mapping[str, Any]

LISTS = ("depends", "constrains")
TEXTS = ("license", "license_family", "track_features", "features")
FLAGS = ("removed", "revoked")
RUN_EXPORTS = "run_exports"
# No channel has this package, so that a record that needs it can't be installed.
REVOKED = "package_has_been_revoked"
NAME_OF_SPEC = re.compile(r"(?:[^\s\[]*::)?([^\s=<>!~\[]+)")


class Place(Protocol):
    """The columns of an artifact by which patches select it. `timestamp`: when it was built in ms, 0 if unknown."""

    subdir: str
    name: str
    version: str
    build: str
    file_name: str
    timestamp: int


class Documents(Protocol):
    """The documents of an artifact that patches change."""

    index_json: Any
    run_exports: Any


AnyRow = TypeVar("AnyRow", bound=Documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A patch of every record that meets all conditions. An empty condition holds for all records.

    `names` and `build` are case-sensitive globs. `built_from` and `built_before` are in milliseconds.
    """

    changes: Changes
    names: Sequence[str] = ()
    subdirs: Sequence[str] = ()
    version: VersionSpec | None = None
    build: str = ""
    built_from: int | None = None
    built_before: int | None = None
    _known_names: dict[str, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def needs_timestamp(self) -> bool:
        return self.built_from is not None or self.built_before is not None

    def changes_of(self, place: Place) -> Changes:
        return self.changes if self._selects(place) else {}

    def _selects(self, place: Place) -> bool:
        return (
            self._selects_name(place.name)
            and (not self.subdirs or place.subdir in self.subdirs)
            and (not self.build or fnmatchcase(place.build, self.build))
            and (self.built_from is None or place.timestamp >= self.built_from)
            and (self.built_before is None or place.timestamp < self.built_before)
            and (self.version is None or self.version.matches(Version(place.version)))
        )

    def _selects_name(self, name: str) -> bool:
        if name not in self._known_names:
            self._known_names[name] = not self.names or name_globs.matches(name, self.names)
        return self._known_names[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """The part of a patch_instructions.json for some package names: file name → changes.

    As in conda-index, changes of a .tar.bz2 hold for the .conda of the same name, too; its own come after them.
    """

    subdir: str
    files: dict[str, Changes] = field(default_factory=dict)
    needs_timestamp: bool = False

    def changes_of(self, place: Place) -> Changes:
        if place.subdir != self.subdir:
            return {}
        found = self.files.get(place.file_name, {})
        if place.file_name.endswith(".conda"):
            twin = place.file_name.removesuffix(".conda") + ".tar.bz2"
            return {**self.files.get(twin, {}), **found}
        return found


AnyPatch = Rule | Instructions


def changes_of(patches: Sequence[AnyPatch], place: Place) -> tuple[Changes, ...]:
    """Return the changes of each patch that selects the artifact, in the order of the patches."""
    return tuple(changes for patch in patches if (changes := patch.changes_of(place)))


def is_removed(changes: Sequence[Changes]) -> bool:
    return any(each.get("removed") for each in changes)


def is_installable(changes: Sequence[Changes]) -> bool:
    """Tell whether clients can install the artifact: its record is in the index and was not revoked."""
    return not any(each.get("removed") or each.get("revoked") for each in changes)


def patched_depends(depends: Sequence[str], changes: Sequence[Changes]) -> Sequence[str]:
    for each in changes:
        depends = changed_index({"depends": depends}, each)["depends"]
    return depends


def patched(row: AnyRow, changes: Sequence[Changes]) -> AnyRow:
    """Return the row with its documents changed: the same row if there are no changes, else a copy."""
    if not changes:
        return row
    row = copy.copy(row)
    for each in changes:
        row.index_json = changed_index(row.index_json, each)
        row.run_exports = each.get(RUN_EXPORTS, row.run_exports)
    return row


def has_effect(row: AnyRow, changes: Sequence[Changes]) -> bool:
    """Tell whether the index has another record, or none, with these changes."""
    new = patched(row, changes)
    is_same = _with_lists(new.index_json) == _with_lists(row.index_json) and new.run_exports == row.run_exports
    return is_removed(changes) or not is_same


def _with_lists(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return index.json with the lists that each record has."""
    return {"depends": [], "constrains": [], **index}


def changed_index(index: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Return index.json with the changes."""
    result = dict(index)
    for key in LISTS:
        if key in changes:
            result[key] = changed_specs(_listed(result.get(key)), changes[key])
    for key in TEXTS:
        if key in changes:
            result[key] = changes[key]
            if changes[key] is None:
                del result[key]
    if changes.get("revoked"):
        result |= {"revoked": True, "depends": [*_listed(result.get("depends")), REVOKED]}
    return result


def changed_specs(specs: Sequence[str], change: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Return the list of specs with its change."""
    if not isinstance(change, Mapping):
        return list(change)
    removed, replaced = set(change.get("remove", ())), change.get("replace", {})
    named = [(spec, name_of(spec)) for spec in specs]
    kept = [
        replaced.get(spec, replaced.get(name, spec))
        for spec, name in named
        if spec not in removed and name not in removed
    ]
    present = set(kept)
    return kept + [spec for spec in change.get("add", ()) if spec not in present]


def name_of(spec: str) -> str:
    """Return the package name of a spec; an empty string if there is none."""
    found = NAME_OF_SPEC.match(spec.strip())
    return found[1].lower() if found else ""


def _listed(value: object) -> list[str]:
    return value if isinstance(value, list) else []
