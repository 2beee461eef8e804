"""The artifact that has an upload's file name, and whether the upload may come under it."""

from channels_app.access import acts
from channels_app.models import Artifact, Removal
from hub import database
from hub.errors import conflict
from publishing.removal import removal
from publishing.uploads.values import Upload

# As SQL: it is asked three times an upload, mostly in vain, and to have the ORM make it takes ten times as long.
OCCUPANT = "SELECT id FROM channels_app_artifact WHERE channel_id = %s AND subdir = %s AND LOWER(file_name) = %s"


def existing_artifact(upload: Upload, *, locked: bool = False) -> Artifact | None:
    """The artifact that has this file name, in whatever capitals; a deleted one keeps it, too.

    `locked`: its row, until the transaction ends, so that it can't be released meanwhile.
    """
    with database.prepared() as cursor:
        cursor.execute(OCCUPANT, [upload.channel.pk, upload.info.subdir, upload.info.file_name.lower()])
        found = cursor.fetchone()
    if found is None:
        return None
    artifacts = Artifact.objects.select_for_update(no_key=True) if locked else Artifact.objects
    return artifacts.filter(pk=found[0]).first()


def check_duplicate(upload: Upload, artifact: Artifact | None, *, may_replace: bool) -> Artifact | None:
    """The artifact that has the file name, where these very bytes are published already; 409 where others are.

    Where the upload would undo what somebody removed, it takes the right to restore.
    """
    if artifact is None:
        return None
    has_same_name = artifact.file_name == upload.info.file_name
    if artifact.sha256 == upload.received.sha256 and has_same_name:
        if artifact.removal != Removal.DELETED:
            return artifact
        check_may_restore(upload, artifact)
        return None
    if artifact.removal == Removal.DELETED:
        raise conflict(
            "name_deleted",
            f"{artifact} was deleted, and no other bytes may take its name until an owner of '{artifact.channel}' "
            "releases it. Raise the build number instead.",
        )
    if may_replace and has_same_name:
        check_may_restore(upload, artifact)
        check_may_replace(upload, artifact)
        return None
    raise conflict(
        "exists",
        f"{artifact} exists with other bytes: SHA-256 {artifact.sha256[:16]}…, uploaded "
        f"{upload.received.sha256[:16]}…. Raise the build number, or skip existing files.",
    )


def check_may_restore(upload: Upload, artifact: Artifact) -> None:
    """Raise where the artifact was removed and would be back, by somebody who may upload but not restore."""
    if not artifact.removal:
        return
    if not upload.may_restore:
        raise conflict(
            "proof_needed",
            f"{artifact} was {artifact.get_removal_display()}. Restore it on its page, which asks again who you are.",
        )
    if not acts.may("artifact.restore", upload.actor, upload.channel):
        raise conflict(
            "may_not_restore",
            f"{artifact} was {artifact.get_removal_display()}. This upload would bring it back, which takes the right "
            f"to delete and restore in '{upload.channel}'; {upload.actor} has none. Raise the build number instead, "
            "or ask a maintainer of the channel to restore it.",
        )


def check_may_replace(upload: Upload, artifact: Artifact) -> None:
    """Raise where the bytes are another's, by somebody who may not take away what is another's: they would be gone."""
    if removal.is_own(upload.actor, artifact) or acts.may("artifact.restore", upload.actor, upload.channel):
        return
    raise conflict(
        "may_not_replace",
        f"{artifact} was uploaded by somebody else. To replace its bytes takes the right to delete in "
        f"'{upload.channel}'; {upload.actor} has none. Raise the build number instead.",
    )
