"""May this upload bring an attestation, must it, and does it hold."""

from django.conf import settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel
from hub.errors import unprocessable
from hub.http.request_body import ReceivedFile
from publishing.attestations.errors import VerifiedAttestation
from publishing.trusted import issuers


def accept(actor: Actor, channel: Channel, received: ReceivedFile) -> VerifiedAttestation | None:
    """The upload's attestation, verified; 422 where it does not hold, or where the channel needs one and has none."""
    if received.attestation is None:
        check_missing(channel)
        return None
    expected = _certificate(actor)
    if expected is None:
        raise unprocessable(
            "attestation_needs_trusted_publisher",
            "An attestation is taken from a trusted publisher whose CI Sigstore certifies, and from nobody else, since "
            "the hub compares the two. Upload from CI without an API key, or leave the attestation out.",
        )
    from publishing.attestations.verification import verify  # with sigstore, whose import takes a second

    return verify(
        received.attestation,
        file_name=received.file_name,
        sha256=received.sha256,
        channel_url=f"{settings.HUB_PUBLIC_URL}/{channel}",
        expected_certificate=expected,
    )


def check_missing(channel: Channel) -> None:
    """422 where `channel` takes no upload without an attestation."""
    if channel.require_attestation:
        raise unprocessable(
            "attestation_missing",
            f"'{channel}' takes no package without an attestation of where it was built (CEP 27). "
            "Publish from CI as a trusted publisher, with `--generate-attestation`.",
        )


def _certificate(actor: Actor) -> dict[str, str] | None:
    """What Sigstore's certificate of the same run must say; None where it makes none, or where nobody runs."""
    minted = actor.minted_key
    return issuers.provider_of(minted.claims).certificate(minted.claims) if minted else None
