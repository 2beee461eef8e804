"""Removal of artifacts: yank, delete, restore and release. Each schedules an index build, as an upload does.

A yanked artifact is not in the index, but its URL still works (`removed` of CEP 36). A deleted artifact is not served.
It can be restored during the grace period; then its bytes are purged. Its row stays, so no other bytes can be uploaded
under the name until an owner releases it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import ANONYMOUS, Actor, Permission, check_name, check_still_allowed
from channels_app.audit import log
from channels_app.channels import channels
from channels_app.models import DAMAGED, Artifact, Channel, KeyKind, Label, Package, Removal
from channels_app.packages import packages
from channels_app.quotas import quotas
from hub.attempts import attempt_each
from hub.errors import HubError, conflict, unprocessable
from hub.storage import store
from publishing.attestations import sidecars
from publishing.index import builds
from publishing.models import Reservation

SELECTION_MAX = 500
# The columns of an artifact that is neither removed nor quarantined.
NOT_REMOVED: dict[str, Any] = {
    "quarantine_reason": "",
    "removal": Removal.NONE,
    "removal_reason": "",
    "removed_at": None,
    "removed_by": None,
    "is_purged": False,
}


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the removal state, with the states that it applies to."""

    action: Action
    to: Removal
    of: tuple[Removal, ...]


YANK = Change(Action.ARTIFACT_YANK, Removal.YANKED, (Removal.NONE,))
DELETE = Change(Action.ARTIFACT_DELETE, Removal.DELETED, (Removal.NONE, Removal.YANKED))
RESTORE = Change(Action.ARTIFACT_RESTORE, Removal.NONE, (Removal.YANKED, Removal.DELETED))


@dataclass(frozen=True, slots=True)
class OwnChange:
    """A change by the hub itself: of locked artifacts, for one reason."""

    change: Change
    artifacts: Sequence[Artifact]
    reason: str


def yank(*, actor: Actor, artifact: Artifact, reason: str) -> Artifact:
    """Take `artifact` out of the index. Its URL still works."""
    return _change(actor, artifact, YANK, reason)


def delete(*, actor: Actor, artifact: Artifact, reason: str) -> Artifact:
    """Take `artifact` out of the index and stop serving it. Its bytes are purged after the grace period."""
    return _change(actor, artifact, DELETE, reason)


def restore(*, actor: Actor, artifact: Artifact) -> Artifact:
    """Put `artifact` back into the index. Raise HubError 409 if its bytes are purged."""
    return _change(actor, artifact, RESTORE)


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
    log.record(Action.ARTIFACT_RELEASE, by=actor, channel=artifact.channel, target=artifact.path, detail=detail)
    # Before the name is free: afterwards the key could hold the bytes of a new upload. After a purge it can only hold
    # what others put there.
    if not locked.is_purged:
        store().delete(_key(locked))
    sidecars.remove(locked)
    locked.delete()
    quotas.mark_outdated(artifact.channel)
    _update_packages_and_indexes(locked.channel, [locked])


@transaction.atomic
def quarantine(*, artifact: Artifact, found: str) -> None:
    """Quarantine `artifact` until its bytes are correct again. `found` is the damage, as the end of the reason."""
    locked = packages.locked_artifact(artifact)
    reason = f"{DAMAGED}{found}"
    if locked.quarantine_reason != reason:
        _set_quarantine(locked, reason)
        log.record(Action.ARTIFACT_DAMAGE, channel=locked.channel, target=locked.path, detail={"reason": reason})


@transaction.atomic
def release_quarantine(*, artifact: Artifact) -> None:
    """Record that the bytes of `artifact` are correct. Put it back into the index if they had quarantined it."""
    locked = packages.locked_artifact(artifact)
    if locked.is_damaged:
        _set_quarantine(locked, "")
        log.record(Action.ARTIFACT_MEND, channel=locked.channel, target=locked.path)


def purge_deleted() -> None:
    """Purge the bytes of artifacts that were deleted longer ago than the grace period."""
    deleted = Artifact.objects.filter(removal=Removal.DELETED, is_purged=False)
    due = deleted.filter(removed_at__lt=channels.purge_before()).only("channel").select_related("channel")
    attempt_each(partial(_purge, artifact) for artifact in due)


@transaction.atomic
def _purge(artifact: Artifact) -> None:
    locked = Artifact.objects.select_for_update().filter(pk=artifact.pk, removal=Removal.DELETED).first()
    if locked and not _is_being_uploaded(locked):
        store().delete(_key(locked))
        sidecars.remove(locked)
        Artifact.objects.filter(pk=locked.pk).update(is_purged=True)
        packages.measure(Package.objects.filter(pk=locked.package_id))
        quotas.mark_outdated(artifact.channel)


def purge_at(artifact: Artifact) -> datetime | None:
    """Return when the bytes of a deleted artifact are purged."""
    return artifact.removed_at + channels.grace() if artifact.removed_at else None


@transaction.atomic
def change_selection(
    *,
    actor: Actor,
    channel: Channel,
    selection: QuerySet[Artifact],
    change: Change,
    reason: str = "",
    expected: str = "",
) -> list[Artifact]:
    """Change those artifacts of `selection` whose state `change` applies to, with one index change for each subdir.

    Return them, purged ones unchanged. Raise HubError 409 if `expected` is the fingerprint of other artifacts, and
    the errors of affected().
    """
    locked = selection.select_for_update(of=("self",), no_key=True)
    found = affected(actor=actor, channel=channel, selection=locked, change=change)
    if expected and fingerprint(found) != expected:
        raise conflict("selection_changed", "The selected files have changed since the preview; nothing was done.")
    if changed := [artifact for artifact in found if not artifact.is_purged]:
        _check_labels(changed, change)
        _store(actor, channel, changed, change, reason)
    return found


def change_for_hub(*, channel: Channel, changes: Sequence[OwnChange]) -> None:
    """Store changes by the hub itself, with one index change for each subdir. Call it in a transaction."""
    for each in changes:
        _store_states(ANONYMOUS, channel, each.artifacts, each.change, each.reason)
    _update_packages_and_indexes(channel, [artifact for each in changes for artifact in each.artifacts])


def affected(*, actor: Actor, channel: Channel, selection: QuerySet[Artifact], change: Change) -> list[Artifact]:
    """Return those artifacts of `selection` whose state `change` applies to.

    Raise HubError 403 if the key may not touch one of the names, and 422 for more than SELECTION_MAX artifacts.
    """
    found = list(selection.filter(removal__in=change.of).order_by("pk")[: SELECTION_MAX + 1])
    _check(actor, channel, {artifact.package.name for artifact in found})
    check_selection_size(found)
    return found


def fingerprint(artifacts: Sequence[Artifact]) -> str:
    """Return a hash of the artifacts with their bytes and states, by which a preview recognises a later change."""
    lines = [f"{each.path} {each.sha256} {each.removal} {each.is_purged}" for each in artifacts]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_selection_size(found: list[Artifact]) -> None:
    """Raise HubError 422 for more than SELECTION_MAX artifacts."""
    if len(found) > SELECTION_MAX:
        raise unprocessable(
            "selection_too_large",
            f"More than {SELECTION_MAX} files match; nothing was changed. Select fewer files in each request.",
        )


def purged(artifact: Artifact) -> HubError:
    return conflict("purged", f"The bytes of {artifact} are gone; upload the file again.")


@transaction.atomic
def _change(actor: Actor, artifact: Artifact, change: Change, reason: str = "") -> Artifact:
    _check(actor, artifact.channel, {artifact.package.name})
    locked = packages.locked_artifact(artifact)
    if locked.is_purged:
        raise purged(locked)
    _check_labels([locked], change)
    _store(actor, locked.channel, [locked], change, reason)
    return locked


def _check(actor: Actor, channel: Channel, names: set[str]) -> None:
    check_still_allowed(actor, channel, Permission.DELETE)
    for name in sorted(names):
        check_name(actor, channel, name, "remove or restore the package '{}' in")


def _check_labels(artifacts: Sequence[Artifact], change: Change) -> None:
    """Raise HubError 409 if a restored file would be in no index, because its last label is deleted.

    The labels stay locked until the transaction ends, so that none is deleted meanwhile; see labels.py for the order.
    """
    without = [artifact for artifact in artifacts if not artifact.is_main] if change == RESTORE else []
    if not without:
        return
    packages.packages_for_update(artifacts[0].channel, {artifact.package.name for artifact in artifacts})
    found = Label.objects.filter(pk__in=Label.objects.filter(artifacts__in=without).values("pk")).order_by("name")
    list(found.select_for_update(no_key=True).values_list("pk"))
    labeled = set(Label.artifacts.through.objects.filter(artifact__in=without).values_list("artifact", flat=True))
    if bare := [artifact for artifact in without if artifact.pk not in labeled]:
        raise conflict(
            "no_label", f"{bare[0]} lost its last label, which was deleted. Give it a label first, such as 'main'."
        )


def _store(actor: Actor, channel: Channel, artifacts: Sequence[Artifact], change: Change, reason: str) -> None:
    """Store the change of locked artifacts with an event for each, and mark the indexes stale."""
    _store_states(actor, channel, artifacts, change, reason)
    _update_packages_and_indexes(channel, artifacts)


def _store_states(actor: Actor, channel: Channel, artifacts: Sequence[Artifact], change: Change, reason: str) -> None:
    """Store the new states with an event for each."""
    said = {"reason": reason[:500]} if reason else {}
    details = {artifact.path: {**removal_detail(artifact, change.to), **said} for artifact in artifacts}
    values = _set_removal(artifacts, change, actor, reason)
    Artifact.objects.filter(pk__in=[artifact.pk for artifact in artifacts]).update(**values)
    log.record_each(change.action, by=actor, channel=channel, targets=details)


def _set_removal(artifacts: Sequence[Artifact], change: Change, actor: Actor, reason: str) -> dict[str, Any]:
    """Set the columns of the change in the objects, and return them with their values."""
    values = {
        "removal": change.to,
        "removal_reason": reason[:500],
        "removed_at": timezone.now() if change.to else None,
        "removed_by": actor.user if change.to else None,
    }
    for artifact in artifacts:
        for name, value in values.items():
            setattr(artifact, name, value)
    return values


def is_own(actor: Actor, artifact: Artifact) -> bool:
    """Tell whether `actor` uploaded it: the same user with any credential or, for a channel key, any channel key."""
    if actor.user:
        return artifact.uploaded_by_id == actor.user.pk
    uploader = artifact.uploaded_with
    is_robot = actor.key is not None and actor.key.kind == KeyKind.ROBOT
    return is_robot and uploader is not None and uploader.kind == KeyKind.ROBOT


def removal_detail(artifact: Artifact, removal: Removal) -> dict[str, dict[str, str]]:
    """Return the event's detail: the artifact's removal state before and after."""
    return {"removal": {"from": artifact.removal, "to": removal.value}}


def _set_quarantine(artifact: Artifact, reason: str) -> None:
    artifact.quarantine_reason = reason
    artifact.save(update_fields=["quarantine_reason"])
    _update_packages_and_indexes(artifact.channel, [artifact])


def _update_packages_and_indexes(channel: Channel, artifacts: Sequence[Artifact]) -> None:
    """Update the rows of the packages and mark the indexes stale. Artifacts that leave an index have priority.

    The rows are locked in the order of their names, so that concurrent changes don't deadlock.
    """
    names = {artifact.package.name for artifact in artifacts}
    packages.refresh_each(packages.packages_for_update(channel, names).values())
    for subdir in sorted({artifact.subdir for artifact in artifacts}):
        within = [artifact for artifact in artifacts if artifact.subdir == subdir]
        removes = any(artifact.removal or artifact.quarantine_reason for artifact in within)
        changed = sorted({artifact.package.name for artifact in within})
        builds.schedule_build(channel, subdir, changed, removes=removes)


def _is_being_uploaded(artifact: Artifact) -> bool:
    """Tell whether an upload has reserved the file name. An upload locks the artifact's row while it reserves."""
    reserved = Reservation.of(artifact.channel, artifact.subdir, artifact.file_name)
    return reserved.filter(expires_at__gt=timezone.now()).exists()


def _key(artifact: Artifact) -> str:
    return f"{artifact.channel.name}/{artifact.path}"
