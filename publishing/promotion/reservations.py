"""Reservations of a promotion: the names in the target, and those in the source until its bytes are copied.

A reservation in the source keeps an overwrite and a purge away from the bytes. An upload of the same bytes may join a
reservation; the promotion then leaves it to that upload.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.models import Artifact, Channel
from hub.errors import conflict, unavailable
from publishing.models import Promotion, Reservation
from publishing.promotion.plan import PlannedFile


class Name(NamedTuple):
    """A file name to reserve for these bytes. `more_bytes`: how much the channel grows by them."""

    channel_id: int
    subdir: str
    file_name: str
    sha256: str
    more_bytes: int = 0

    @property
    def key(self) -> tuple[int, str, str]:
        return self.channel_id, self.subdir, self.file_name.lower()


def reserve(promotion: Promotion, planned: Sequence[PlannedFile]) -> None:
    """Reserve the names of these artifacts in both channels. Raise HubError 409 if other bytes are being uploaded."""
    files = [(each.artifact, max(each.more_bytes, 0)) for each in planned]
    names = [Name(promotion.target_id, one.subdir, one.file_name, one.sha256, more) for one, more in files]
    if promotion.source_id:
        names += [Name(promotion.source_id, one.subdir, one.file_name, one.sha256) for one, _ in files]
    wanted = {name.key: name for name in sorted(names, key=lambda name: name.key)}
    mine, end = token(promotion), _end()
    rows = [Reservation(**name._asdict(), token=mine, expires_at=end) for name in wanted.values()]
    Reservation.objects.bulk_create(rows, ignore_conflicts=True)
    for row in _rows(wanted.values()).exclude(token=mine).select_for_update().order_by("pk"):
        name = wanted.get((row.channel_id, row.subdir, row.file_name.lower()))
        if name:
            _take_over(row, name, token=mine, expires_at=end)


def renew(promotion: Promotion) -> None:
    held(promotion).update(expires_at=_end())


def held(promotion: Promotion) -> QuerySet[Reservation]:
    return Reservation.objects.filter(token=token(promotion))


def check(target: Channel, artifacts: Sequence[Artifact]) -> None:
    """Raise HubError 503 unless each name in the target is still reserved for these bytes."""
    names = [Name(target.pk, each.subdir, each.file_name, each.sha256) for each in artifacts]
    found = {(row.channel_id, row.subdir, row.file_name.lower(), row.sha256) for row in _rows(names)}
    for name in names:
        if (*name.key, name.sha256) not in found:
            raise unavailable("reservation_lost", f"An upload took over the file name {name.file_name}; try again.")


def token(promotion: Promotion) -> str:
    return f"promotion-{promotion.pk}"


def _take_over(row: Reservation, name: Name, *, token: str, expires_at: datetime) -> None:
    if row.sha256 not in ("", name.sha256) and row.expires_at > timezone.now():
        raise conflict("being_uploaded", f"Other bytes are being uploaded as {name.file_name} at this moment.")
    Reservation.objects.filter(pk=row.pk).update(**name._asdict(), token=token, expires_at=expires_at)


def _rows(names: Iterable[Name]) -> QuerySet[Reservation]:
    """Select the reservations of these names, and a few of the same file names in other subdirs."""
    names = list(names)
    within = Reservation.objects.filter(channel__in={name.channel_id for name in names})
    return within.filter(
        subdir__in={name.subdir for name in names}, file_name__lower__in={name.file_name.lower() for name in names}
    )


def _end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.HUB_RESERVATION_S)
