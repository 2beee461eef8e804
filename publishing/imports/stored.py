"""Checks of packages that lie in the store, as an upload is checked."""

from channels_app.access.permissions import ANONYMOUS
from channels_app.models import Channel
from hub.errors import HubError, unprocessable
from hub.http.request_body import ReceivedFile
from hub.storage import NotInStore
from publishing.attestations import sidecars
from publishing.attestations.errors import VerifiedAttestation
from publishing.imports import attested
from publishing.imports.old_indexes import copied_from_store
from publishing.imports.records import CheckedPackage, ImportOutcome
from publishing.uploads import upload
from publishing.uploads.values import Upload

GONE = "It was removed meanwhile."


def check(channel: Channel, key: str, *, has_sidecar: bool) -> CheckedPackage | ImportOutcome:
    """Check one package. Runs in a thread and doesn't use the database."""
    _, subdir, file_name = key.split("/", 2)
    try:
        with copied_from_store(key, limit_bytes=channel.upload_limit_bytes) as received:
            info = upload.read(channel, received)
        if (info.subdir, info.file_name) != (subdir, file_name):
            raise unprocessable("wrong_place", f"Its path should be {info.subdir}/{info.file_name}; move it there.")
        verified, note = _attestations(channel, key, received) if has_sidecar else ([], "")
    except NotInStore:
        return ImportOutcome(key, GONE, code="gone")
    except HubError as error:
        return ImportOutcome.refused(key, error)
    return CheckedPackage.of(key, Upload(ANONYMOUS, channel, received, info), verified, note)


def _attestations(channel: Channel, key: str, received: ReceivedFile) -> tuple[list[VerifiedAttestation], str]:
    """Verify the attestations in the package's sidecar. Return them, and a note if they were left out."""
    try:
        with copied_from_store(f"{key}.sigs", limit_bytes=sidecars.SIDECAR_MAX_BYTES) as sidecar:
            content = sidecar.path.read_bytes()
    except NotInStore:
        return [], ""
    except HubError as error:
        return [], f"Its attestations were left out: {error.detail}"
    verified, note = attested.verified(channel, content, received)
    if not note and sidecars.joined([each.bundle for each in verified]) != content:
        return [], "Its attestations were left out: the sidecar is not in the form that the hub keeps."
    return verified, note
