"""Identity tokens that an attacker or a faulty issuer could make."""

import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from publishing.id_tokens import jwt_verification
from publishing.id_tokens.claims import BadToken
from tests.id_tokens import builders
from tests.id_tokens.builders import AUDIENCE, KEY_ID, changed, github_claims, json_bytes, signed

LIFETIME_S = 900
HEADER = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}


def verified(
    token: str, *, key: dict[str, Any] | None = None, now: int | None = None, **changes: Any
) -> dict[str, Any]:
    options: dict[str, Any] = {"audiences": [AUDIENCE], "max_lifetime_s": LIFETIME_S, "needs_token_id": True} | changes
    return jwt_verification.verify(
        jwt_verification.parse_unverified(token), key or builders.jwk(), now=now or int(time.time()), **options
    )


def refusal(token: str, **changes: Any) -> str:
    with pytest.raises(BadToken) as caught:
        verified(token, **changes)
    return f"{caught.value.code}: {caught.value.reason}"


def of_header(**changes: Any) -> str:
    """Return a token with this header and a valid signature."""
    return builders.signed_bytes(json_bytes(changed(HEADER, changes)), json_bytes(github_claims()))


def of_payload(payload: bytes) -> str:
    """Return a token with this payload and a valid signature."""
    return builders.signed_bytes(json_bytes(HEADER), payload)


def of_claims(**changes: Any) -> str:
    return of_payload(json_bytes(changed(github_claims(), changes)))


def unsigned() -> str:
    return f"{builders.segment(json_bytes({**HEADER, 'alg': 'none'}))}.{builders.segment(json_bytes(github_claims()))}."


def signed_with_public_key() -> str:
    """Return a token with an HMAC by the public key's PEM as secret. A careless verifier accepts it as RSA."""
    pem = (
        builders.private_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    head = builders.segment(json_bytes({**HEADER, "alg": "HS256"}))
    signing_input = f"{head}.{builders.segment(json_bytes(github_claims()))}"
    return f"{signing_input}.{builders.segment(hmac.digest(pem, signing_input.encode(), 'sha256'))}"


def signed_with_curve() -> str:
    return jwt.encode(github_claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": KEY_ID})


def with_segment(position: int, change: Callable[[str], str]) -> str:
    segments = signed(github_claims()).split(".")
    segments[position] = change(segments[position])
    return ".".join(segments)


def other_last_character(segment: str) -> str:
    """Return other text for the same bytes, which differs in unused bits of the last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


def swapped_payload() -> str:
    """Return a valid token in which the payload is replaced by other claims."""
    head, _, signature = signed(github_claims()).split(".")
    return f"{head}.{builders.segment(json_bytes(github_claims(repository='evil/sample')))}.{signature}"


def twice(document: bytes, name: str, value: str) -> bytes:
    return document[:-1] + f', "{name}": {json.dumps(value)}}}'.encode()
