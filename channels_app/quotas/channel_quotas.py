"""Quotas of channels: limits on the stored bytes of one channel, for all uploaders together.

The packages' rows have the stored bytes, and reservations have those of running uploads. Their sum is the usage, so no
count can drift: a reservation that ends or expires takes its bytes along. A channel without a quota costs no query.
"""

from dataclasses import dataclass

from django.db.models import BigIntegerField, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from channels_app.models import Channel, Package
from hub.errors import HubError, too_large
from hub.sizes import human_size

NEARLY_FULL_PERCENT = 80


@dataclass(frozen=True, slots=True)
class ChannelUsage:
    """The stored bytes of a channel, and their limit; None for any amount."""

    stored_bytes: int
    limit_bytes: int | None

    @property
    def percent(self) -> int:
        """Return the used part of the limit, rounded down; 0 without a limit."""
        return 100 * self.stored_bytes // self.limit_bytes if self.limit_bytes else 0

    @property
    def is_nearly_full(self) -> bool:
        return self.percent >= NEARLY_FULL_PERCENT


def stored_bytes() -> Coalesce:
    """Return the sum of the sizes of a channel's packages, for a query of channels."""
    packages = Package.objects.filter(channel=OuterRef("pk")).order_by().values("channel")
    return Coalesce(Subquery(packages.values(total=Sum("size_bytes"))), 0, output_field=BigIntegerField())


def usage(channel: Channel) -> ChannelUsage:
    """Return the usage of the channel, by one query."""
    return ChannelUsage(_stored_bytes(channel), channel.quota_limit_bytes)


def check_room(channel: Channel, least_bytes: int) -> None:
    """Raise 413 before the transfer of an upload of at least `least_bytes` that exceeds the quota."""
    limit_bytes = channel.quota_limit_bytes
    if limit_bytes is not None and (stored_bytes := _stored_bytes(channel)) + max(least_bytes, 1) > limit_bytes:
        raise _full(channel, stored_bytes, limit_bytes, least_bytes)


def lock(channel: Channel) -> None:
    """Lock a channel with a quota until the transaction ends, so that check_reserved() counts every other upload.

    Call it before the reservation of the file name, as others lock the channel's row first, too.
    """
    if channel.quota_limit_bytes is not None:
        Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).values_list("pk").first()


def check_reserved(channel: Channel, more_bytes: int) -> None:
    """Raise 413 if the channel with its reservations exceeds the quota. They include the caller's `more_bytes`."""
    limit_bytes = channel.quota_limit_bytes
    if limit_bytes is None or more_bytes <= 0:
        return
    used_bytes = _used_bytes(channel)
    if used_bytes > limit_bytes:
        raise _full(channel, used_bytes - more_bytes, limit_bytes, more_bytes)


def _stored_bytes(channel: Channel) -> int:
    total: int = channel.packages.aggregate(total=Sum("size_bytes", default=0))["total"]
    return total


def _used_bytes(channel: Channel) -> int:
    """Return the stored and reserved bytes, by one statement: an upload that ends moves its bytes between the two."""
    is_running = Q(reservations__expires_at__gt=timezone.now())
    reserved = Sum("reservations__more_bytes", filter=is_running, default=0)
    one = Channel.objects.filter(pk=channel.pk).order_by().values("pk")
    found = one.annotate(stored=stored_bytes(), reserved=reserved).values_list("stored", "reserved").first()
    return sum(found or ())


def _full(channel: Channel, stored_bytes: int, limit_bytes: int, more_bytes: int) -> HubError:
    package = f", and {human_size(more_bytes)} would be added" if more_bytes > 1 else ""
    return too_large(
        "channel_quota",
        f"The channel '{channel}' holds {human_size(stored_bytes)}{package}; {human_size(limit_bytes)} are allowed. "
        "Delete packages, whose bytes count until they are purged, or ask an administrator for more.",
    )
