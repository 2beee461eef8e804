"""The in-toto statement of a publish attestation (CEP 27)."""

import base64
import json
from typing import Any

from hub.sizes import KIB
from publishing import strict_json
from publishing.attestations.errors import BadAttestation, shown

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://schemas.conda.org/attestations-publish-1.schema.json"
STATEMENT_MAX_BYTES = 64 * KIB
STATEMENT_MAX_DEPTH = 16


def check(payload_type: str, payload: bytes, *, file_name: str, sha256: str, channel_url: str) -> None:
    """Raise BadAttestation unless the statement says that this file was published to this channel."""
    if payload_type != PAYLOAD_TYPE:
        raise BadAttestation(
            "attestation_wrong_type", f"it signs '{shown(payload_type)}'; expected the payload type '{PAYLOAD_TYPE}'"
        )
    try:
        statement = strict_json.loads_object(payload, "its statement", STATEMENT_MAX_BYTES, STATEMENT_MAX_DEPTH)
    except strict_json.NotStrictJson as error:
        raise BadAttestation("attestation_malformed", error.reason) from None
    _check_types(statement)
    _check_subject(statement.get("subject"), file_name, sha256)
    _check_channel(statement.get("predicate"), channel_url)


def target_channel(verified_bundle: str) -> str | None:
    """Return the URL of the channel that the statement of a verified bundle names; None if it names none."""
    payload = base64.b64decode(json.loads(verified_bundle)["dsseEnvelope"]["payload"])
    predicate = json.loads(payload).get("predicate")
    return None if predicate is None else str(predicate["targetChannel"])


def _check_types(statement: dict[str, Any]) -> None:
    for key, expected in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if statement.get(key) != expected:
            raise BadAttestation(
                "attestation_wrong_type",
                f"its {key} is '{shown(statement.get(key))}'; expected '{expected}', a publish attestation (CEP 27)",
            )


def _check_subject(subjects: Any, file_name: str, sha256: str) -> None:
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        count = len(subjects) if isinstance(subjects, list) else "no list of"
        raise BadAttestation("attestation_wrong_subject", f"it has {count} subjects; expected one, the package")
    name, digest = subjects[0].get("name"), subjects[0].get("digest")
    if name != file_name:
        raise BadAttestation("attestation_wrong_subject", f"it is about '{shown(name)}'; expected '{file_name}'")
    if digest != {"sha256": sha256}:
        raise BadAttestation(
            "attestation_wrong_subject",
            f"it is about other bytes, with the digest {shown(digest)}; expected the SHA-256 {sha256} alone. "
            "Attest the very file that is uploaded",
        )


def _check_channel(predicate: Any, channel_url: str) -> None:
    """Check the optional predicate. If it exists, it must name the channel: clients refuse another one or none."""
    if predicate is None:
        return
    target = predicate.get("targetChannel") if isinstance(predicate, dict) else None
    if target != channel_url:
        raise BadAttestation(
            "attestation_wrong_channel",
            f"its targetChannel is '{shown(target)}'; expected '{channel_url}', with no slash at the end",
        )
