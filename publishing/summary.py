"""The files that need a look at a whole channel: channeldata.json, notices.json, each subdir's current_repodata.json.

They come after the index files proper, by a build of their own: few clients read them.
"""

from collections import defaultdict
from collections.abc import Sequence

from django.db import transaction

from channels_app.models import Artifact, Channel
from hub.storage import store
from publishing import current, files, repodata
from publishing.models import Fragment, SubdirIndex


def write_files(index: SubdirIndex, names: Sequence[str]) -> None:
    """Write the files of the whole channel after a change of `names`."""
    channel = index.channel
    _remake_channeldata(index, names)
    indexes = channel.indexes.exclude(subdir="").exclude(built=0)
    subdirs = [subdir_index.subdir for subdir_index in indexes]
    files.write_json(index, f"{channel.name}/{repodata.CHANNELDATA}", repodata.channeldata_layout(subdirs))
    store().put(f"{channel.name}/{repodata.NOTICES}", repodata.EMPTY_NOTICES, content_type="application/json")
    for subdir_index in indexes:
        if subdir_index.current_etag != subdir_index.etag:
            _write_current_repodata(channel, subdir_index)


def _remake_channeldata(index: SubdirIndex, names: Sequence[str]) -> None:
    rows: dict[str, list[Artifact]] = defaultdict(list)
    found = Artifact.objects.filter(channel=index.channel, package__name__in=names, removal="", set_aside_reason="")
    for artifact in found.select_related("package"):
        rows[artifact.package.name].append(artifact)
    with transaction.atomic():
        index.fragments.filter(name__in=names).delete()
        Fragment.objects.bulk_create(
            Fragment(index=index, section="channeldata", name=name, body=repodata.channeldata_fragment(name, artifacts))
            for name, artifacts in rows.items()
        )


def _write_current_repodata(channel: Channel, index: SubdirIndex) -> None:
    """Costs memory for the newest version of each name, not for the whole subdir."""
    packages = current.select(
        {section: files.entries(index, f"newest.{section}") for section in current.SECTIONS},
        lambda name: {section: files.entries(index, section, name) for section in current.SECTIONS},
    )
    layout = repodata.current_layout(index.subdir, packages)
    files.write_json(index, f"{channel.name}/{index.subdir}/{repodata.CURRENT}", layout)
    SubdirIndex.objects.filter(pk=index.pk).update(current_etag=index.etag)
