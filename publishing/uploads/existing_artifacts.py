"""Checks of an upload against the existing artifact with its file name."""

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.models import Artifact, Removal
from hub import database
from hub.errors import HubError, conflict
from publishing.removal import removal
from publishing.uploads.values import Upload

# SQL, because it runs three times per upload and mostly finds no row: the ORM takes ten times as long.
EXISTING_ARTIFACT = (
    "SELECT id FROM channels_app_artifact WHERE channel_id = %s AND subdir = %s AND LOWER(file_name) = %s"
)


def existing_artifact(upload: Upload, *, locked: bool = False) -> Artifact | None:
    """Return the artifact with this file name, not case-sensitive, or None. Deleted artifacts count.

    `locked`: lock its row until the transaction ends, so that the name can't be released meanwhile.
    """
    with database.prepared() as cursor:
        cursor.execute(EXISTING_ARTIFACT, [upload.channel.pk, upload.info.subdir, upload.info.file_name.lower()])
        found = cursor.fetchone()
    if found is None:
        return None
    artifacts = Artifact.objects.select_for_update(no_key=True) if locked else Artifact.objects
    return artifacts.filter(pk=found[0]).first()


def check_duplicate(upload: Upload, artifact: Artifact | None, *, may_replace: bool) -> Artifact | None:
    """Return `artifact` if it has the same bytes and is not deleted, or None if the upload may proceed.

    Raise HubError 409 if it has other bytes that the upload may not replace. An upload that would restore a removed
    artifact requires the right to restore.
    """
    if artifact is None:
        return None
    has_same_name = artifact.file_name == upload.info.file_name
    if artifact.sha256 == upload.received.sha256 and has_same_name:
        if artifact.removal != Removal.DELETED:
            return artifact
        check_may_restore(upload, artifact)
        return None
    if artifact.removal == Removal.DELETED and not upload.replaces_deleted:
        raise name_deleted(artifact)
    if may_replace and has_same_name:
        check_may_restore(upload, artifact)
        check_may_replace(upload, artifact)
        return None
    raise exists(artifact, upload.received.sha256)


def name_deleted(artifact: Artifact) -> HubError:
    return conflict(
        "name_deleted",
        f"{artifact} was deleted, and no other bytes may take its name until an owner of '{artifact.channel}' "
        "releases it. Raise the build number instead.",
    )


def exists(artifact: Artifact, sha256: str) -> HubError:
    """Return the refusal of other bytes, which have this SHA-256."""
    return conflict(
        "exists",
        f"{artifact} exists with other bytes: SHA-256 {artifact.sha256[:16]}…, uploaded "
        f"{sha256[:16]}…. Raise the build number, or skip existing files.",
    )


def check_may_restore(upload: Upload, artifact: Artifact) -> None:
    """Raise HubError 409 if the upload would restore a removed artifact without the right to restore."""
    if not artifact.removal:
        return
    if not upload.may_restore:
        raise conflict(
            "proof_needed",
            f"{artifact} was {artifact.get_removal_display()}. Restore it on its page after you confirm your identity.",
        )
    if not acts.may(Action.ARTIFACT_RESTORE, upload.actor, upload.channel):
        raise conflict(
            "may_not_restore",
            f"{artifact} was {artifact.get_removal_display()}. This upload would restore it, which requires the right "
            f"to delete and restore in '{upload.channel}'; {upload.actor} lacks it. Raise the build number instead, "
            "or ask a maintainer of the channel to restore it.",
        )


def check_may_replace(upload: Upload, artifact: Artifact) -> None:
    """Raise HubError 409 if the upload would replace bytes of another uploader without the right to delete."""
    if removal.is_own(upload.actor, artifact) or acts.may(Action.ARTIFACT_RESTORE, upload.actor, upload.channel):
        return
    raise conflict(
        "may_not_replace",
        f"{artifact} was uploaded by somebody else. Replacing its bytes requires the right to delete in "
        f"'{upload.channel}'; {upload.actor} lacks it. Raise the build number instead.",
    )
