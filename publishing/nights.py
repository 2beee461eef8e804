"""The hour at which nightly jobs begin."""

from datetime import datetime, timedelta

from django.utils import timezone

NIGHT_HOUR_UTC = 3


def last_night() -> datetime:
    """Return when the last night began."""
    now = timezone.now()
    begins = now.replace(hour=NIGHT_HOUR_UTC, minute=0, second=0, microsecond=0)
    return begins if begins <= now else begins - timedelta(days=1)


def next_night() -> datetime:
    """Return when the next night begins."""
    return last_night() + timedelta(days=1)
