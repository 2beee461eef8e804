"""Unknown files: leftovers of the hub, packages without a row in the database, and other files.

Files younger than a day are ignored, since an upload or a deletion may still be in progress.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from django.db.models import QuerySet
from django.utils import timezone

from channels_app.models import Artifact, Channel, ChannelKind
from hub.storage import store
from publishing.attestations import sidecars
from publishing.index import builds, repodata, shards
from publishing.models import CachedFile, IndexedName, Reservation, RetiredShard, SubdirIndex, Watch, WatchedFile
from publishing.verification.differences import Difference, DifferenceKind, place_of
from publishing.verification.inventory import Inventory

FRESH = timedelta(days=1)
PACKAGE = re.compile(r"[^/]+\.(?:conda|tar\.bz2)\Z")
# The old index during an import; see imports/old_indexes.py.
OLD_REPODATA = "repodata_before_import.json"


def check(channel: Channel, inventory: Inventory) -> Iterator[Difference]:
    inventory.mark_known(_index_files(channel))
    inventory.mark_known(_shards(channel))
    for key in inventory.unknown(before=timezone.now() - FRESH):
        if kind := classify(channel, key):
            yield Difference(kind, key, _refusal(channel, key) or SENTENCES[kind].format(channel=channel))


def _refusal(channel: Channel, key: str) -> str:
    """Return why the channel's watch has refused the file; "" if it has not."""
    _, subdir, path = place_of(key)
    found = WatchedFile.objects.filter(watch__channel=channel, subdir=subdir, file_name=path).first()
    return f"The watch of the channel refused it: {found.reason}" if found else ""


def unknown_channels() -> list[Difference]:
    """Return the folders of the store that belong to no channel. Lists the whole store."""
    folders = {key.partition("/")[0] for key in store().list("") if "/" in key}
    known = set(Channel.objects.values_list("name", flat=True))
    sentence = SENTENCES[DifferenceKind.UNKNOWN_CHANNEL]
    return [
        Difference(DifferenceKind.UNKNOWN_CHANNEL, f"{name}/", sentence.format(channel=name))
        for name in sorted(folders - known)
    ]


def classify(channel: Channel, key: str) -> DifferenceKind | None:
    """Return the kind of an unknown key by the current rows. Return None if it is known, being uploaded or gone."""
    label, subdir, path = place_of(key)
    indexes = channel.indexes.filter(subdir=SubdirIndex.place(label, subdir))
    if shards.SHARD.match(path):
        kind = None if _is_shard(indexes, path) else DifferenceKind.LEFTOVER
    elif path in repodata.UNPATCHED_FILES:
        kind = None if indexes.filter(is_patched=True).exists() else DifferenceKind.LEFTOVER
    elif label:
        kind = DifferenceKind.UNKNOWN_FILE
    elif (match := repodata.SIDECAR.match(path)) and channel.kind != ChannelKind.UPSTREAM:
        kind = _sidecar(channel, subdir, match[1], match[2])
    elif match or PACKAGE.match(path):
        kind = _package(channel, subdir, path)
    else:
        kind = DifferenceKind.UNKNOWN_FILE
    return kind if kind and store().stat(key) else None


SENTENCES = {
    DifferenceKind.LEFTOVER: "The hub wrote it and no longer uses it; --repair removes it.",
    DifferenceKind.UNKNOWN_PACKAGE: "The database has no row for it. `manage.py importchannel {channel} --owner USER` "
    "imports it; if it should not be there, remove it from the store.",
    DifferenceKind.UNKNOWN_FILE: "The hub did not write it and does not serve it; if you do not need it, remove it.",
    DifferenceKind.UNKNOWN_CHANNEL: "There is no channel '{channel}'. `manage.py importchannel {channel} --owner USER` "
    "creates it from the packages there; if it should not be there, remove the folder from the store.",
}


def _index_files(channel: Channel) -> Iterator[str]:
    yield from (f"{channel}/{name}" for name in (*repodata.CHANNEL_FILES, f"{repodata.CHANNELDATA}.zst"))
    for index in channel.indexes.exclude(subdir=builds.WHOLE_CHANNEL).select_related("channel"):
        unpatched = repodata.UNPATCHED_FILES if index.is_patched else ()
        yield from (f"{index.folder}/{name}" for name in (*repodata.SUBDIR_FILES, *unpatched, OLD_REPODATA))


def _shards(channel: Channel) -> Iterator[str]:
    folders = {index.pk: index.folder for index in channel.indexes.select_related("channel")}
    named = IndexedName.objects.filter(index__channel=channel).exclude(shard_sha256="")
    retired = RetiredShard.objects.filter(index__channel=channel)
    for index_id, sha256 in chain(
        named.values_list("index", "shard_sha256").iterator(), retired.values_list("index", "sha256").iterator()
    ):
        # An index that is created meanwhile has only fresh files.
        if folder := folders.get(index_id):
            yield f"{folder}/{shards.shard_file(sha256)}"


def _is_shard(indexes: QuerySet[SubdirIndex], path: str) -> bool:
    sha256 = path.removeprefix("shards/").partition(".")[0]
    named = IndexedName.objects.filter(index__in=indexes, shard_sha256=sha256)
    return named.exists() or RetiredShard.objects.filter(index__in=indexes, sha256=sha256).exists()


def _sidecar(channel: Channel, subdir: str, file_name: str, sha256: str | None) -> DifferenceKind | None:
    """Return LEFTOVER if no artifact has this sidecar. A sidecar of an unknown package is imported with the package."""
    artifact = Artifact.objects.filter(channel=channel, subdir=subdir, file_name=file_name).first()
    if artifact is None:
        return None if store().stat(f"{channel}/{subdir}/{file_name}") else _leftover(channel)
    states = sidecars.states(list(artifact.attestations.values_list("bundle", flat=True)))
    return None if (sha256 in states if sha256 else states) else _leftover(channel)


def _package(channel: Channel, subdir: str, file_name: str) -> DifferenceKind | None:
    place = {"channel": channel, "subdir": subdir, "file_name": file_name}
    if Reservation.objects.filter(**place).exists():
        return None
    if channel.kind == ChannelKind.UPSTREAM:
        # A process was killed between the fetch and the row.
        return None if CachedFile.objects.filter(**place).exists() else DifferenceKind.LEFTOVER
    artifact = Artifact.objects.filter(**place).first()
    if artifact is None:
        return DifferenceKind.UNKNOWN_PACKAGE
    # Purged before, and back again from a restored backup.
    return _leftover(channel) if artifact.is_purged else None


def _leftover(channel: Channel) -> DifferenceKind:
    """Return the kind of a file with the name of one that the hub deleted. While it watches, others may have put it."""
    is_watched = Watch.objects.filter(channel=channel).exists()
    return DifferenceKind.UNKNOWN_FILE if is_watched else DifferenceKind.LEFTOVER
