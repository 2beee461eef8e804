"""What `verify --repair` does about each kind of difference. Safe to do again; packages are never removed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from django.db import transaction

from channels_app.audit import log
from channels_app.models import Artifact, Channel
from hub.storage import store
from publishing.attestations import sidecars
from publishing.index import builds, repodata
from publishing.models import SubdirIndex
from publishing.removal import removal
from publishing.verification import stored_indexes, unknown_files
from publishing.verification.differences import Difference, DifferenceKind

SHOWN_MAX = 20


def repair(
    channel: Channel, differences: Sequence[Difference], kinds: Iterable[DifferenceKind] = tuple(DifferenceKind)
) -> list[Difference]:
    """Mend what can be mended of these `kinds`; returns what is left."""
    left: list[Difference] = []
    mended: list[Difference] = []
    # In this order: the index follows what is set aside, and names the shards that are no leftovers.
    for kind, mend in REPAIRS.items():
        found = [difference for difference in differences if difference.kind == kind]
        still = mend(channel, found) if found and kind in kinds else found
        left += still
        mended += [difference for difference in found if difference not in still]
    if mended:
        builds.build_channel(channel)
        detail = {"mended": len(mended), "keys": [difference.key for difference in mended[:SHOWN_MAX]]}
        log.record("channel.repair", channel=channel, target=channel.name, detail=detail)
    return left + [difference for difference in differences if difference.kind not in REPAIRS]


def _set_aside(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for difference, artifact in _artifacts(channel, differences):
        found = "missing" if difference.kind == DifferenceKind.MISSING_BYTES else "wrong"
        removal.set_damaged(artifact=artifact, found=f"{found}. {difference.sentence.partition('. ')[0]}.")
    return []


def _put_back(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for _, artifact in _artifacts(channel, differences):
        removal.set_whole(artifact=artifact)
    return []


def _rewrite_sidecars(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for _, artifact in _artifacts(channel, differences):
        sidecars.rewrite(artifact)
    return []


def _rebuild(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    """Build every index that differs, its differing names from their rows; what differs even then is left."""
    names: dict[str, list[str]] = defaultdict(list)
    for difference in differences:
        names[difference.subdir] += [difference.name] if difference.name else []
    for subdir in names:
        row, is_new = SubdirIndex.objects.get_or_create(channel=channel, subdir=subdir)
        with transaction.atomic():
            builds.mark_stale(channel, subdir, builds.all_names(row) if is_new else names[subdir])
    return list(stored_indexes.check(channel))


def _remove_leftovers(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for difference in differences:
        if unknown_files.classify(channel, difference.key) != DifferenceKind.LEFTOVER:
            continue
        subdir, _, path = difference.key.removeprefix(f"{channel}/").partition("/")
        if unknown_files.PACKAGE.match(path):
            # Left to the purge, which knows how to do it beside an upload.
            Artifact.objects.filter(channel=channel, subdir=subdir, file_name=path).update(is_purged=False)
        else:
            store().delete(difference.key)
    removal.purge_deleted()
    return []


REPAIRS: dict[DifferenceKind, Callable[[Channel, Sequence[Difference]], list[Difference]]] = {
    DifferenceKind.MISSING_BYTES: _set_aside,
    DifferenceKind.WRONG_BYTES: _set_aside,
    DifferenceKind.RIGHT_AGAIN: _put_back,
    DifferenceKind.SIDECAR: _rewrite_sidecars,
    DifferenceKind.INDEX: _rebuild,
    DifferenceKind.LEFTOVER: _remove_leftovers,
}


def _artifacts(channel: Channel, differences: Sequence[Difference]) -> Iterable[tuple[Difference, Artifact]]:
    """Each difference with its artifact, which may have gone meanwhile; of a sidecar, with the one that it is of."""
    seen = set()
    for difference in differences:
        subdir, _, name = difference.key.removeprefix(f"{channel}/").partition("/")
        match = repodata.SIDECAR.match(name)
        place = (subdir, match[1] if match else name)
        if place not in seen:
            seen.add(place)
            found = Artifact.objects.filter(channel=channel, subdir=place[0], file_name=place[1])
            yield from ((difference, artifact) for artifact in found.select_related("channel", "package"))
