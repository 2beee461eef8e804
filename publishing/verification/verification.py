"""Comparing a channel's database, index files and store; each night, and by `manage.py verify`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from channels_app.audit import log
from channels_app.models import DAMAGED, Artifact, Channel
from hub.celery import send
from hub.locks import try_lock
from publishing.models import Verification
from publishing.verification import repairs, stored_artifacts, stored_indexes, unknown_files
from publishing.verification.differences import Difference, DifferenceKind
from publishing.verification.inventory import taken

NIGHT_HOUR_UTC = 3
KEPT_MAX = 1000
REPORTED_MAX = 20
# By night nobody watches: only what the database alone can make anew.
MENDED_BY_NIGHT = (DifferenceKind.INDEX,)


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """How many artifacts there are, and what differs."""

    file_count: int
    differences: list[Difference]


def verify(channel: Channel, *, is_hashed: bool = False) -> VerificationResult:
    """Look at everything; with `is_hashed` read every byte, too. StoreError where the store does not answer."""
    with taken(f"{channel}/") as inventory:
        differences = [
            *stored_artifacts.check(channel, inventory, is_hashed=is_hashed),
            *stored_indexes.check(channel),
            *unknown_files.check(channel, inventory),
        ]
    return VerificationResult(Artifact.objects.filter(channel=channel, is_purged=False).count(), differences)


def damaged_count(channel: Channel) -> int:
    """How many artifacts are left out of the index until their bytes are right again."""
    return Artifact.objects.filter(channel=channel, set_aside_reason__startswith=DAMAGED).count()


def keep(channel: Channel, verified: VerificationResult, left: Sequence[Difference], *, is_hashed: bool) -> None:
    """Make it the channel's last verification, with what is `left` after repairs."""
    result = {
        "ended_at": timezone.now(),
        "is_hashed": is_hashed,
        "file_count": verified.file_count,
        "differences": [[each.kind, each.key, each.sentence] for each in left[:KEPT_MAX]],
        "difference_count": len(left),
    }
    Verification.objects.update_or_create(channel=channel, defaults=result)


def send_due() -> None:
    """Queue a job for each channel that was not verified since the last night began."""
    for channel in Channel.objects.filter(deleted_at=None, created_at__lt=_night()).exclude(
        verification__ended_at__gte=_night()
    ):
        send("publishing.tasks.verify_channel", channel.pk)


def verify_by_night(channel_id: int) -> None:
    """Verify the channel, unless that was done, or is being done, this night; tell administrators what differs."""
    with try_lock(f"verify-{channel_id}") as held:
        channel = Channel.objects.filter(pk=channel_id, deleted_at=None).first()
        is_done = Verification.objects.filter(channel_id=channel_id, ended_at__gte=_night()).exists()
        if not held or channel is None or is_done:
            return
        verified = verify(channel)
        left = repairs.repair(channel, verified.differences, MENDED_BY_NIGHT)
        keep(channel, verified, left, is_hashed=False)
        if verified.differences:
            _tell(channel, verified.differences, left)


@transaction.atomic
def _tell(channel: Channel, differences: Sequence[Difference], left: Sequence[Difference]) -> None:
    told = [[each.kind, each.key, each.sentence] for each in differences[:REPORTED_MAX]]
    detail = {"count": len(differences), "left": len(left), "differences": told}
    log.record("channel.differ", channel=channel, target=channel.name, detail=detail)


def _night() -> datetime:
    """When the last night began."""
    now = timezone.now()
    begins = now.replace(hour=NIGHT_HOUR_UTC, minute=0, second=0, microsecond=0)
    return begins if begins <= now else begins - timedelta(days=1)
