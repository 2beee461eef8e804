"""Previews: the records that differ between two lists of active patches.

Memory stays flat: names are compared in batches, and only artifacts that the lists treat differently are read.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from channels_app.models import Artifact, Channel, Package
from hub.errors import unprocessable
from hub.sizes import MIB, human_size
from publishing import name_globs
from publishing.index import active_patches, patching, repodata
from publishing.index.canary import MACHINE_ERRORS, ArtifactEntry, parse_as_clients
from publishing.index.fragments import DOCUMENTS_AT_ONCE, UNUSED
from publishing.index.patching import Changes
from publishing.models import Patch, PatchedName
from publishing.wording import quote

SHOWN_MAX = 100
NAMES_AT_ONCE = 200
# By which the records of a channel can grow. A list of 64 KiB in each of 10,000 records would make an index of 640 MB.
GROWTH_MAX_BYTES = 64 * MIB

Pair = tuple[tuple[Changes, ...], tuple[Changes, ...]]


@dataclass(frozen=True, slots=True)
class RecordChange:
    """The keys of one record that change: key → its values before and after, None where it is missing."""

    subdir: str
    file_name: str
    keys: Mapping[str, tuple[Any, Any]]


@dataclass(slots=True)
class Preview:
    """The difference: the number of records, the first of them, and the package names by subdir.

    `growth_bytes`: how much longer the records are than those of the packages, about.
    """

    record_count: int = 0
    growth_bytes: int = 0
    shown: list[RecordChange] = field(default_factory=list)
    names: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    removed_from: set[str] = field(default_factory=set)

    def add(self, name: str, change: RecordChange, growth_bytes: int) -> None:
        self.record_count += 1
        self.growth_bytes += growth_bytes
        self.names[change.subdir].add(name)
        if change.keys.get("removed") == (False, True):
            self.removed_from.add(change.subdir)
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(change)


def compare(channel: Channel, before: Sequence[Patch], after: Sequence[Patch]) -> Preview:
    """Return the difference. Raise HubError 422 if clients could not read one of the records after it."""
    preview = Preview()
    names = candidate_names(channel, [patch for patch in (*before, *after) if (patch in before) != (patch in after)])
    for start in range(0, len(names), NAMES_AT_ONCE):
        _compare(channel, before, after, names[start : start + NAMES_AT_ONCE], preview)
    return preview


def candidate_names(channel: Channel, patches: Iterable[Patch]) -> list[str]:
    """Return the names of the channel's packages that one of the patches can select."""
    every = set(Package.objects.filter(channel=channel).values_list("name", flat=True))
    found: set[str] = set()
    for patch in patches:
        found.update(filter(may_select(patch), every - found))
    return sorted(found)


def may_select(patch: Patch) -> Callable[[str], bool]:
    """Return the condition on package names of which the patch can select a file."""
    if patch.is_import:
        return imported_names(patch).__contains__
    return lambda name: not patch.names or name_globs.matches(name, patch.names)


def imported_names(patch: Patch) -> set[str]:
    if patch.parts is not None:
        return set(patch.parts)
    return set(PatchedName.objects.filter(patch=patch).values_list("name", flat=True))


def of_artifact(artifact: Artifact) -> RecordChange | None:
    """Return how active patches change the record of an artifact whose documents are at hand; None if they don't."""
    changes = active_patches.changes_of(artifact)
    keys = _changed_keys(artifact, (), changes) if changes else {}
    return RecordChange(artifact.subdir, artifact.file_name, keys) if keys else None


def _compare(
    channel: Channel, before: Sequence[Patch], after: Sequence[Patch], names: Sequence[str], preview: Preview
) -> None:
    """Add the difference of the records of these names."""
    old, new = active_patches.loaded(before, names), active_patches.loaded(after, names)
    listed = Artifact.objects.filter(channel=channel, removal="", quarantine_reason="", package__name__in=names)
    pairs: dict[int, Pair] = {}
    for pk, place in active_patches.places(listed, [*old, *new]):
        pair = patching.changes_of(old, place), patching.changes_of(new, place)
        if pair[0] != pair[1]:
            pairs[pk] = pair
    for rows in _documents(list(pairs)):
        changed = [(row, pairs[row.pk], keys) for row in rows if (keys := _changed_keys(row, *pairs[row.pk]))]
        _check_readable([(row, pair[1]) for row, pair, _ in changed])
        for row, _, keys in changed:
            change = RecordChange(row.subdir, row.file_name, keys)
            preview.add(row.package.name, change, growth_bytes=_growth_bytes(row, pairs[row.pk][1]))


def check_growth(preview: Preview) -> None:
    """Raise HubError 422 if the records would become too long together."""
    if preview.growth_bytes > GROWTH_MAX_BYTES:
        raise unprocessable(
            "patch_too_large",
            f"Patches would make the records longer than those of the packages by more than "
            f"{human_size(GROWTH_MAX_BYTES)}. "
            "Nothing was changed. Add fewer specs, or select fewer packages.",
        )


def _documents(pks: Sequence[int]) -> Iterator[list[Artifact]]:
    """Yield the artifacts with their documents in batches. One batch is of one subdir."""
    for start in range(0, len(pks), DOCUMENTS_AT_ONCE):
        found = Artifact.objects.filter(pk__in=pks[start : start + DOCUMENTS_AT_ONCE]).defer(*UNUSED)
        rows = found.select_related("package").order_by("subdir", "package__name", "pk")
        for _, of_subdir in groupby(rows, key=lambda row: row.subdir):
            yield list(of_subdir)


def _changed_keys(row: Artifact, before: tuple[Changes, ...], after: tuple[Changes, ...]) -> dict[str, tuple[Any, Any]]:
    old, new = _shown_record(row, before), _shown_record(row, after)
    return {key: (old.get(key), new.get(key)) for key in (old | new) if old.get(key) != new.get(key)}


def _growth_bytes(row: Artifact, changes: tuple[Changes, ...]) -> int:
    """Return the length that all patches add to the record, about. Many small patches add up."""
    return len(repr(_shown_record(row, changes))) - len(repr(_shown_record(row, ())))


def _shown_record(row: Artifact, changes: tuple[Changes, ...]) -> dict[str, Any]:
    """Return the record with the changes by patches beside it."""
    patched = patching.patched(row, changes)
    beside = {"run_exports": patched.run_exports, "removed": patching.is_removed(changes)}
    return repodata.record(patched) | beside


def _check_readable(rows: Sequence[tuple[Artifact, tuple[Changes, ...]]]) -> None:
    if not rows:
        return
    try:
        parse_as_clients(rows[0][0].subdir, [_entry(*row) for row in rows])
    except MACHINE_ERRORS:
        raise
    except Exception as error:
        if len(rows) > 1:
            for row in rows:
                _check_readable([row])
        artifact = rows[0][0]
        raise unprocessable(
            "unreadable_record",
            f"With this patch, clients can't read the record of {artifact.path}: "
            f"{quote(str(error))}. Nothing was changed; correct the patch.",
        ) from error


def _entry(row: Artifact, changes: tuple[Changes, ...]) -> ArtifactEntry:
    patched = patching.patched(row, changes)
    return ArtifactEntry(repodata.entries(patched, is_newest=False), b"")
