"""Comparison of the sizes in the packages' rows with the sums of their stored files."""

from collections.abc import Iterator

from django.db.models import F

from channels_app.models import Channel
from channels_app.packages import packages
from publishing.verification.differences import Difference, DifferenceKind


def check(channel: Channel) -> Iterator[Difference]:
    """Yield a difference for each package, by one query: a statement sees an upload's artifact and sum, or neither."""
    found = channel.packages.annotate(stored_bytes=packages.stored_bytes()).exclude(size_bytes=F("stored_bytes"))
    for name, size_bytes, stored_bytes in found.order_by("name").values_list("name", "size_bytes", "stored_bytes"):
        sentence = (
            f"Its row has {size_bytes:,} bytes, its files have {stored_bytes:,}. --repair takes those of the files."
        )
        yield Difference(DifferenceKind.SIZE, f"{channel}/{name}", sentence, name)
