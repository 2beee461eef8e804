"""The claims of Fulcio's signing certificates about the CI job that signed.

Source: sigstore/fulcio, docs/oid-info.md; py-rattler's CertificateClaims has the same names.
"""

from collections.abc import Mapping

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.x509 import Certificate, ExtensionNotFound, ObjectIdentifier, UnrecognizedExtension

from publishing.attestations.errors import BadAttestation, shown

FULCIO_ARC = "1.3.6.1.4.1.57264.1"
NAMES = {
    8: "issuer",
    9: "build_signer_uri",
    10: "build_signer_digest",
    11: "runner_environment",
    12: "source_repository_uri",
    13: "source_repository_digest",
    14: "source_repository_ref",
    15: "source_repository_identifier",
    16: "source_repository_owner_uri",
    17: "source_repository_owner_identifier",
    18: "build_config_uri",
    19: "build_config_digest",
    20: "build_trigger",
    21: "run_invocation_uri",
    22: "source_repository_visibility_at_signing",
}


def check_key(certificate: Certificate) -> None:
    """Raise BadAttestation unless the key is P-256: Fulcio's default, and the only kind that clients read."""
    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise BadAttestation("attestation_unverified", "its certificate is for another kind of key; expected P-256")


def claims(certificate: Certificate) -> dict[str, str]:
    """Return the claims by name, without those that the certificate lacks."""
    found = {}
    for number, name in NAMES.items():
        try:
            extension = certificate.extensions.get_extension_for_oid(ObjectIdentifier(f"{FULCIO_ARC}.{number}"))
        except ExtensionNotFound:
            continue
        if isinstance(extension.value, UnrecognizedExtension):
            found[name] = _text(name, extension.value.value)
    return found


def check_claims(signed_claims: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raise BadAttestation unless the certificate is for the run with the claims in `expected`.

    The build config is compared up to its `@`. The ref after it is compared as a claim of its own.
    """
    for name, wanted in expected.items():
        value = signed_claims.get(name, "")
        found = value.partition("@")[0] if name == "build_config_uri" else value
        if found != wanted:
            raise BadAttestation(
                "attestation_wrong_publisher",
                f"its certificate's {name} is '{shown(found)}'; expected '{shown(wanted)}', as in the identity token "
                "by which this upload was allowed. Attest in the same run that publishes",
            )


def _text(name: str, value: bytes) -> str:
    try:
        return asn1.decode_der(str, value)
    except ValueError:
        raise BadAttestation("attestation_unverified", f"its certificate's {name} can't be read") from None
