"""Rollbacks of promotions."""

from collections.abc import Collection

from django.db import transaction
from django.db.models import F, QuerySet

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_still_allowed
from channels_app.audit import log
from channels_app.models import Artifact, Removal
from channels_app.packages import packages
from hub.errors import conflict
from publishing.labels import artifact_labels
from publishing.models import PUBLISHED, Promotion, PromotionState
from publishing.models import PromotedFileChange as Change
from publishing.promotion import plan, promotions
from publishing.removal import removal


@transaction.atomic
def roll_back(*, actor: Actor, promotion: Promotion, reason: str = "") -> Promotion:
    """Delete the published files in the target, take the label from the others, and restore the moved ones.

    Files that got other bytes meanwhile stay. Raise HubError 409 if the promotion is not done, or if a file has no
    other label meanwhile.
    """
    check_still_allowed(actor, promotion.target, Permission.DELETE)
    promotions.lock_channels(promotion)
    promotion.refresh_from_db()
    if promotion.state != PromotionState.DONE:
        raise conflict(
            "not_done",
            f"Promotion {promotion.pk} is {promotion.get_state_display()}; expected one that is done.",
        )
    said = f"Promotion {promotion.pk} was rolled back." + (f" {reason}" if reason else "")
    if promotion.is_move:
        _restore_moved(actor, promotion)
    _lock(promotion)
    _remove_label(actor, promotion)
    removal.change_selection(
        actor=actor,
        channel=promotion.target,
        selection=_files(promotion, PUBLISHED),
        change=removal.DELETE,
        reason=said,
    )
    promotions.end(promotion, PromotionState.ROLLED_BACK)
    detail = {"reason": reason} if reason else {}
    log.record(Action.PROMOTION_ROLL_BACK, by=actor, channel=promotion.target, target=str(promotion.pk), detail=detail)
    return promotion


def _files(promotion: Promotion, changes: Collection[Change]) -> QuerySet[Artifact]:
    """Select the files of the target that the promotion changed so, and that still have its bytes."""
    found = promotion.files.filter(change__in=changes, artifact__sha256=F("sha256"))
    return promotion.target.artifacts.filter(pk__in=found.values("artifact"))


def _lock(promotion: Promotion) -> None:
    """Lock all files, then their packages: the removal of labels and the deletion lock indexes after them."""
    files = _files(promotion, [*PUBLISHED, Change.LABELED]).order_by("pk")
    locked = files.select_for_update(of=("self",), no_key=True).values_list("package__name", flat=True)
    packages.packages_for_update(promotion.target, set(locked))


def _remove_label(actor: Actor, promotion: Promotion) -> None:
    """Take the label from the files that had the bytes already. Deleted files are in no index and keep it."""
    selection = _files(promotion, [Change.LABELED]).exclude(removal=Removal.DELETED)
    artifact_labels.change_selection(
        actor=actor, channel=promotion.target, selection=selection, remove=[promotion.label]
    )


def _restore_moved(actor: Actor, promotion: Promotion) -> None:
    """Restore the files that the promotion deleted in the source. Raise HubError 409 if one can't be restored."""
    source = promotion.source
    if source is None:
        raise conflict("source_gone", "The channel that the files came from was deleted. Delete the files instead.")
    plan.check_can_see(actor, source)
    check_still_allowed(actor, source, Permission.DELETE)
    sha256 = {(file.subdir, file.file_name): file.sha256 for file in promotion.files.all()}
    names = {file_name for _, file_name in sha256}
    deleted = source.artifacts.filter(removal=Removal.DELETED, file_name__in=names).only(
        "subdir", "file_name", "sha256"
    )
    ids = [each.pk for each in deleted if sha256.get((each.subdir, each.file_name)) == each.sha256]
    selection = source.artifacts.filter(pk__in=ids)
    changed = removal.change_selection(actor=actor, channel=source, selection=selection, change=removal.RESTORE)
    if purged := next((artifact for artifact in changed if artifact.is_purged), None):
        raise removal.purged(purged)
