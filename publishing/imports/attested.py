"""Attestations that imported packages bring along in their sidecars."""

import orjson
from django.conf import settings

from channels_app.models import Channel
from hub.errors import HubError
from hub.http.request_body import ReceivedFile
from publishing.attestations.errors import VerifiedAttestation


def verified(channel: Channel, content: bytes, received: ReceivedFile) -> tuple[list[VerifiedAttestation], str]:
    """Verify the attestations of a sidecar's content. Return them, and a note if they were left out."""
    try:
        bundles = [orjson.dumps(bundle) for bundle in orjson.loads(content)]
        return [_verified(channel, bundle, received) for bundle in bundles], ""
    except HubError as error:
        return [], f"Its attestations were left out: {error.detail}"
    except (ValueError, TypeError) as error:
        return [], f"Its attestations were left out: the sidecar can't be read: {error}"


def _verified(channel: Channel, bundle: bytes, received: ReceivedFile) -> VerifiedAttestation:
    from publishing.attestations.verification import verify  # imports sigstore, which takes a second

    channel_url = f"{settings.HUB_PUBLIC_URL}/{channel}"
    place = {"file_name": received.file_name, "sha256": received.sha256}
    return verify(bundle, **place, channel_url=channel_url, expected_certificate={})
