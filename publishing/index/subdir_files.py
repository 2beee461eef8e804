"""The index files of a subdir: their order, their layouts, and the facts of the whole subdir in them."""

import sys
from datetime import UTC, datetime

import orjson
from django.db.models import Count, Max, Min, QuerySet

from channels_app.models import Artifact, ChannelKind
from hub.storage import store
from publishing.index import fragments, merging, repodata, shards, writer
from publishing.index.repodata import Layout, Revision, Section
from publishing.models import ChannelRelations, SubdirIndex


def write(index: SubdirIndex) -> None:
    """Write every file of the subdir, the shard index first: all its shards are in the store already."""
    revision_3, relations = revision_3_of(index), relations_of(index)
    store().put(f"{index.folder}/{repodata.SHARD_INDEX}", shard_index(index, revision_3, relations))
    for file_name, layout in layouts(index, revision_3, relations).items():
        writer.write_json(index, f"{index.folder}/{file_name}", layout)


def delete_unpatched(index: SubdirIndex) -> None:
    """Delete the files of unpatched records. From the end of the build on, repodata.json answers for them."""
    for file_name in repodata.UNPATCHED_FILES:
        store().delete(f"{index.folder}/{file_name}")


def shard_index(index: SubdirIndex, revision_3: Revision | None, relations: repodata.Relations) -> bytes:
    digests = dict(index.names.exclude(shard_sha256="").values_list("name", "shard_sha256"))
    created_at = repodata.timestamp(datetime.now(UTC))
    return shards.shard_index(
        index.platform, digests, created_at=created_at, revision_3=revision_3, relations=relations
    )


def layouts(index: SubdirIndex, revision_3: Revision | None, relations: repodata.Relations) -> dict[str, Layout]:
    """Return the layouts of a subdir's JSON files that consist of fragments, in the order of writing."""
    found = {
        repodata.REPODATA: repodata.repodata_layout(index.platform, revision_3, relations),
        repodata.RUN_EXPORTS: repodata.run_exports_layout(index.platform),
    }
    if index.is_patched:
        every_record = _unpatched_revision_3(index)
        layout = repodata.repodata_layout(index.platform, every_record, relations, is_unpatched=True)
        found[repodata.FROM_PACKAGES] = layout
    return found


def relations_of(index: SubdirIndex) -> repodata.Relations:
    """Return the relations that the index files list: those of the channel, relative to the URL of the label."""
    found: repodata.Relations | None = (
        ChannelRelations.objects.filter(channel=index.channel).values_list("listed", flat=True).first()
    )
    above = "../../" if index.label else ""
    return {name: f"{above}{path}" for name, path in (found or repodata.NO_RELATIONS).items()}


def revision_3_of(index: SubdirIndex) -> Revision | None:
    """Return the index's summary of its revision-3 records, or None if there are none."""
    if index.channel.kind in (ChannelKind.VIRTUAL, ChannelKind.UPSTREAM):
        return _stored_revision_3(index)
    found = _of_revision_3(index)
    removed = writer.removed_by_patches(index) if index.is_patched and found.exists() else set()
    if not removed:
        return _revision_3(found)
    listed = found.values_list("file_name", "indexed_timestamp").iterator()
    times = [indexed_at for file_name, indexed_at in listed if file_name not in removed]
    return Revision(len(times), min(times), max(times)) if times else None


def _unpatched_revision_3(index: SubdirIndex) -> Revision | None:
    if merging.is_virtual(index.channel):
        return _stored_revision_3(index, is_unpatched=True)
    return _revision_3(_of_revision_3(index))


def _stored_revision_3(index: SubdirIndex, *, is_unpatched: bool = False) -> Revision | None:
    """Return the same summary from the fragments: of an upstream channel, or of a virtual channel's members."""
    count, oldest, newest = 0, sys.maxsize, 0
    for name in ("v3.tar.bz2", "v3.conda"):
        for body in writer.bodies(index, Section(name, is_unpatched)):
            times = [record["indexed_timestamp"] for record in orjson.loads(f"{{{body}}}").values()]
            count, oldest, newest = count + len(times), min(oldest, *times), max(newest, *times)
    return Revision(count, oldest, newest) if count else None


def _of_revision_3(index: SubdirIndex) -> QuerySet[Artifact]:
    return fragments.artifacts_of(index).filter(revision=3, removal="", quarantine_reason="")


def _revision_3(artifacts: QuerySet[Artifact]) -> Revision | None:
    found = artifacts.aggregate(n=Count("pk"), oldest=Min("indexed_timestamp"), newest=Max("indexed_timestamp"))
    return Revision(found["n"], found["oldest"], found["newest"]) if found["n"] else None
