"""The notices of the hub, which every page shows as a banner. Each process caches them for 10 seconds at most."""

import time

from django.utils import timezone

from publishing.models import ChannelNotice
from publishing.notices import queries

CACHED_S = 10.0

# When the cached notices expire, on the monotonic clock, and the notices.
_cached: tuple[float, list[ChannelNotice]] = (0.0, [])


def shown() -> list[ChannelNotice]:
    """Return the notices of the hub that have not expired. One query in 10 seconds."""
    global _cached
    expires_at, found = _cached
    if time.monotonic() >= expires_at:
        found = list(queries.current(None))
        _cached = (time.monotonic() + CACHED_S, found)
    now = timezone.now()
    return [notice for notice in found if notice.expires_at > now]


def forget() -> None:
    """Drop the cached notices of this process after a change."""
    global _cached
    _cached = (0.0, [])
