"""Verification of a channel's database, index files and store, every night and by `manage.py verify`."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.audit import log
from channels_app.models import DAMAGED, Artifact, Channel
from hub.celery import send
from hub.locks import try_lock
from publishing.models import Verification
from publishing.nights import last_night
from publishing.verification import (
    cached_files,
    name_members,
    package_sizes,
    repairs,
    stored_artifacts,
    stored_indexes,
    unknown_files,
)
from publishing.verification.differences import Difference, DifferenceKind
from publishing.verification.inventory import inventory_of

KEPT_MAX = 1000
LOGGED_MAX = 20
# Without an operator, repair only differences that the database alone can correct.
REPAIRED_BY_NIGHT = (DifferenceKind.CACHED, DifferenceKind.SIZE, DifferenceKind.MEMBER, DifferenceKind.INDEX)


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """The number of artifacts, and the differences."""

    file_count: int
    differences: list[Difference]


def verify(channel: Channel, *, is_hashed: bool = False) -> VerificationResult:
    """Compare everything; with `is_hashed`, also read every byte. Raise StoreError if the store does not answer."""
    with inventory_of(f"{channel}/") as inventory:
        differences = [
            *stored_artifacts.check(channel, inventory, is_hashed=is_hashed),
            *cached_files.check(channel, inventory, is_hashed=is_hashed),
            *package_sizes.check(channel),
            *name_members.check(channel),
            *stored_indexes.check(channel),
            *unknown_files.check(channel, inventory),
        ]
    file_count = Artifact.objects.filter(channel=channel, is_purged=False).count() + channel.cached_files.count()
    return VerificationResult(file_count, differences)


def damaged_count(channel: Channel) -> int:
    """Return the number of artifacts that are quarantined until their bytes are correct again."""
    return Artifact.objects.filter(channel=channel, quarantine_reason__startswith=DAMAGED).count()


def save_result(channel: Channel, verified: VerificationResult, left: Sequence[Difference], *, is_hashed: bool) -> None:
    """Save the channel's last verification, with the differences `left` after repairs."""
    result = {
        "ended_at": timezone.now(),
        "is_hashed": is_hashed,
        "file_count": verified.file_count,
        "differences": [[each.kind, each.key, each.sentence] for each in left[:KEPT_MAX]],
        "difference_count": len(left),
    }
    Verification.objects.update_or_create(channel=channel, defaults=result)


def send_due() -> None:
    """Enqueue a job for each channel that was not verified since the last night began."""
    for channel in Channel.objects.filter(deleted_at=None, created_at__lt=last_night()).exclude(
        verification__ended_at__gte=last_night()
    ):
        send("publishing.tasks.verify_channel", channel.pk)


def verify_nightly(channel_id: int) -> None:
    """Verify the channel, unless this night's verification is done or running. Notify administrators of differences."""
    with try_lock(f"verify-{channel_id}") as held:
        channel = Channel.objects.filter(pk=channel_id, deleted_at=None).first()
        is_done = Verification.objects.filter(channel_id=channel_id, ended_at__gte=last_night()).exists()
        if not held or channel is None or is_done:
            return
        verified = verify(channel)
        left = repairs.repair(channel, verified.differences, REPAIRED_BY_NIGHT)
        save_result(channel, verified, left, is_hashed=False)
        if verified.differences:
            _notify(channel, verified.differences, left)


@transaction.atomic
def _notify(channel: Channel, differences: Sequence[Difference], left: Sequence[Difference]) -> None:
    for each in differences[:LOGGED_MAX]:
        logger.warning("%s: %s: %s", each.kind, each.key, each.sentence)
    reported = [[each.kind, each.key, each.sentence] for each in repairs.in_activity(channel, differences)]
    detail = {"count": len(differences), "left": len(left), "differences": reported}
    log.record(Action.CHANNEL_DIFFER, channel=channel, target=channel.name, detail=detail)
