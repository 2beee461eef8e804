"""The active patches of a channel, as the index applies them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from django.db.models import QuerySet
from rattler import VersionSpec

from channels_app.models import Artifact, Channel
from channels_app.packages.timestamps import stated_ms
from publishing.index import patching
from publishing.index.patching import AnyPatch, Changes, Instructions, Rule
from publishing.models import Patch, PatchedName


def of(channel: Channel, names: Sequence[str]) -> list[AnyPatch]:
    """Return the active patches in their order, imported ones with the instructions for `names` alone."""
    return loaded(Patch.active(channel), names)


def of_each(channels: Collection[int], names: Sequence[str]) -> dict[int, list[AnyPatch]]:
    """Return channel id → its active patches, as of() does, by two queries. Channels without patches are left out."""
    rows = list(Patch.objects.filter(channel__in=channels, ended_at=None).order_by("position"))
    found: dict[int, list[AnyPatch]] = defaultdict(list)
    for row, patch in zip(rows, loaded(rows, names), strict=True):
        found[row.channel_id].append(patch)
    return dict(found)


def loaded(patches: Iterable[Patch], names: Sequence[str]) -> list[AnyPatch]:
    """Return these patches in this form."""
    rows = list(patches)
    saved = _files([row.pk for row in rows if row.is_import and row.parts is None], names)
    return [_instructions(row, names, saved) if row.is_import else _rule(row) for row in rows]


def _instructions(row: Patch, names: Sequence[str], saved: Mapping[int, dict[str, Changes]]) -> Instructions:
    if row.parts is None:
        return Instructions(subdir=row.import_subdir, files=saved.get(row.pk, {}))
    parts = (row.parts.get(name, {}) for name in names)
    return Instructions(subdir=row.import_subdir, files=dict(chain.from_iterable(part.items() for part in parts)))


def _rule(row: Patch) -> Rule:
    return Rule(
        changes=row.changes,
        names=row.names,
        subdirs=row.subdirs,
        version=VersionSpec(row.version) if row.version else None,
        build=row.build,
        built_from=_milliseconds(row.built_from),
        built_before=_milliseconds(row.built_before),
    )


@dataclass(slots=True)
class ArtifactPlace:
    """The columns of one artifact by which patches select it."""

    subdir: str
    name: str
    version: str
    build: str
    file_name: str
    timestamp: int


def place_of(artifact: Artifact) -> ArtifactPlace:
    return ArtifactPlace(
        artifact.subdir,
        artifact.package.name,
        artifact.version,
        artifact.build,
        artifact.file_name,
        stated_ms(artifact.index_json.get("timestamp")) or 0,
    )


def changes_of(artifact: Artifact) -> tuple[Changes, ...]:
    """Return the changes of one artifact's record by the active patches of its channel."""
    patches = of(artifact.channel, [artifact.package.name])
    return patching.changes_of(patches, place_of(artifact)) if patches else ()


def places(artifacts: QuerySet[Artifact], patches: Iterable[AnyPatch]) -> Iterator[tuple[int, ArtifactPlace]]:
    """Yield id and place of the artifacts, without their documents."""
    times = timestamps(artifacts, patches)
    columns = artifacts.values_list("pk", "subdir", "package__name", "version", "build", "file_name")
    for pk, subdir, name, version, build, file_name in columns.iterator():
        yield pk, ArtifactPlace(subdir, name, version, build, file_name, times.get(pk, 0))


def timestamps(artifacts: QuerySet[Artifact], patches: Iterable[AnyPatch]) -> dict[int, int]:
    """Return id → time of the build in ms, if a patch depends on it. It is in the long documents."""
    if not any(patch.needs_timestamp for patch in patches):
        return {}
    return {pk: stated_ms(at) or 0 for pk, at in artifacts.values_list("pk", "index_json__timestamp")}


def _files(imports: Sequence[int], names: Sequence[str]) -> Mapping[int, dict[str, Changes]]:
    files: dict[int, dict[str, Changes]] = defaultdict(dict)
    if imports:
        found = PatchedName.objects.filter(patch__in=imports, name__in=names)
        for patch_id, part in found.values_list("patch_id", "files"):
            files[patch_id] |= part
    return files


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
