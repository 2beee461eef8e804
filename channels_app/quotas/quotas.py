"""Quotas: limits on the stored bytes and daily packages of a user's channels.

The first owner of a channel pays for all its uploads. One row counts their usage. Each upload raises it in the
transaction that reserves the file name, so concurrent uploads can't exceed the limit. If the stored bytes may have
changed otherwise (new owners, purged files, an import), the row is marked as out of date. The next upload counts the
bytes again.

The packages of a day are never counted again. Packages that were removed since still count, and a new payer does not
pay for earlier packages.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from channels_app.models import Artifact, Channel, Member, Role, Usage, User
from channels_app.quotas import channel_quotas, user_limits
from hub import database
from hub.errors import HubError, forbidden, too_large
from hub.sizes import human_size

# Rows are counted again after this time, in case a change was missed.
COUNTED_FOR = timedelta(days=1)
NO_LIMIT = 2**62
# The value of counted_at that marks a row as out of date.
OUT_OF_DATE = datetime(1970, 1, 1, tzinfo=UTC)

RAISE = """UPDATE channels_app_usage SET
    stored_bytes = CASE WHEN stored_bytes + %s < 0 THEN 0 ELSE stored_bytes + %s END,
    day_packages = CASE WHEN day = %s THEN day_packages + 1 ELSE 1 END,
    day = %s
WHERE user_id = %s AND counted_at > '1970-01-02'
    AND (%s <= 0 OR stored_bytes + %s <= %s) AND (day <> %s OR day_packages < %s)
RETURNING CAST(counted_at AS text)"""


LOWER = """UPDATE channels_app_usage SET
    stored_bytes = CASE WHEN CAST(counted_at AS text) <> %s THEN stored_bytes
        WHEN stored_bytes - %s < 0 THEN 0 ELSE stored_bytes - %s END,
    day_packages = CASE WHEN day = %s AND day_packages > 0 THEN day_packages - 1 ELSE day_packages END
WHERE user_id = %s"""

# Each upload runs this query: the first owner, their limits and their counts. Raw SQL can be prepared.
PAYER = """SELECT payer.id, payer.username, payer.is_superuser, payer.limits,
    counted.stored_bytes, counted.day, counted.day_packages
FROM channels_app_member owner
JOIN channels_app_user payer ON payer.id = owner.user_id
LEFT JOIN channels_app_usage counted ON counted.user_id = payer.id AND counted.counted_at > '1970-01-02'
WHERE owner.channel_id = %s AND owner.role = 'owner' ORDER BY owner.id LIMIT 1"""


@dataclass(frozen=True, slots=True)
class UsageCounts:
    """The bytes stored in a user's channels, and the number of packages uploaded on one day (UTC)."""

    stored_bytes: int
    day: date
    day_packages: int


@dataclass(frozen=True, slots=True)
class Payer:
    """The paying user of a channel, with their limits and counts.

    A limit of None allows any amount. `counted` is None if there are no valid counts.
    """

    user_id: int
    username: str
    most_bytes: int | None
    most_packages: int | None
    counted: UsageCounts | None


@dataclass(slots=True)
class Bill:
    """One more package, and the number of bytes to add.

    The number is negative if the package replaces a larger one. `counted_at` is the time at which the raised row was
    counted. It tells whether the row has been counted again since.
    """

    payer: Payer
    more_bytes: int
    counted_at: str | None = None


def check_room(channel: Channel, least_bytes: int) -> Payer | None:
    """Raise 413 before the transfer of an upload of at least `least_bytes` that exceeds a quota.

    Return the payer otherwise. Costs a query for the user's quota, and one for the channel's.
    """
    channel_quotas.check_room(channel, least_bytes)
    payer = payer_of(channel)
    if payer:
        counted = payer.counted or _count(payer.user_id)
        if refusal := _refusal(payer, counted, max(least_bytes, 1)):
            raise refusal
    return payer


def payer_of(channel: Channel) -> Payer | None:
    """Return the paying user of the channel; None if there is no quota, and for administrators."""
    if not is_on():
        return None
    with database.prepared() as cursor:
        cursor.execute(PAYER, (channel.pk,))
        row = cursor.fetchone()
    if row is None:
        return None
    user_id, username, is_superuser, limits, *counted = row
    if is_superuser:
        return None
    own = json.loads(limits) if limits else {}
    most_bytes, most_packages = user_limits.limit_by("bytes", own), user_limits.limit_by("packages_a_day", own)
    return Payer(user_id, username, most_bytes, most_packages, _read(*counted))


def is_on() -> bool:
    return bool(settings.HUB_USER_BYTES or settings.HUB_USER_PACKAGES_A_DAY)


def charge(bill: Bill) -> None:
    """Count one more package; raise 413 if it exceeds the quota.

    Call it in the transaction that reserves the file name.
    """
    payer = bill.payer
    if _raise_counts(bill):
        return
    if not Usage.objects.filter(user=payer.user_id, counted_at__gt=OUT_OF_DATE).exists():
        _count(payer.user_id)
        if _raise_counts(bill):
            return
    counted = _count(payer.user_id)
    raise _refusal(payer, counted, bill.more_bytes) or _too_many(payer, counted)


def refund(bill: Bill | None) -> None:
    """Subtract the package of a refused or duplicate upload.

    If the process is killed before, the daily count corrects the bytes.
    """
    if bill and bill.counted_at:
        with database.prepared() as cursor:
            cursor.execute(LOWER, (bill.counted_at, bill.more_bytes, bill.more_bytes, _today(), bill.payer.user_id))


def check_next_owner(member: Member) -> None:
    """Raise 403 if the channel exceeds the quota of its next payer.

    It is called before `member` loses the role of owner. The next payer is the second owner, if `member` is the first.
    """
    owners = Member.objects.filter(channel=member.channel, role=Role.OWNER).order_by("pk").select_related("user")
    first, *others = owners[:2]
    if first != member or not others or others[0].user is None:
        return
    successor = others[0].user
    user_limits.check_successor(successor)
    most_bytes = user_limits.limit("bytes", successor)
    if (
        most_bytes is not None
        and _bytes_of(user_limits.channels_of(successor)) + _bytes_of([member.channel]) > most_bytes
    ):
        raise forbidden(
            "bytes_limit",
            f"'{member.channel}' does not fit into the storage quota of {successor}, who would pay for it. "
            "Delete packages first, or ask an administrator.",
        )


def mark_outdated(channel: Channel, *former: User | None) -> None:
    """Mark the counts of the channel's owners and of `former` owners as out of date.

    Call it if owners change, because the payer may change, too.
    """
    owners = Member.objects.filter(channel=channel, role=Role.OWNER)
    payers = Q(user__in=owners.values("user")) | Q(user__in=[user for user in former if user])
    Usage.objects.filter(payers).update(counted_at=OUT_OF_DATE)


def delete_old() -> None:
    """Mark counts that are older than a day as out of date.

    Without quotas, delete all rows.
    """
    if not is_on():
        Usage.objects.all().delete()
    old = Usage.objects.filter(counted_at__lt=timezone.now() - COUNTED_FOR)
    old.exclude(day=_today()).delete()
    old.update(counted_at=OUT_OF_DATE)


def _raise_counts(bill: Bill) -> bool:
    payer, size, day = bill.payer, bill.more_bytes, _today()
    most_bytes = NO_LIMIT if payer.most_bytes is None else payer.most_bytes
    most_packages = NO_LIMIT if payer.most_packages is None else payer.most_packages
    with database.prepared() as cursor:
        cursor.execute(RAISE, (size, size, day, day, payer.user_id, size, size, most_bytes, day, most_packages))
        row = cursor.fetchone()
    bill.counted_at = str(row[0]) if row else None
    return row is not None


def _count(user_id: int) -> UsageCounts:
    """Return the counts of the user.

    If the row is missing or out of date, sum up the sizes of the artifacts first.
    """
    usage = Usage.objects.filter(user=user_id).first()
    if usage is None or usage.counted_at <= OUT_OF_DATE:
        stored_bytes = _bytes_of(user_limits.channels_of(user_id))
        first = {"stored_bytes": stored_bytes, "day": _today(), "day_packages": 0}
        Usage.objects.get_or_create(user_id=user_id, defaults=first)
        old = Usage.objects.filter(user=user_id, counted_at__lte=OUT_OF_DATE)
        old.update(stored_bytes=stored_bytes, counted_at=Now())
        usage = Usage.objects.get(user=user_id)
    return UsageCounts(usage.stored_bytes, usage.day, usage.day_packages)


def _read(stored_bytes: int | None, day: date | str | None, day_packages: int | None) -> UsageCounts | None:
    """Convert the columns of the row, if there is one. SQLite returns dates as text."""
    if stored_bytes is None or day is None or day_packages is None:
        return None
    return UsageCounts(stored_bytes, date.fromisoformat(day) if isinstance(day, str) else day, day_packages)


def _bytes_of(channels: Iterable[Channel]) -> int:
    """Sum up the stored bytes of the channels. Deleted files count until they are purged."""
    stored = Artifact.objects.filter(channel__in=channels, is_purged=False)
    total: int = stored.aggregate(total=Sum("size_bytes", default=0))["total"]
    return total


def _refusal(payer: Payer, counted: UsageCounts, more_bytes: int) -> HubError | None:
    most_bytes, most_packages = payer.most_bytes, payer.most_packages
    if most_bytes is not None and more_bytes > 0 and counted.stored_bytes + more_bytes > most_bytes:
        package = f", and this package has {human_size(more_bytes)}" if more_bytes > 1 else ""
        return too_large(
            "quota_bytes",
            f"The channels of {payer.username} hold {human_size(counted.stored_bytes)}{package}; "
            f"{human_size(most_bytes)} are allowed. Delete packages, or ask an administrator for more.",
        )
    if most_packages is not None and counted.day == _today() and counted.day_packages >= most_packages:
        return _too_many(payer, counted)
    return None


def _too_many(payer: Payer, counted: UsageCounts) -> HubError:
    """Return a 413, as for a full disk: after a 429, clients would send the whole package again several times."""
    now, packages = timezone.now(), "package" if counted.day_packages == 1 else "packages"
    left_s = (datetime.combine(now.date() + timedelta(days=1), time(), UTC) - now).seconds + 1
    return HubError(
        413,
        "quota_packages",
        f"{counted.day_packages:,} {packages} uploaded to the channels of {payer.username} today (UTC); "
        f"{payer.most_packages:,} a day are allowed. Continue tomorrow, or ask an administrator for more.",
        {"Retry-After": str(left_s)},
    )


def _today() -> date:
    return timezone.now().date()
