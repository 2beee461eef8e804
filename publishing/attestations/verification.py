"""Verification of an attestation: a Sigstore bundle about this file, for this channel, by the run that uploads it.

The sigstore library verifies signatures and logs. This module adds the checks that the library leaves to its callers,
and those of clients (sigstore-rust in rattler) that the library lacks.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.x509 import Certificate, PrecertificateSignedCertificateTimestamps
from sigstore.models import Bundle
from sigstore.verify import Verifier
from sigstore_models.bundle.v1 import Bundle as BundleContent
from sigstore_models.rekor.v1 import TransparencyLogEntry

from hub.errors import HubError, unprocessable
from hub.sizes import KIB
from publishing import strict_json
from publishing.attestations import certificate, statement, trust_root
from publishing.attestations.errors import BadAttestation, VerifiedAttestation, shown
from publishing.attestations.sigstore_internals import trusted_timestamps
from publishing.attestations.trust_root import LogEntry

BUNDLE_TYPES = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
)
BUNDLE_MAX_BYTES = 64 * KIB
BUNDLE_MAX_DEPTH = 16
CLOCK_LEEWAY = timedelta(seconds=30)


class _AnyIdentity:
    """A policy that accepts every identity: after the verification, the hub compares the claims itself."""

    def verify(self, cert: Certificate) -> None: ...


def verify(
    unverified_bundle: bytes, *, file_name: str, sha256: str, channel_url: str, expected_certificate: Mapping[str, str]
) -> VerifiedAttestation:
    """Return the verified attestation. Raise HubError 422 with a code for the reason. Takes about a millisecond."""
    try:
        bundle = _read(unverified_bundle)
        payload_type, payload = _verified_payload(bundle)
        statement.check(payload_type, payload, file_name=file_name, sha256=sha256, channel_url=channel_url)
        signed_claims = certificate.claims(bundle.signing_certificate)
        certificate.check_claims(signed_claims, expected_certificate)
    except BadAttestation as error:
        raise unprocessable(error.code, f"The attestation of {file_name} was refused: {error.reason}.") from None
    return VerifiedAttestation(bundle.to_json(), signed_claims | _log_claims(bundle))


def _read(unverified_bundle: bytes) -> Bundle:
    """Return the bundle as the library writes it.

    Clients refuse a whole sidecar for a `null` or for base64 with line breaks.
    """
    try:
        document = strict_json.loads_object(unverified_bundle, "it", BUNDLE_MAX_BYTES, BUNDLE_MAX_DEPTH)
    except strict_json.NotStrictJson as error:
        raise BadAttestation("attestation_malformed", error.reason) from None
    if document.get("mediaType") not in BUNDLE_TYPES:
        raise BadAttestation(
            "attestation_malformed",
            f"its mediaType is '{shown(document.get('mediaType'))}'; expected a Sigstore bundle, '{BUNDLE_TYPES[0]}'",
        )
    try:
        return Bundle.from_json(Bundle.from_json(unverified_bundle).to_json())
    except Exception as error:  # noqa: BLE001  the library's parsers raise more than they document
        raise BadAttestation("attestation_malformed", f"it is not a valid Sigstore bundle: {shown(error)}") from None


def _verified_payload(bundle: Bundle) -> tuple[str, bytes]:
    """Return type and content of the payload after verifying the certificate, the logs and the signature."""
    certificate.check_key(bundle.signing_certificate)
    root = trust_root.current()
    try:
        times = _signing_times(bundle)
        _check_not_ahead(times)
        signature = LogEntry(_log_entry(bundle).log_id.key_id, times)
        verifier = Verifier(
            trusted_root=trust_root.as_of(root, signature=signature, certificate=_certificate_logged(bundle))
        )
        payload = verifier.verify_dsse(bundle, _AnyIdentity())
        # The library requires a single valid timestamp; clients require that all are valid.
        if trusted_timestamps(verifier, bundle) != len(_timestamps(bundle)):
            raise BadAttestation(
                "attestation_unverified", "not all of its timestamps are by an authority that we trust"
            )
    except (BadAttestation, HubError):
        raise
    except Exception as error:  # noqa: BLE001  VerificationError, but also ValueError, TypeError, ExtensionNotFound
        raise BadAttestation("attestation_unverified", f"Sigstore's verification failed: {shown(error)}") from None
    return payload


def _signing_times(bundle: Bundle) -> list[datetime]:
    """Return the unverified times of signing, by the log and by timestamp authorities."""
    seconds = _log_entry(bundle).integrated_time
    logged = [datetime.fromtimestamp(seconds, UTC)] if seconds else []
    return logged + [each.tst_info.gen_time for each in _timestamps(bundle)]


def _log_entry(bundle: Bundle) -> TransparencyLogEntry:
    """Return the bundle's only entry of the transparency log."""
    return BundleContent.from_json(bundle.to_json()).verification_material.tlog_entries[0]


def _timestamps(bundle: Bundle) -> list[Any]:
    data = bundle.verification_material.timestamp_verification_data
    return data.rfc3161_timestamps if data else []


def _check_not_ahead(times: list[datetime]) -> None:
    ahead = max(times, default=None)
    if ahead and ahead > datetime.now(UTC) + CLOCK_LEEWAY:
        raise BadAttestation(
            "attestation_unverified",
            f"it says that it was signed at {ahead:%Y-%m-%d %H:%M:%S} UTC, which is in the future",
        )


def _certificate_logged(bundle: Bundle) -> LogEntry:
    proofs = bundle.signing_certificate.extensions.get_extension_for_class(PrecertificateSignedCertificateTimestamps)
    return LogEntry(proofs.value[0].log_id, [proof.timestamp.replace(tzinfo=UTC) for proof in proofs.value])


def _log_claims(bundle: Bundle) -> dict[str, str]:
    """Return the claims about the signature that pages show besides those of the certificate."""
    entry = _log_entry(bundle)
    return {
        "signed_at": min(_signing_times(bundle)).isoformat(),
        "log_index": str(entry.log_index),
        "log_id": entry.log_id.key_id.hex(),
    }
