"""The steps of an upload, for every upload protocol."""

import secrets
import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, Removal
from channels_app.packages import about, packages
from channels_app.quotas import channel_quotas, quotas
from hub import database
from hub.errors import HubError, conflict, unavailable, unprocessable
from hub.http.request_body import ReceivedFile
from hub.sizes import human_size
from hub.storage import StoreError, store
from publishing.archive import reader
from publishing.archive.reader import BadPackage, Limits, PackageInfo
from publishing.attestations import acceptance, sidecars
from publishing.attestations.errors import VerifiedAttestation
from publishing.attestations.sidecars import Sidecar
from publishing.labels import artifact_labels
from publishing.labels import labels as channel_labels
from publishing.models import Reservation, Watch
from publishing.removal import removal
from publishing.trusted import issuers
from publishing.uploads import metrics
from publishing.uploads.existing_artifacts import check_duplicate, existing_artifact
from publishing.uploads.policies import check_checksum, check_policies, check_subdir, recheck
from publishing.uploads.values import Upload, UploadResult
from publishing.wording import QUOTE_MAX_CHARACTERS


@metrics.uploads
def publish(
    *,
    actor: Actor,
    channel: Channel,
    received: ReceivedFile,
    force: bool = False,
    access_revision: int | None = None,
    payer: quotas.Payer | None = None,
    may_restore: bool = True,
    replaces_deleted: bool = False,
    labels: tuple[str, ...] = (),
) -> UploadResult:
    """Check `received` and publish it in `channel`. A job updates the index. Raise HubError 403, 409, 422 or 503.

    The file name is reserved before the bytes go to the store, and recorded after. So two uploads of one name never
    write the same key, and no file is served before its row is committed. `payer`: the result of quotas.check_room().
    A new file gets the `labels`, or `main` without any. A file that exists with the same bytes gets them in addition.
    """
    check_checksum(received)
    info = read(channel, received)
    upload = Upload(
        actor, channel, received, info, force, access_revision, payer, may_restore, replaces_deleted, labels
    )
    check_subdir(received, upload.info)
    check_policies(upload)
    before = existing_artifact(upload)
    existing = check_duplicate(upload, before, may_replace=force)
    verified = acceptance.accept(actor, channel, received)
    if labels:
        channel_labels.check_room(channel, labels)
    published = (
        UploadResult(existing, is_new=False)
        if existing and is_intact(existing)
        else store_and_record(upload, verified, before)
    )
    if labels and not published.is_new:
        selection = Artifact.objects.filter(pk=published.artifact.pk)
        artifact_labels.change_selection(actor=actor, channel=channel, selection=selection, add=labels)
    if verified:
        # A new artifact has its attestation already, unless a purge removed it at this moment.
        sidecars.add(actor=actor, artifact=published.artifact, verified=verified)
    return published


def read(channel: Channel, received: ReceivedFile) -> PackageInfo:
    try:
        limits = Limits(**settings.HUB_PACKAGE_LIMITS | {"compressed_bytes": channel.upload_limit_bytes})
        return reader.read(received.path, received.file_name, limits)
    except BadPackage as error:
        raise unprocessable("bad_package", refused(received.file_name, error)) from None


def over_limit(size_bytes: int, limit_bytes: int) -> str:
    """Return the end of the sentence that tells why a file is too large."""
    return f"has {human_size(size_bytes)}; {human_size(limit_bytes)} are allowed here."


def refused(file_name: str, error: BadPackage) -> str:
    """Return the sentence that tells why the package is refused."""
    return f"{file_name[:QUOTE_MAX_CHARACTERS]} was refused: {error.reason}"


def is_intact(artifact: Artifact) -> bool:
    """Tell whether the store has a file of the artifact's size and no verification found it damaged."""
    found = store().stat(str(artifact))
    return found is not None and found.size_bytes == artifact.size_bytes and not artifact.is_damaged


def store_and_record(upload: Upload, verified: VerifiedAttestation | None, before: Artifact | None) -> UploadResult:
    """Reserve the name, put the bytes and record the artifact. On an error, release the name and refund the quota.

    The quota is charged before any byte goes to the store: a refused upload must not replace existing bytes.
    """
    more_bytes = upload.received.size_bytes - (before.size_bytes if before and not before.is_purged else 0)
    bill = bill_of(upload, more_bytes)
    token = reserve(upload, bill, more_bytes)
    try:
        put(upload)
        sidecar = sidecars.put(Artifact(**upload.place), verified) if verified else None
        # After the bytes: an upload that a quota or a full disk refuses creates no label.
        if upload.labels:
            channel_labels.ensure(actor=upload.actor, channel=upload.channel, names=upload.labels)
        published = record(upload, sidecar)
    except (HubError, StoreError):
        release(token, upload.channel)
        quotas.refund(bill)
        raise
    if not published.is_new:
        quotas.refund(bill)
    return published


def bill_of(upload: Upload, more_bytes: int) -> quotas.Bill | None:
    """Return the bytes that the upload adds to the payer's usage, or None if there is no quota."""
    payer = upload.payer or quotas.payer_of(upload.channel)
    return quotas.Bill(payer, more_bytes) if payer else None


def reserve(upload: Upload, bill: quotas.Bill | None = None, more_bytes: int = 0) -> str:
    """Reserve the file name for these bytes, or join another upload of the same bytes. Return the upload's token.

    `more_bytes`: what the upload adds to the channel. Raise HubError 413 if that exceeds a quota.

    The artifact is read again once the name is reserved: a previous reservation or a purge has committed by then.
    """
    token = secrets.token_hex(16)
    mine = {
        "sha256": upload.received.sha256,
        "token": token,
        "expires_at": _reservation_end(),
        "more_bytes": max(more_bytes, 0),
    }
    with transaction.atomic():
        channel_quotas.lock(upload.channel)
        try:
            with transaction.atomic():
                Reservation.objects.create(**upload.place, **mine)
        except IntegrityError:
            _join_or_take_over(upload, mine)
        check_duplicate(upload, existing_artifact(upload, locked=True), may_replace=upload.force)
        channel_quotas.check_reserved(upload.channel, more_bytes)
        if bill:
            quotas.charge(bill)
    return token


def put(upload: Upload) -> None:
    database.release_connection()
    store().put(f"{upload.channel.name}/{upload.info.subdir}/{upload.info.file_name}", upload.received.path)


def record(upload: Upload, sidecar: Sidecar | None = None) -> UploadResult:
    """Check rights and policies again and record the artifact and its event, in one short transaction.

    It also marks the index stale. Raise HubError if the reservation was lost or the rights have ended.
    """
    with transaction.atomic():
        recheck(upload)
        reserved, _ = Reservation.of(**upload.place).filter(sha256=upload.received.sha256).delete()
        before = existing_artifact(upload, locked=True)
        if not reserved:
            return UploadResult(_recorded_by_another(upload, before), is_new=False)
        # Another upload of the same bytes may have ended between the first check and the reservation.
        existing = check_duplicate(upload, before, may_replace=True)
        if existing:
            removal.release_quarantine(artifact=existing)
            return UploadResult(existing, is_new=False)
        was_main = before is not None and before.is_main
        artifact = _save(upload, before)
        if sidecar and not sidecars.record(artifact, sidecar):
            raise unavailable("attestations_changing", f"The attestations of {artifact} changed meanwhile; try again.")
        if before:
            packages.refresh(artifact.package)
        else:
            packages.include(artifact)
        _schedule_builds(upload, artifact, is_new=before is None, is_main=was_main or artifact.is_main)
    return UploadResult(artifact, is_new=True)


def _schedule_builds(upload: Upload, artifact: Artifact, *, is_new: bool, is_main: bool) -> None:
    """Store the labels of the file, and mark their indexes stale."""
    labels = artifact_labels.assign(artifact, upload.labels, is_new=is_new) if upload.labels or not is_new else ()
    names = {label: [upload.info.name] for label in (*[MAIN_LABEL] * is_main, *labels)}
    artifact_labels.schedule_builds(upload.channel, upload.info.subdir, names)


def release(token: str, channel: Channel) -> None:
    """Release the file name, unless another upload of the same bytes has joined the reservation.

    The store may have the bytes of the refused upload. By an expired reservation, a watch of the channel's prefix knows
    that they are not a file that others put there.
    """
    mine = Reservation.objects.filter(token=token)
    if Watch.objects.filter(channel=channel).exists():
        mine.update(expires_at=timezone.now())
    else:
        mine.delete()


def _join_or_take_over(upload: Upload, mine: dict[str, object]) -> None:
    """Join a reservation for the same bytes, or take over an expired one or one of an import.

    A reservation without SHA-256 is an import's claim of bytes in the store. The import notices when it is lost.
    Raise HubError 409 if another upload holds the name.
    """
    theirs = Reservation.of(**upload.place).select_for_update()
    file_name = upload.info.file_name
    for other in theirs:
        if other.sha256 not in ("", upload.received.sha256) and other.expires_at > timezone.now():
            raise conflict("being_uploaded", f"Other bytes are being uploaded as {file_name} at this moment.")
    theirs.update(file_name=file_name, **mine)


def _recorded_by_another(upload: Upload, found: Artifact | None) -> Artifact:
    """Return the artifact that a joined upload of the same bytes recorded first. Raise HubError 503 if none did."""
    artifact = check_duplicate(upload, found, may_replace=False)
    if artifact is None:
        file_name = upload.info.file_name
        raise unavailable("reservation_lost", f"Another upload took over the file name {file_name}; try again.")
    return artifact


def _save(upload: Upload, before: Artifact | None) -> Artifact:
    """Create or update the artifact's row, and record its event."""
    actor, channel, info, received = upload.actor, upload.channel, upload.info, upload.received
    is_same = before is not None and before.sha256 == received.sha256
    was = removal.removal_detail(before, Removal.NONE) if before and before.removal else {}
    if before and not is_same:
        sidecars.remove(before)
    values = artifact_columns(upload) | {
        "package": packages.package_for_update(channel, info.name),
        # The same bytes keep their time (CEP 47). Other bytes get a new time, even under an old name.
        "indexed_timestamp": before.indexed_timestamp if before and is_same else time.time_ns() // 1_000_000,
        "uploaded_by": actor.user,
        "uploaded_with": actor.key,
        "provenance": provenance(actor),
    }
    artifact = before or Artifact(**upload.place)
    for name, value in values.items():
        setattr(artifact, name, value)
    artifact.save(update_fields=values if before else None)
    about.keep_whole(artifact, info.about, is_new=before is None)
    log.record(
        Action.ARTIFACT_RESTORE if is_same else Action.ARTIFACT_OVERWRITE if before else Action.ARTIFACT_PUBLISH,
        by=actor,
        channel=channel,
        target=f"{info.subdir}/{info.file_name}",
        detail={"sha256": received.sha256, "size_bytes": received.size_bytes, **was},
    )
    return artifact


def artifact_columns(upload: Upload) -> dict[str, Any]:
    """Return the columns that describe the file. They also reset a removal and a quarantine."""
    info, received = upload.info, upload.received
    of_package = ("version", "build", "build_number", "revision", "run_exports", "features", "warnings", "files")
    return {
        **{name: getattr(info, name) for name in (*of_package, "file_count", "licences", "recipe")},
        "index_json": info.index,
        "about_json": about.stored(info.about),
        "size_bytes": received.size_bytes,
        "sha256": received.sha256,
        "md5": received.md5,
        "is_main": upload.is_main,
        **removal.NOT_REMOVED,
    }


def provenance(actor: Actor) -> dict[str, str]:
    """Return the CI run of the holder of a short-lived token, from its verified identity token; empty for others."""
    short_lived = actor.short_lived_token
    return issuers.provider_of(short_lived.claims).provenance(short_lived.claims).as_dict() if short_lived else {}


def _reservation_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.HUB_RESERVATION_S)
