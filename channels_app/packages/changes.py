"""Changes of a build against the build of the version before: dependencies, run exports and files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from channels_app.models import Artifact
from channels_app.packages.excerpts import Excerpt, cut, excerpt
from channels_app.packages.metadata import LINE_MAX_CHARACTERS, SPECS_MAX_CHARACTERS, SPECS_SHOWN, split_spec

PATHS_SHOWN, PATHS_MAX_CHARACTERS = 50, 8000


@dataclass(frozen=True, slots=True)
class Change:
    """A value before and after; '' if it is missing. Only one of them may be missing."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FileChanges:
    """Paths that were added or removed, or have another size."""

    added: Excerpt[str]
    removed: Excerpt[str]
    resized: Excerpt[str]

    @property
    def kinds(self) -> list[tuple[str, Excerpt[str]]]:
        return [("added", self.added), ("removed", self.removed), ("of another size", self.resized)]

    @property
    def total(self) -> int:
        return sum(paths.total for _, paths in self.kinds)


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes since the artifact `before`. `files` is None if one of both has too many files to compare."""

    before: Artifact
    after: Artifact
    depends: Excerpt[Change]
    constrains: Excerpt[Change]
    run_exports: Excerpt[Change]
    files: FileChanges | None

    @property
    def specs(self) -> list[tuple[str, Excerpt[Change]]]:
        """Return the changes of match specs by their kind, without kinds that did not change."""
        kinds = (("dependency", self.depends), ("constraint", self.constrains), ("run export", self.run_exports))
        return [(kind, found) for kind, found in kinds if found.total]

    @property
    def bytes_more(self) -> int:
        return self.after.size_bytes - self.before.size_bytes


def of(before: Artifact, after: Artifact) -> Changes:
    """Compare two artifacts whose documents are loaded by queries.show_documents()."""
    both = (before, after)
    return Changes(
        before=before,
        after=after,
        depends=_changed(*(_by_name(each.index_json.get("depends")) for each in both)),
        constrains=_changed(*(_by_name(each.index_json.get("constrains")) for each in both)),
        run_exports=_changed(*(_by_kind(each.run_exports) for each in both)),
        files=_files(*(dict(each.files) for each in both)) if all(map(_has_all_files, both)) else None,
    )


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Excerpt[Change]:
    found = [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    return excerpt(found, most=SPECS_SHOWN, characters=SPECS_MAX_CHARACTERS, size=_size)


def _by_name(specs: object) -> dict[str, str]:
    """Return package → its constraints; `any` if it has none."""
    found: dict[str, list[str]] = {}
    for name, constraint in map(split_spec, specs if isinstance(specs, list) else ()):
        found.setdefault(name, []).append(constraint or "any")
    return {name: ", ".join(sorted(constraints)) for name, constraints in found.items()}


def _by_kind(exports: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {kind: cut(", ".join(sorted(specs)), LINE_MAX_CHARACTERS) for kind, specs in exports.items()}


def _has_all_files(artifact: Artifact) -> bool:
    """Tell whether the list of files is complete. It is cut for large packages, and not loaded if it is long."""
    return len(artifact.files) == artifact.file_count


def _files(before: Mapping[str, int], after: Mapping[str, int]) -> FileChanges:
    return FileChanges(
        added=_paths(after.keys() - before.keys()),
        removed=_paths(before.keys() - after.keys()),
        resized=_paths(path for path in before.keys() & after.keys() if before[path] != after[path]),
    )


def _paths(found: Iterable[str]) -> Excerpt[str]:
    paths = [cut(path, LINE_MAX_CHARACTERS) for path in sorted(found)]
    return excerpt(paths, most=PATHS_SHOWN, characters=PATHS_MAX_CHARACTERS, size=len)


def _size(change: Change) -> int:
    return len(change.name) + len(change.before) + len(change.after)
