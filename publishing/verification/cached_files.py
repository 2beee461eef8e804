"""Comparison of the cached packages of an upstream in the store with their rows."""

from collections.abc import Iterator

from channels_app.models import Channel
from hub.storage import hashed, store
from publishing.models import CachedFile
from publishing.upstreams import cache
from publishing.verification.differences import Difference, DifferenceKind, place_of
from publishing.verification.inventory import KEYS_AT_ONCE, Inventory

REPAIR = "--repair removes it from the cache; the next request fetches it again."


def check(channel: Channel, inventory: Inventory, *, is_hashed: bool) -> Iterator[Difference]:
    after = 0
    rows = CachedFile.objects.filter(channel=channel).select_related("channel").order_by("pk")
    while batch := list(rows.filter(pk__gt=after)[:KEYS_AT_ONCE]):
        sizes = inventory.sizes(map(str, batch))
        for file in batch:
            if sizes.get(str(file)) != file.size_bytes or (
                is_hashed and hashed(store().open(str(file))) != file.sha256
            ):
                yield from _recheck(file)
        after = batch[-1].pk


def remove(channel: Channel, differences: list[Difference]) -> None:
    """Remove the differing files from the cache."""
    for difference in differences:
        _, subdir, file_name = place_of(difference.key)
        for file in CachedFile.objects.filter(channel=channel, subdir=subdir, file_name=file_name):
            cache.remove(file)


def _recheck(file: CachedFile) -> Iterator[Difference]:
    """Yield the difference, unless the file was fetched or removed meanwhile."""
    if not CachedFile.objects.filter(pk=file.pk).exists():
        return
    stat = store().stat(str(file))
    if stat is None or stat.size_bytes != file.size_bytes or hashed(store().open(str(file))) != file.sha256:
        found = "Found nothing" if stat is None else "Found other bytes than were fetched"
        yield Difference(DifferenceKind.CACHED, str(file), f"{found}. {REPAIR}")
