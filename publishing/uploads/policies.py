"""Checks of an upload's checksum and of the channel's policies."""

from dataclasses import replace

from channels_app.access import revision
from channels_app.access.permissions import Actor, Permission, check_name, check_still_allowed
from channels_app.models import Channel
from hub.errors import bad_request, forbidden, unprocessable
from hub.http.request_body import ReceivedFile
from publishing.archive.reader import PackageInfo
from publishing.attestations import acceptance
from publishing.uploads.values import Upload


def check_checksum(received: ReceivedFile) -> None:
    if not received.file_name:
        raise bad_request("file_name_missing", "The upload names no file; send its name as X-File-Name.")
    claimed = received.claimed_sha256
    if claimed and len(claimed) != len(received.sha256):
        raise unprocessable(
            "checksum_mismatch",
            f"The client announced the SHA-256 {claimed[:64]!r}, expected 64 hexadecimal digits. "
            "Send that of `sha256sum FILE`, or none.",
        )
    if claimed and claimed != received.sha256:
        raise unprocessable(
            "checksum_mismatch",
            f"The bytes that arrived have the SHA-256 {received.sha256}, the client announced "
            f"{claimed[:64]}. Something changed them on the way; send the file again.",
        )


def check_subdir(received: ReceivedFile, info: PackageInfo) -> None:
    if received.claimed_subdir not in ("", info.subdir):
        raise unprocessable(
            "wrong_subdir",
            f"{info.file_name} was sent to the subdir '{received.claimed_subdir}', its info/index.json says "
            f"'{info.subdir}'; send it there.",
        )


def check_policies(upload: Upload) -> None:
    check_force(upload.actor, upload.channel, upload.force)
    check_uploader(upload.actor, upload.channel, upload.info.name)
    check_revision(upload.channel, upload.info.file_name, upload.info.revision)


def check_force(actor: Actor, channel: Channel, force: bool) -> None:
    if force and actor.short_lived_token:
        raise forbidden("no_force", "A trusted publisher may not overwrite files; an API key of a member may.")
    if force and not channel.allow_overwrite:
        raise forbidden(
            "overwriting_off",
            f"The channel '{channel}' does not allow force=true: its files never change. "
            "Raise the build number instead.",
        )


def check_revision(channel: Channel, file_name: str, revision: int) -> None:
    if revision > 1 and not channel.allow_revision_3:
        raise forbidden(
            "revision_3_off",
            f"{file_name} needs repodata revision {revision} (CEP 48), which '{channel}' does not allow.",
        )


def check_uploader(actor: Actor, channel: Channel, package_name: str) -> None:
    """Raise 403 if the channel accepts no uploads by this kind of actor, or the key no package of this name."""
    if channel.only_trusted_publishers and not actor.short_lived_token:
        raise forbidden(
            "trusted_publishers_only",
            f"Only trusted publishers may upload to '{channel}'; an API key or a signed-in user may not.",
        )
    check_name(actor, channel, package_name, "upload the package '{}' to")


def recheck(upload: Upload) -> None:
    """Check rights and policies again if the access revision rose: they may have changed while the body arrived."""
    if revision.is_current(upload.access_revision):
        return
    check_still_allowed(upload.actor, upload.channel, Permission.UPLOAD)
    now = replace(upload, channel=Channel.objects.defer("logo").get(pk=upload.channel.pk))
    check_policies(now)
    if upload.received.attestation is None:
        acceptance.check_missing(now.channel)
