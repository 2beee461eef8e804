"""Files in the indexes of several channels, as the active patches of these channels change them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from django.db.models import F, QuerySet, Value

from channels_app.models import Artifact
from channels_app.packages.timestamps import stated_ms
from publishing.index import active_patches, patching
from publishing.index.active_patches import ArtifactPlace
from publishing.index.patching import Changes

# The dependencies of one build may have a megabyte.
BUILDS_AT_ONCE = 50
COLUMNS = ("pk", "channel", "package", "subdir", "package__name", "version", "build", "build_number", "file_name")


class ListedFile(NamedTuple):
    """The columns of a file in an index. `timestamp` is stated by its build, if a patch depends on it."""

    pk: int
    channel_id: int
    package_id: int
    subdir: str
    name: str
    version: str
    build: str
    build_number: int
    file_name: str
    timestamp: Any


class PatchedIndex:
    """The indexes of several channels, for packages of these names. Two queries at most read the patches."""

    def __init__(self, channels: Collection[int], names: Sequence[str]) -> None:
        self._patches = active_patches.of_each(channels, names)
        self._needs_timestamp = any(each.needs_timestamp for found in self._patches.values() for each in found)

    def files(self, artifacts: QuerySet[Artifact]) -> list[ListedFile]:
        # The timestamp is in the long documents.
        timestamp = F("index_json__timestamp") if self._needs_timestamp else Value(0)
        return [ListedFile(*values) for values in artifacts.values_list(*COLUMNS, timestamp)]

    def is_installable(self, file: ListedFile) -> bool:
        """Tell whether clients can install the file."""
        return patching.is_installable(self._changes(file))

    def builds(self, artifacts: QuerySet[Artifact]) -> Iterator[tuple[ListedFile, Sequence[str]]]:
        """Yield the artifacts with their dependencies; none for one that patches remove."""
        rows = artifacts.values_list(*COLUMNS, "index_json__timestamp", "index_json__depends")
        for *values, depends in rows.iterator(BUILDS_AT_ONCE):
            file = ListedFile(*values)
            changes = self._changes(file)
            yield file, () if patching.is_removed(changes) else patching.patched_depends(depends or (), changes)

    def _changes(self, file: ListedFile) -> tuple[Changes, ...]:
        patches = self._patches.get(file.channel_id)
        if not patches:
            return ()
        timestamp = stated_ms(file.timestamp) or 0
        place = ArtifactPlace(file.subdir, file.name, file.version, file.build, file.file_name, timestamp)
        return patching.changes_of(patches, place)
