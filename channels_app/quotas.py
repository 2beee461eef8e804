"""What a user's channels may hold, and how many packages a day may come into them, where the settings say so.

The first owner of a channel pays for it, whoever uploads. What they have is counted in one row, which each upload
raises in the transaction that records it: of uploads at once none passes the limit. Where the count may have become
another one (owners change, bytes go, an import) the row goes, and whoever uploads next counts anew.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Sum
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from channels_app import user_limits
from channels_app.models import Artifact, Channel, Member, Role, Usage, User
from hub import database
from hub.errors import HubError, too_large

# A row is counted anew after this time, whatever may have been missed.
COUNTED_FOR = timedelta(days=1)
NO_LIMIT = 2**62

RAISE = """UPDATE channels_app_usage SET
    stored_bytes = CASE WHEN stored_bytes + %s < 0 THEN 0 ELSE stored_bytes + %s END,
    day_packages = CASE WHEN day = %s THEN day_packages + 1 ELSE 1 END,
    day = %s
WHERE user_id = %s AND (%s <= 0 OR stored_bytes + %s <= %s) AND (day <> %s OR day_packages < %s)"""


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a channel, and how much they may have: None for any amount."""

    user: User
    most_bytes: int | None
    most_packages: int | None


def check_room(channel: Channel, least_bytes: int) -> Payer | None:
    """Refuse an upload of at least so many bytes before they are sent; else tell who pays. Costs one query."""
    payer = payer_of(channel)
    if payer:
        usage = getattr(payer.user, "usage", None) or _counted(payer.user)
        if refusal := _refusal(payer, usage, max(least_bytes, 1)):
            raise refusal
    return payer


def payer_of(channel: Channel) -> Payer | None:
    """Who pays for the channel; None where there is no quota, and for administrators."""
    if not is_on():
        return None
    owners = Member.objects.filter(channel=channel, role=Role.OWNER).select_related("user", "user__usage")
    first = owners.order_by("pk").first()
    if first is None or first.user is None or first.user.is_superuser:
        return None
    most = [user_limits.limit(name, first.user) for name in ("bytes", "packages_a_day")]
    return Payer(first.user, *most)


def is_on() -> bool:
    return bool(settings.HUB_USER_BYTES or settings.HUB_USER_PACKAGES_A_DAY)


def add(payer: Payer, more_bytes: int) -> None:
    """Count one more package, within the transaction that records it; 413 where it is too much."""
    if _raised(payer, more_bytes):
        return
    usage = Usage.objects.filter(user=payer.user).first()
    if usage is None:
        usage = _counted(payer.user)
        if _raised(payer, more_bytes):
            return
    usage.refresh_from_db()
    raise _refusal(payer, usage, more_bytes) or _too_many(payer, usage)


def forget(channel: Channel, *former: User | None) -> None:
    """Have what the channel's owners have counted anew: bytes came or went, or one of them begins or ceases to pay.

    `former` owners are counted anew, too.
    """
    owners = Member.objects.filter(channel=channel, role=Role.OWNER)
    Usage.objects.filter(Q(user__in=owners.values("user")) | Q(user__in=[user for user in former if user])).delete()


def forget_old() -> None:
    """Remove counts that are a day old, and all of them while there is no quota: nothing is counted then."""
    old = Usage.objects.filter(counted_at__lt=timezone.now() - COUNTED_FOR)
    (old if is_on() else Usage.objects.all()).delete()


def _raised(payer: Payer, more_bytes: int) -> bool:
    most_bytes = NO_LIMIT if payer.most_bytes is None else payer.most_bytes
    most_packages = NO_LIMIT if payer.most_packages is None else payer.most_packages
    size, day, user_id = more_bytes, _today(), payer.user.pk
    with database.prepared() as cursor:
        cursor.execute(RAISE, (size, size, day, day, user_id, size, size, most_bytes, day, most_packages))
        return bool(cursor.rowcount)


def _counted(user: User) -> Usage:
    """The user's row, counted from the artifacts where it is missing."""
    day = _today()
    begins_ms = int(datetime.combine(day, time(), UTC).timestamp() * 1000)
    found = Artifact.objects.filter(channel__in=user_limits.channels_of(user)).aggregate(
        stored_bytes=Sum("size_bytes", default=0, filter=Q(is_purged=False)),
        day_packages=Count("pk", filter=Q(indexed_timestamp__gte=begins_ms)),
    )
    try:
        with transaction.atomic():
            return Usage.objects.create(user=user, day=day, **found)
    except IntegrityError:
        return Usage.objects.get(user=user)


def _refusal(payer: Payer, usage: Usage, more_bytes: int) -> HubError | None:
    most_bytes, most_packages = payer.most_bytes, payer.most_packages
    if most_bytes is not None and more_bytes > 0 and usage.stored_bytes + more_bytes > most_bytes:
        package = f", and this package has {_size(more_bytes)}" if more_bytes > 1 else ""
        return too_large(
            "quota_bytes",
            f"The channels of {payer.user} hold {_size(usage.stored_bytes)}{package}; "
            f"{_size(most_bytes)} are allowed. Delete packages, or ask an administrator for more.",
        )
    if most_packages is not None and usage.day == _today() and usage.day_packages >= most_packages:
        return _too_many(payer, usage)
    return None


def _too_many(payer: Payer, usage: Usage) -> HubError:
    """413, as for a disk that is full: at 429 clients send the whole package again, several times."""
    now, packages = timezone.now(), "package" if usage.day_packages == 1 else "packages"
    left_s = (datetime.combine(now.date() + timedelta(days=1), time(), UTC) - now).seconds + 1
    return HubError(
        413,
        "quota_packages",
        f"{usage.day_packages:,} {packages} came into the channels of {payer.user} today (UTC); "
        f"{payer.most_packages:,} a day are allowed. Go on tomorrow, or ask an administrator for more.",
        {"Retry-After": str(left_s)},
    )


def _today() -> date:
    return timezone.now().date()


def _size(size_bytes: int) -> str:
    return filesizeformat(size_bytes).replace("\xa0", " ")
