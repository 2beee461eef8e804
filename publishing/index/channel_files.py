"""Files that depend on the whole channel: channeldata.json, notices.json and each subdir's current_repodata.json.

They have their own build, after the subdirs' builds, since few clients read them.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.db.models import F, QuerySet

from channels_app.models import Artifact, Channel, ChannelKind
from hub.storage import store
from publishing.index import active_patches, current_repodata, notices_file, patching, repodata, writer
from publishing.index.fragments import in_batches
from publishing.index.repodata import Layout
from publishing.models import Fragment, SubdirIndex

SECTION = "channeldata"
NAMES_AT_ONCE = 200
# Large columns that no record contains.
UNUSED = ("files", "index_json", "licences", "recipe", "warnings", "provenance")


def remake(index: SubdirIndex, names: list[str], deadline: float | None = None) -> list[str]:
    """Rebuild the channeldata.json fragments of `names`. Return the names that were made before the deadline."""
    return in_batches(names, NAMES_AT_ONCE, partial(_remake_channeldata, index), deadline)


def write_files(index: SubdirIndex) -> None:
    """Write the files of the whole channel."""
    channel = index.channel
    writer.write_json(index, f"{channel.name}/{repodata.CHANNELDATA}", channeldata_layout(channel))
    store().put(f"{channel.name}/{repodata.NOTICES}", notices_file.content(channel), content_type="application/json")
    if channel.kind != ChannelKind.PACKAGES:
        return  # its repodata.json is served as current_repodata.json: the selection would hold all names in memory
    for subdir_index in _built(channel):
        if subdir_index.current_etag != subdir_index.etag:
            _write_current_repodata(subdir_index)


def channeldata_layout(channel: Channel) -> Layout:
    """Return the layout of channeldata.json. Every channel has noarch, also before its first build."""
    return repodata.channeldata_layout({"noarch", *(index.subdir for index in _built(channel) if not index.label)})


def channeldata(index: SubdirIndex, names: Sequence[str]) -> dict[str, str]:
    """Build the fragments of those of `names` that are listed, from their artifacts."""
    rows: dict[str, list[Artifact]] = defaultdict(list)
    patches = active_patches.of(index.channel, names)
    found = Artifact.objects.filter(channel=index.channel, package__name__in=names, removal="", quarantine_reason="")
    found = found.filter(is_main=True)
    # Of a document that may be long, one number is needed.
    for artifact in found.select_related("package").defer(*UNUSED).annotate(built_at=F("index_json__timestamp")):
        artifact.index_json = {"timestamp": artifact.built_at}
        if not patching.is_removed(patching.changes_of(patches, active_patches.place_of(artifact))):
            rows[artifact.package.name].append(artifact)
    return {name: repodata.channeldata_fragment(name, artifacts) for name, artifacts in rows.items()}


def current_layout(index: SubdirIndex) -> Layout:
    """Return the layout of current_repodata.json. Holds the newest version of each name in memory."""
    packages = current_repodata.select(
        {section: writer.entries(index, f"newest.{section}") for section in current_repodata.SECTIONS},
        lambda name: {section: writer.entries(index, section, name) for section in current_repodata.SECTIONS},
    )
    return repodata.current_layout(index.platform, packages)


def _built(channel: Channel) -> QuerySet[SubdirIndex]:
    return channel.indexes.exclude(subdir="").exclude(built_revision=0).select_related("channel")


def _remake_channeldata(index: SubdirIndex, names: Sequence[str]) -> None:
    bodies = channeldata(index, names)
    with transaction.atomic():
        index.fragments.filter(name__in=names).delete()
        Fragment.objects.bulk_create(
            Fragment(index=index, section=SECTION, name=name, body=body) for name, body in bodies.items()
        )


def _write_current_repodata(index: SubdirIndex) -> None:
    writer.write_json(index, f"{index.folder}/{repodata.CURRENT}", current_layout(index))
    SubdirIndex.objects.filter(pk=index.pk).update(current_etag=index.etag)
