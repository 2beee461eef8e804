"""The rows of packages of which patches change records: lists and dependents follow the index, not the builds.

An upload or a removal refreshes the row at once, without patches. The build of the index, which follows, refreshes it
with them.
"""

from collections.abc import Collection, Mapping, Sequence

from django.db import transaction

from channels_app.models import Artifact, Channel, Package
from channels_app.packages import packages
from channels_app.packages.queries import LISTED_IN_MAIN
from publishing.index import active_patches, patching, repodata
from publishing.index.patching import Changes
from publishing.models import Fragment, SubdirIndex

PACKAGES_AT_ONCE = 50


class PatchedRecords:
    """The records of builds as patches change them: artifact id → its changes."""

    def __init__(self, changes: Mapping[int, Sequence[Changes]]) -> None:
        self._changes = changes

    def is_removed(self, pk: int) -> bool:
        return patching.is_removed(self._changes.get(pk, ()))

    def depends(self, pk: int, depends: Sequence[str]) -> Sequence[str]:
        return patching.patched_depends(depends, self._changes.get(pk, ()))


def refresh(index: SubdirIndex, names: Collection[str], patched: Collection[str]) -> None:
    """Refresh the packages of `names` of which patches select files: `patched` now, or others in an index before.

    The row of a package is about the channel's own index, without labels. Call this before the fragments of these names
    are replaced: a repeated build then finds them again.
    """
    if index.label:
        return
    before = Fragment.objects.filter(index__channel=index.channel, index__label="", name__in=names)
    before = before.filter(section=repodata.unpatched("removed"))
    found = sorted({*patched, *before.values_list("name", flat=True)})
    for start in range(0, len(found), PACKAGES_AT_ONCE):
        _refresh(index.channel, found[start : start + PACKAGES_AT_ONCE])


@transaction.atomic
def _refresh(channel: Channel, names: Sequence[str]) -> None:
    """Refresh some packages, locked as changes of their artifacts lock them."""
    rows = Package.objects.select_for_update(no_key=True).filter(channel=channel, name__in=names).order_by("name")
    locked = list(rows)
    patches = active_patches.of(channel, names)
    listed = Artifact.objects.filter(LISTED_IN_MAIN, package__in=locked)
    changes = {pk: patching.changes_of(patches, place) for pk, place in active_patches.places(listed, patches)}
    packages.refresh_each(locked, PatchedRecords(changes))
