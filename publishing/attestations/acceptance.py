"""Acceptance of an upload's attestation: permission, requirement and verification."""

from django.conf import settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel
from hub.errors import unprocessable
from hub.http.request_body import ReceivedFile
from publishing.attestations.errors import VerifiedAttestation
from publishing.trusted import issuers


def accept(actor: Actor, channel: Channel, received: ReceivedFile) -> VerifiedAttestation | None:
    """Return the upload's attestation after verifying it, or None if it has none.

    Raise HubError 422 if it is invalid or not allowed, or if it is missing and the channel requires one.
    """
    if received.attestation is None:
        check_missing(channel)
        return None
    expected = _certificate(actor)
    if expected is None:
        raise unprocessable(
            "attestation_needs_trusted_publisher",
            "The hub accepts attestations only from trusted publishers whose CI gets certificates from Sigstore, "
            "because it compares both. Upload from CI without an API key, or leave the attestation out.",
        )
    from publishing.attestations.verification import verify  # imports sigstore, which takes a second

    return verify(
        received.attestation,
        file_name=received.file_name,
        sha256=received.sha256,
        channel_url=f"{settings.HUB_PUBLIC_URL}/{channel}",
        expected_certificate=expected,
    )


def check_missing(channel: Channel) -> None:
    """Raise HubError 422 if `channel` requires an attestation for each upload."""
    if channel.require_attestation:
        raise unprocessable(
            "attestation_missing",
            f"'{channel}' requires an attestation for each package (CEP 27). "
            "Publish from CI as a trusted publisher, with `--generate-attestation`.",
        )


def _certificate(actor: Actor) -> dict[str, str] | None:
    """Return the certificate fields that must match this run.

    Return None for uploads that are not from CI, and for providers without Sigstore certificates.
    """
    short_lived = actor.short_lived_token
    return issuers.provider_of(short_lived.claims).certificate(short_lived.claims) if short_lived else None
