"""Taking artifacts out of the index, and back in: yank, restore, delete, release. All end as an upload does.

Yanked: out of the index, still served by its URL (CEP 36's `removed`). Deleted: no longer served; for a while it can be
restored, then its bytes go. The row stays, so that no other bytes come under the name unless an owner releases it.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from channels_app import acts, audit, channels, packages, quotas
from channels_app.access import Actor, Permission, check_name, check_still_allowed
from channels_app.models import DAMAGED, Artifact, KeyKind, Removal
from hub.errors import conflict
from hub.storage import store
from publishing import index
from publishing.attestations import sidecars
from publishing.models import Reservation


def yank(*, actor: Actor, artifact: Artifact, reason: str) -> Artifact:
    """Take `artifact` out of the index; who has its URL still gets it."""
    return _change(actor, artifact, Removal.YANKED, reason, "artifact.yank")


def delete(*, actor: Actor, artifact: Artifact, reason: str) -> Artifact:
    """Take `artifact` out of the index and stop serving it; its bytes go when the grace period is over."""
    return _change(actor, artifact, Removal.DELETED, reason, "artifact.delete")


def restore(*, actor: Actor, artifact: Artifact) -> Artifact:
    """Put `artifact` back into the index; 409 where its bytes are gone."""
    return _change(actor, artifact, Removal.NONE, "", "artifact.restore")


@transaction.atomic
def release(*, actor: Actor, artifact: Artifact) -> None:
    """Forget a deleted artifact, so that other bytes may come under its name. For owners alone."""
    acts.check("artifact.release", actor, artifact.channel)
    locked = Artifact.objects.select_for_update().get(pk=artifact.pk)
    if locked.removal != Removal.DELETED:
        raise conflict("not_deleted", f"{artifact} is not deleted; only the name of a deleted file can be released.")
    if _is_being_uploaded(locked):
        raise conflict("being_uploaded", f"{artifact} is being uploaded again at this moment.")
    detail = {"sha256": locked.sha256, "size_bytes": locked.size_bytes}
    audit.record("artifact.release", by=actor, channel=artifact.channel, target=_target(artifact), detail=detail)
    # Before the name is free: afterwards these could be the bytes of another upload.
    store().delete(_key(locked))
    sidecars.remove(locked)
    locked.delete()
    quotas.forget(artifact.channel)
    _follow(artifact)


@transaction.atomic
def set_damaged(*, artifact: Artifact, found: str) -> None:
    """Leave `artifact` out of the index until its bytes, which are `found` instead, are right again."""
    locked = packages.locked(artifact)
    reason = f"{DAMAGED}{found}"
    if locked.set_aside_reason != reason:
        _set_aside(locked, reason)
        audit.record("artifact.damage", channel=locked.channel, target=_target(locked), detail={"reason": reason})


@transaction.atomic
def set_whole(*, artifact: Artifact) -> None:
    """The bytes of `artifact` are right: put it back into the index where it was left out because of them."""
    locked = packages.locked(artifact)
    if locked.is_damaged:
        _set_aside(locked, "")
        audit.record("artifact.mend", channel=locked.channel, target=_target(locked))


def purge_deleted() -> None:
    """Delete the bytes of what was deleted longer ago than the grace period."""
    deleted = Artifact.objects.filter(removal=Removal.DELETED, is_purged=False)
    for artifact in deleted.filter(removed_at__lt=channels.grace_began()).only("channel").select_related("channel"):
        with transaction.atomic():
            locked = Artifact.objects.select_for_update().filter(pk=artifact.pk, removal=Removal.DELETED).first()
            if locked and not _is_being_uploaded(locked):
                store().delete(_key(locked))
                sidecars.remove(locked)
                Artifact.objects.filter(pk=locked.pk).update(is_purged=True)
                quotas.forget(artifact.channel)


def goes_at(artifact: Artifact) -> datetime | None:
    """When the bytes of a deleted artifact go."""
    return artifact.removed_at + channels.grace() if artifact.removed_at else None


@transaction.atomic
def _change(actor: Actor, artifact: Artifact, removal: Removal, reason: str, action: str) -> Artifact:
    check_still_allowed(actor, artifact.channel, Permission.DELETE)
    check_name(actor, artifact.channel, artifact.package.name, "remove or restore the package '{}' in")
    locked = packages.locked(artifact)
    if locked.is_purged:
        raise conflict("purged", f"The bytes of {artifact} are gone; upload the file again.")
    detail = change(locked, removal) | ({"reason": reason[:500]} if reason else {})
    locked.removal = removal
    locked.removal_reason = reason[:500]
    locked.removed_at = timezone.now() if removal else None
    locked.removed_by = actor.user if removal else None
    locked.save(update_fields=["removal", "removal_reason", "removed_at", "removed_by"])
    audit.record(action, by=actor, channel=locked.channel, target=_target(locked), detail=detail)
    _follow(locked)
    return locked


def is_own(actor: Actor, artifact: Artifact) -> bool:
    """Tell whether `actor` uploaded it: a user by whatever means; for a robot, any robot of the channel."""
    if actor.user:
        return artifact.uploaded_by_id == actor.user.pk
    uploader = artifact.uploaded_with
    is_robot = actor.key is not None and actor.key.kind == KeyKind.ROBOT
    return is_robot and uploader is not None and uploader.kind == KeyKind.ROBOT


def change(artifact: Artifact, removal: Removal) -> dict[str, dict[str, str]]:
    """The detail of a change for its event: how the artifact was removed before, and how it is now."""
    return {"removal": {"from": artifact.removal, "to": removal.value}}


def _set_aside(artifact: Artifact, reason: str) -> None:
    artifact.set_aside_reason = reason
    artifact.save(update_fields=["set_aside_reason"])
    _follow(artifact)


def _follow(artifact: Artifact) -> None:
    """Bring lists and indexes up to date. An artifact that leaves an index goes before additions."""
    packages.refresh(packages.held(artifact.channel, artifact.package.name))
    is_out = artifact.pk is None or bool(artifact.removal or artifact.set_aside_reason)
    index.request(artifact.channel, artifact.subdir, [artifact.package.name], removes=is_out)


def _is_being_uploaded(artifact: Artifact) -> bool:
    """Whether its bytes are on their way again, or there already. Whoever reserves the name holds the row meanwhile."""
    reserved = Reservation.of(artifact.channel, artifact.subdir, artifact.file_name)
    return reserved.filter(expires_at__gt=timezone.now()).exists()


def _key(artifact: Artifact) -> str:
    return f"{artifact.channel.name}/{artifact.subdir}/{artifact.file_name}"


def _target(artifact: Artifact) -> str:
    return f"{artifact.subdir}/{artifact.file_name}"
