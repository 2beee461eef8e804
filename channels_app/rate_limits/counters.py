"""Rate limits: one table of limits, counted in the database, so that no cache server is needed.

The windows are fixed. So at most twice the limit is possible within any period of a window's length.
"""

import time
from hashlib import sha256
from ipaddress import IPv6Network

from django.conf import settings
from django.db import connection
from django.http import HttpRequest

from channels_app.models import RateCount
from hub.errors import HubError

# name: (attempts, window in seconds)
LIMITS = {
    "sign-in-by-address": (60, 60),
    "sign-in-by-account": (10, 300),
    "second-factor-by-account": (10, 300),
    "code-by-address": (20, 60),
    "confirm-by-account": (10, 300),
    "sign-up-by-address": (20, 3600),
    "password-reset-by-address": (20, 3600),
    "mail-by-recipient": (10, 3600),
    "mail-by-visitors": (500, 3600),
    "delivery-by-recipient": (100, 3600),
    "delivery-by-hub": (2000, 3600),
    "warning-by-account": (1, 86400),
    "email-by-account": (20, 3600),
    "key-by-account": (30, 3600),
    "webhook-by-channel": (60, 3600),
    "publisher-by-account": (20, 3600),
    "invitation-by-account": (60, 3600),
    "invitation-by-day": (200, 86400),
    "invitation-by-pair": (5, 86400),
    "invitation-by-recipient": (50, 86400),
    "wrong-key-by-address": (60, 60),
    "device-by-address": (30, 60),
    "device-code-by-account": (20, 60),
    "token-by-address": (300, 60),
    "mint-by-address": (60, 60),
    "mint-by-subject": (30, 60),
}


def hit(name: str, by: str, what: str) -> None:
    """Count one more attempt; raise 429 if `by` has exceeded the limit `name`.

    `what` names the attempts in the message.
    """
    if count(name, by) > _most(name):
        raise _too_many(name, what)


def check(name: str, by: str, what: str) -> None:
    """Raise 429 if `by` has reached the limit `name`, without counting an attempt."""
    found = RateCount.objects.filter(name=_row(name, by), window=_end(name)).values_list("count", flat=True).first()
    if (found or 0) >= _most(name):
        raise _too_many(name, what)


def count(name: str, by: str) -> int:
    """Count one more attempt, and return the number of attempts in this window."""
    return _count(_row(name, by), _end(name))


def address(request: HttpRequest) -> str:
    """Return the client's address for limits. For IPv6 it is the /64 network, which one household or host has."""
    found = str(request.META["REMOTE_ADDR"])
    return str(IPv6Network((found, 64), strict=False)) if ":" in found else found


def delete_old() -> None:
    """Delete the counts of past windows."""
    RateCount.objects.filter(window__lt=time.time()).delete()


def _row(name: str, by: str) -> str:
    return f"{name} {sha256(by.encode()).hexdigest()[:32]}"


def _end(name: str) -> int:
    """Return the end of the present window, in seconds since 1970."""
    _, window_s = LIMITS[name]
    now = int(time.time())
    return now - now % window_s + window_s


def _most(name: str) -> int:
    most: int = settings.HUB_RATE_LIMITS.get(name, LIMITS[name][0])
    return most


def _too_many(name: str, what: str) -> HubError:
    _, window_s = LIMITS[name]
    left_s = _end(name) - int(time.time())
    return HubError(
        429,
        "too_many",
        f"Too many {what}: more than {_most(name)} within {window_s} seconds. Try again in {left_s} seconds.",
        {"Retry-After": str(left_s)},
    )


def _count(name: str, window: int) -> int:
    """Count one more attempt in this window, and return their number. One atomic statement loses no attempt."""
    table = RateCount._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO {table} (name, "window", count) VALUES (%s, %s, 1) '  # noqa: S608  # nosec B608  # a constant
            f'ON CONFLICT (name, "window") DO UPDATE SET count = {table}.count + 1 RETURNING count',
            [name, window],
        )
        return int(cursor.fetchone()[0])
