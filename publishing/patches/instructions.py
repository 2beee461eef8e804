"""patch_instructions.json as conda-index reads it (versions 0, 1 and 2): changes of records by file name. Without I/O.

- `packages` has the changes of .tar.bz2 files, which hold for the .conda of the same name, too; `packages.conda` has
  those of .conda files alone.
- `revoke` and `remove` are lists of file names.
- Version 2 may change run exports (CEP 21).

Keys that patches can't change are left out and counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from channels_app import identifiers
from hub.sizes import MIB
from publishing import strict_json
from publishing.index.patching import FLAGS, RUN_EXPORTS, Changes
from publishing.patches.changes import KEYS, BadPatch, Checker
from publishing.wording import quote

FILE_NAME = "patch_instructions.json"
VERSION_MAX = 2
BYTES_MAX = 32 * MIB
DEPTH_MAX = 8
FILES_MAX = 250_000
# Some bytes make a value of 60 bytes in memory: 32 MiB of empty lists would take a gigabyte.
VALUES_MAX = 4_000_000
# Counted like a key: the instructions for files that have no name of a package.
NO_FILE_NAME = "(no file name)"


@dataclass(frozen=True, slots=True)
class Parsed:
    """Instructions: package name → file name → changes, and how many files have each key that was left out."""

    parts: dict[str, dict[str, dict[str, Any]]]
    ignored: dict[str, int]

    @property
    def file_count(self) -> int:
        return sum(map(len, self.parts.values()))


def parse(data: bytes) -> Parsed:
    """Return the instructions. Raise BadPatch if they are invalid, or if clients could not read a changed record."""
    if sum(map(data.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise BadPatch(f"{FILE_NAME} has more than the {VALUES_MAX:,} values allowed.")
    try:
        document = strict_json.loads_object(data, FILE_NAME, BYTES_MAX, DEPTH_MAX)
    except strict_json.NotStrictJson as error:
        raise BadPatch(f"{error.reason}.") from error
    version = document.get("patch_instructions_version", 0)
    if type(version) is not int or not 0 <= version <= VERSION_MAX:
        raise BadPatch(f"{FILE_NAME} has version {quote(version)}; the hub knows versions up to {VERSION_MAX}.")
    files: dict[str, dict[str, Any]] = defaultdict(dict)
    ignored: Counter[str] = Counter()
    for file_name, changes in _entries(document):
        files[file_name] |= dict(_kept(changes, version, ignored))
    for key, flag in (("revoke", "revoked"), ("remove", "removed")):
        for file_name in _file_names(document, key):
            files[file_name][flag] = True
    return Parsed(_by_name(_checked(files), ignored), dict(ignored))


def _entries(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield file name and changes; those of `packages.conda` come last."""
    for section in ("packages", "packages.conda"):
        entries = document.get(section) or {}
        if not isinstance(entries, dict):
            raise BadPatch(f"{FILE_NAME} has {strict_json.kind(entries)} as {section}; expected an object.")
        for file_name, changes in entries.items():
            if not isinstance(changes, dict):
                raise BadPatch(f"{quote(file_name)} has {strict_json.kind(changes)}; expected an object.")
            if section == "packages" or file_name.endswith(".conda"):
                yield file_name, changes


def _kept(changes: Changes, version: int, ignored: Counter[str]) -> Iterator[tuple[str, Any]]:
    for key, change in changes.items():
        if key in FLAGS or key not in KEYS or (key == RUN_EXPORTS and version < VERSION_MAX):
            ignored[key] += 1
        else:
            yield key, change


def _file_names(document: Mapping[str, Any], key: str) -> list[str]:
    names = document.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadPatch(f"{FILE_NAME} has no list of file names as {key}.")
    return names


def _checked(files: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    if len(files) > FILES_MAX:
        raise BadPatch(f"{FILE_NAME} names {len(files):,} files; at most {FILES_MAX:,} are allowed.")
    checker = Checker()
    for file_name, changes in files.items():
        try:
            checker.check(changes)
        except BadPatch as error:
            raise BadPatch(f"{quote(file_name)}: {error.reason}") from error
        if changes:
            yield file_name, changes


def _by_name(
    files: Iterable[tuple[str, dict[str, Any]]], ignored: Counter[str]
) -> dict[str, dict[str, dict[str, Any]]]:
    parts: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for file_name, changes in files:
        name = _package_name(file_name)
        if name:
            parts[name][file_name] = changes
        else:
            ignored[NO_FILE_NAME] += 1
    return dict(parts)


def _package_name(file_name: str) -> str:
    """Return the name before version and build, or an empty string for another name than that of a package."""
    if len(file_name) > identifiers.FILE_NAME_MAX_CHARACTERS or not file_name.endswith(identifiers.EXTENSIONS):
        return ""
    name = file_name.rsplit("-", 2)[0] if file_name.count("-") >= 2 else ""
    is_name = len(name) <= identifiers.NAME_MAX_CHARACTERS and identifiers.PACKAGE_NAME.match(name)
    return name if is_name else ""
