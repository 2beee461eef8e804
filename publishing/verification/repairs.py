"""Repairs of differences, for `verify --repair`. They are idempotent and never remove published packages."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from django.db import transaction

from channels_app.access.actions import Action
from channels_app.access.permissions import private_members
from channels_app.audit import log
from channels_app.models import Artifact, Channel, ChannelKind
from channels_app.packages import packages
from hub.storage import store
from publishing.attestations import sidecars
from publishing.index import builds, marks, repodata
from publishing.models import SubdirIndex
from publishing.removal import removal
from publishing.upstreams import cache
from publishing.verification import cached_files, name_members, stored_indexes, unknown_files
from publishing.verification.differences import Difference, DifferenceKind, place_of

SHOWN_MAX = 20


def repair(
    channel: Channel, differences: Sequence[Difference], kinds: Iterable[DifferenceKind] = tuple(DifferenceKind)
) -> list[Difference]:
    """Repair the differences of these `kinds`. Return the differences that are left."""
    left: list[Difference] = []
    repaired: list[Difference] = []
    # In this order: the index depends on the quarantined artifacts, and the leftovers depend on the index.
    for kind, repair_kind in REPAIRS.items():
        found = [difference for difference in differences if difference.kind == kind]
        still = repair_kind(channel, found) if found and kind in kinds else found
        left += still
        repaired += [difference for difference in found if difference not in still]
    if repaired:
        builds.build_channel(channel)
        detail = {"mended": len(repaired), "keys": [each.key for each in in_activity(channel, repaired)]}
        log.record(Action.CHANNEL_REPAIR, channel=channel, target=channel.name, detail=detail)
    return left + [difference for difference in differences if difference.kind not in REPAIRS]


def in_activity(channel: Channel, differences: Sequence[Difference]) -> Sequence[Difference]:
    """Return the first differences; none of a virtual channel with private members.

    Its maintainers read the activity, and may have no right to read these members.
    """
    return [] if private_members(channel).exists() else differences[:SHOWN_MAX]


def _quarantine(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for difference, artifact in _artifacts(channel, differences):
        found = "missing" if difference.kind == DifferenceKind.MISSING_BYTES else "wrong"
        removal.quarantine(artifact=artifact, found=f"{found}. {difference.sentence.partition('. ')[0]}.")
    return []


def _release(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for _, artifact in _artifacts(channel, differences):
        removal.release_quarantine(artifact=artifact)
    return []


def _rewrite_sidecars(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for _, artifact in _artifacts(channel, differences):
        sidecars.rewrite(artifact)
    return []


def _empty_cache(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    cached_files.remove(channel, list(differences))
    return []


def _measure(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    with transaction.atomic():
        packages.measure(channel.packages.filter(name__in={difference.name for difference in differences}))
    return []


def _rebuild(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    """Rebuild the differing names of every index that differs. Return the differences that are left."""
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for difference in differences:
        names[difference.place] += [difference.name] if difference.name else []
    for (label, subdir), differing in names.items():
        place = SubdirIndex.place(label, subdir)
        row, is_new = SubdirIndex.objects.get_or_create(channel=channel, subdir=place, defaults={"label": label})
        with transaction.atomic():
            marks.mark_stale(channel, subdir, builds.all_names(row) if is_new else differing, label=label)
    return list(stored_indexes.check(channel))


def _remove_leftovers(channel: Channel, differences: Sequence[Difference]) -> list[Difference]:
    for difference in differences:
        if unknown_files.classify(channel, difference.key) != DifferenceKind.LEFTOVER:
            continue
        _, subdir, path = place_of(difference.key)
        is_cached = unknown_files.PACKAGE.match(path) or repodata.SIDECAR.match(path)
        if channel.kind == ChannelKind.UPSTREAM and is_cached:
            cache.remove_unrecorded(channel, subdir, path)
        elif unknown_files.PACKAGE.match(path):
            # purge_deleted() below removes it safely beside concurrent uploads.
            Artifact.objects.filter(channel=channel, subdir=subdir, file_name=path).update(is_purged=False)
        else:
            store().delete(difference.key)
    removal.purge_deleted()
    return []


REPAIRS: dict[DifferenceKind, Callable[[Channel, Sequence[Difference]], list[Difference]]] = {
    DifferenceKind.MISSING_BYTES: _quarantine,
    DifferenceKind.WRONG_BYTES: _quarantine,
    DifferenceKind.RIGHT_AGAIN: _release,
    DifferenceKind.SIDECAR: _rewrite_sidecars,
    DifferenceKind.CACHED: _empty_cache,
    DifferenceKind.SIZE: _measure,
    DifferenceKind.MEMBER: name_members.take_again,
    DifferenceKind.INDEX: _rebuild,
    DifferenceKind.LEFTOVER: _remove_leftovers,
}


def _artifacts(channel: Channel, differences: Sequence[Difference]) -> Iterable[tuple[Difference, Artifact]]:
    """Yield each difference with its artifact, also for a sidecar. Skip artifacts that are gone."""
    seen = set()
    for difference in differences:
        _, subdir, name = place_of(difference.key)
        match = repodata.SIDECAR.match(name)
        place = (subdir, match[1] if match else name)
        if place not in seen:
            seen.add(place)
            found = Artifact.objects.filter(channel=channel, subdir=place[0], file_name=place[1])
            yield from ((difference, artifact) for artifact in found.select_related("channel", "package"))
