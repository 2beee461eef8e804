"""The check of changes that somebody wrote: clients can read every record that has them. Without I/O.

index/patching.py defines the changes.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from publishing import strict_json
from publishing.archive.documents import RUN_EXPORT_KINDS
from publishing.archive.errors import BadPackage
from publishing.archive.limits import Budget, Limits
from publishing.archive.specs import SpecReader
from publishing.index.patching import FLAGS, LISTS, RUN_EXPORTS, TEXTS
from publishing.wording import quote

KEYS = (*LISTS, *TEXTS, RUN_EXPORTS, *FLAGS)
EDITS = ("remove", "replace", "add")
SPECS_MAX, SPEC_MAX_CHARACTERS = 2000, 1024
TEXT_MAX_CHARACTERS = 1000
DEPTH_MAX = 4


class BadPatch(Exception):  # noqa: N818  (it names the fault of a patch)
    """A patch that the hub does not take; `reason` is one sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Checker:
    """The check of many changes: each distinct spec is read once."""

    def __init__(self) -> None:
        self._specs = SpecReader(Budget.for_info("the patch", 0, Limits()))

    def check(self, changes: Mapping[str, Any]) -> None:
        """Raise BadPatch if a change is invalid, or makes a record that clients read differently or not at all."""
        try:
            strict_json.check(dict(changes), DEPTH_MAX)
        except ValueError as error:
            raise BadPatch(f"The changes are not strict JSON: {error}.") from error
        for key, change in changes.items():
            if key in LISTS:
                self._check_list(key, change)
            elif key in TEXTS:
                _check_text(key, change)
            elif key == RUN_EXPORTS:
                self._check_run_exports(change)
            elif key in FLAGS:
                if change is not True:
                    _refuse(key, change, "true, or no such key")
            else:
                raise BadPatch(f"Patches can't change {quote(key)}; expected some of {', '.join(KEYS)}.")

    def _check_list(self, key: str, change: object) -> None:
        if not isinstance(change, Mapping):
            self._check_specs(key, change)
            return
        if not change or not set(change) <= set(EDITS):
            _refuse(key, sorted(change), f"some of {', '.join(EDITS)}")
        self._check_specs(key, change.get("add", []))
        _check_texts(key, change.get("remove", []))
        replaced = change.get("replace", {})
        if not isinstance(replaced, Mapping):
            _refuse(f"{key}.replace", replaced, "an object: spec → spec")
        _check_texts(key, list(replaced))
        self._check_specs(key, list(replaced.values()))

    def _check_run_exports(self, change: object) -> None:
        if not isinstance(change, Mapping) or not set(change) <= set(RUN_EXPORT_KINDS):
            _refuse(RUN_EXPORTS, change, f"an object with some of {', '.join(RUN_EXPORT_KINDS)}")
        for kind, specs in change.items():
            self._check_specs(f"{RUN_EXPORTS}.{kind}", specs)

    def _check_specs(self, key: str, specs: object) -> None:
        for spec in _check_texts(key, specs):
            try:
                reading = self._specs.read(spec)
            except BadPackage as error:
                raise BadPatch(f"{error}.") from error
            if reading.problem:
                raise BadPatch(f"{quote(spec)} in {key} is refused: {reading.problem}.")
            if reading.needs_v3:
                raise BadPatch(f"{quote(spec)} in {key} needs repodata revision 3, which patches can't ask for.")


def _check_texts(key: str, specs: object) -> list[str]:
    if not isinstance(specs, list) or not all(isinstance(spec, str) for spec in specs):
        _refuse(key, specs, "a list of texts")
    if len(specs) > SPECS_MAX:
        raise BadPatch(f"{key} has {len(specs)} entries; at most {SPECS_MAX} are allowed.")
    longest = max(specs, key=len, default="")
    if len(longest) > SPEC_MAX_CHARACTERS or "" in specs:
        found = f"an entry of {len(longest)} characters" if longest else "an empty entry"
        raise BadPatch(f"{key} has {found}; expected 1 to {SPEC_MAX_CHARACTERS} characters.")
    return specs


def _check_text(key: str, change: object) -> None:
    if change is not None and (not isinstance(change, str) or len(change) > TEXT_MAX_CHARACTERS):
        _refuse(key, change, f"a text of at most {TEXT_MAX_CHARACTERS} characters, or null to remove it")


def _refuse(key: str, found: object, expected: str) -> NoReturn:
    raise BadPatch(f"{key} is {quote(found)}; expected {expected}.")
