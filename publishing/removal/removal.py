"""Removal of artifacts: yank, delete, restore and release. Each schedules an index build, as an upload does.

A yanked artifact is not in the index, but its URL still works (`removed` of CEP 36). A deleted artifact is not served.
It can be restored during the grace period; then its bytes are purged. Its row stays, so no other bytes can be uploaded
under the name until an owner releases it.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_name, check_still_allowed
from channels_app.audit import log
from channels_app.channels import channels
from channels_app.models import DAMAGED, Artifact, KeyKind, Removal
from channels_app.packages import packages
from channels_app.quotas import quotas
from hub.errors import conflict
from hub.storage import store
from publishing.attestations import sidecars
from publishing.index import builds
from publishing.models import Reservation


def yank(*, actor: Actor, artifact: Artifact, reason: str) -> Artifact:
    """Take `artifact` out of the index. Its URL still works."""
    return _change(actor, artifact, Removal.YANKED, reason, Action.ARTIFACT_YANK)


def delete(*, actor: Actor, artifact: Artifact, reason: str) -> Artifact:
    """Take `artifact` out of the index and stop serving it. Its bytes are purged after the grace period."""
    return _change(actor, artifact, Removal.DELETED, reason, Action.ARTIFACT_DELETE)


def restore(*, actor: Actor, artifact: Artifact) -> Artifact:
    """Put `artifact` back into the index. Raise HubError 409 if its bytes are purged."""
    return _change(actor, artifact, Removal.NONE, "", Action.ARTIFACT_RESTORE)


@transaction.atomic
def release(*, actor: Actor, artifact: Artifact) -> None:
    """Delete the row of a deleted artifact, so that its name is free for other bytes. Only owners may do this."""
    acts.check(Action.ARTIFACT_RELEASE, actor, artifact.channel)
    locked = Artifact.objects.select_for_update().get(pk=artifact.pk)
    if locked.removal != Removal.DELETED:
        raise conflict("not_deleted", f"{artifact} is not deleted; only the name of a deleted file can be released.")
    if _is_being_uploaded(locked):
        raise conflict("being_uploaded", f"{artifact} is being uploaded again at this moment.")
    detail = {"sha256": locked.sha256, "size_bytes": locked.size_bytes}
    log.record(Action.ARTIFACT_RELEASE, by=actor, channel=artifact.channel, target=_target(artifact), detail=detail)
    # Before the name is free: afterwards the key could hold the bytes of a new upload.
    store().delete(_key(locked))
    sidecars.remove(locked)
    locked.delete()
    quotas.mark_outdated(artifact.channel)
    _update_package_and_index(locked)


@transaction.atomic
def quarantine(*, artifact: Artifact, found: str) -> None:
    """Quarantine `artifact` until its bytes are correct again. `found` is the damage, as the end of the reason."""
    locked = packages.locked_artifact(artifact)
    reason = f"{DAMAGED}{found}"
    if locked.quarantine_reason != reason:
        _set_quarantine(locked, reason)
        log.record(Action.ARTIFACT_DAMAGE, channel=locked.channel, target=_target(locked), detail={"reason": reason})


@transaction.atomic
def release_quarantine(*, artifact: Artifact) -> None:
    """Record that the bytes of `artifact` are correct. Put it back into the index if they had quarantined it."""
    locked = packages.locked_artifact(artifact)
    if locked.is_damaged:
        _set_quarantine(locked, "")
        log.record(Action.ARTIFACT_MEND, channel=locked.channel, target=_target(locked))


def purge_deleted() -> None:
    """Purge the bytes of artifacts that were deleted longer ago than the grace period."""
    deleted = Artifact.objects.filter(removal=Removal.DELETED, is_purged=False)
    for artifact in deleted.filter(removed_at__lt=channels.purge_before()).only("channel").select_related("channel"):
        with transaction.atomic():
            locked = Artifact.objects.select_for_update().filter(pk=artifact.pk, removal=Removal.DELETED).first()
            if locked and not _is_being_uploaded(locked):
                store().delete(_key(locked))
                sidecars.remove(locked)
                Artifact.objects.filter(pk=locked.pk).update(is_purged=True)
                quotas.mark_outdated(artifact.channel)


def purge_at(artifact: Artifact) -> datetime | None:
    """Return when the bytes of a deleted artifact are purged."""
    return artifact.removed_at + channels.grace() if artifact.removed_at else None


@transaction.atomic
def _change(actor: Actor, artifact: Artifact, removal: Removal, reason: str, action: Action) -> Artifact:
    check_still_allowed(actor, artifact.channel, Permission.DELETE)
    check_name(actor, artifact.channel, artifact.package.name, "remove or restore the package '{}' in")
    locked = packages.locked_artifact(artifact)
    if locked.is_purged:
        raise conflict("purged", f"The bytes of {artifact} are gone; upload the file again.")
    detail = change(locked, removal) | ({"reason": reason[:500]} if reason else {})
    locked.removal = removal
    locked.removal_reason = reason[:500]
    locked.removed_at = timezone.now() if removal else None
    locked.removed_by = actor.user if removal else None
    locked.save(update_fields=["removal", "removal_reason", "removed_at", "removed_by"])
    log.record(action, by=actor, channel=locked.channel, target=_target(locked), detail=detail)
    _update_package_and_index(locked)
    return locked


def is_own(actor: Actor, artifact: Artifact) -> bool:
    """Tell whether `actor` uploaded it: the same user with any credential or, for a channel key, any channel key."""
    if actor.user:
        return artifact.uploaded_by_id == actor.user.pk
    uploader = artifact.uploaded_with
    is_robot = actor.key is not None and actor.key.kind == KeyKind.ROBOT
    return is_robot and uploader is not None and uploader.kind == KeyKind.ROBOT


def change(artifact: Artifact, removal: Removal) -> dict[str, dict[str, str]]:
    """Return the event's detail: the artifact's removal state before and after."""
    return {"removal": {"from": artifact.removal, "to": removal.value}}


def _set_quarantine(artifact: Artifact, reason: str) -> None:
    artifact.quarantine_reason = reason
    artifact.save(update_fields=["quarantine_reason"])
    _update_package_and_index(artifact)


def _update_package_and_index(artifact: Artifact) -> None:
    """Update the package's row and mark the index stale. An artifact that leaves the index has priority."""
    packages.refresh(packages.package_for_update(artifact.channel, artifact.package.name))
    is_out = bool(artifact.removal or artifact.quarantine_reason)
    builds.schedule_build(artifact.channel, artifact.subdir, [artifact.package.name], removes=is_out)


def _is_being_uploaded(artifact: Artifact) -> bool:
    """Tell whether an upload has reserved the file name. An upload locks the artifact's row while it reserves."""
    reserved = Reservation.of(artifact.channel, artifact.subdir, artifact.file_name)
    return reserved.filter(expires_at__gt=timezone.now()).exists()


def _key(artifact: Artifact) -> str:
    return f"{artifact.channel.name}/{artifact.subdir}/{artifact.file_name}"


def _target(artifact: Artifact) -> str:
    return f"{artifact.subdir}/{artifact.file_name}"
