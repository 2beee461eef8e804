"""Verification of identity tokens: one form, one algorithm, strict times. Returns signed claims, or raises BadToken."""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from hub.sizes import KIB, human_size
from publishing import strict_json
from publishing.id_tokens.claims import BadToken, Claims, Code
from publishing.id_tokens.jwks import ALGORITHM, KEY_ID_MAX_CHARACTERS, BadKeySet, public_key
from publishing.wording import quote

TOKEN_MAX_BYTES = 16 * KIB
JSON_MAX_DEPTH = 16
LEEWAY_S = 30
REPLAY_KEY_MAX_CHARACTERS = 100

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Unverified:
    """The parts of a token that may be read before the verification of its signature: those that name the key."""

    jwt: str
    issuer: str
    key_id: str


def parse_unverified(unverified_jwt: str) -> Unverified:
    """Check the token's form, and return its issuer and key id. Raise BadToken if it is malformed."""
    header_bytes, payload_bytes, _ = decoded_segments(unverified_jwt)
    header = read_object(header_bytes, "header")
    check_header(header)
    issuer = read_object(payload_bytes, "payload").get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise BadToken(Code.MISSING_CLAIM, "The token has no claim iss; expected the issuer's URL.")
    return Unverified(unverified_jwt, issuer, header["kid"])


def verify(
    unverified: Unverified,
    key: Mapping[str, Any],
    *,
    audiences: Collection[str],
    max_lifetime_s: int,
    now: int,
    needs_token_id: bool,
) -> dict[str, Any]:
    """Return the signed claims. Raise BadToken if the token is invalid.

    `key` is the JWK named by `unverified.key_id`; `now` is in Unix seconds.
    """
    signed_claims = read_object(signed_payload(unverified.jwt, key), "payload")
    if signed_claims.get("iss") != unverified.issuer:
        raise BadToken(Code.UNKNOWN_ISSUER, f"The claim iss is not {quote(unverified.issuer)}, whose key was used.")
    check_audience(signed_claims, audiences)
    check_times(signed_claims, max_lifetime_s, now)
    check_token_id(signed_claims, needs_token_id)
    return signed_claims


def replay_key(unverified_jwt: str, signed_claims: Claims) -> str:
    """Return an id that every use of this token has in common, of at most 100 characters."""
    token_id = signed_claims.get("jti")
    if token_id is None:
        return f"sha256:{hashlib.sha256(unverified_jwt.encode()).hexdigest()}"
    key = f"jti:{token_id}"
    if len(key) <= REPLAY_KEY_MAX_CHARACTERS:
        return key
    return f"jti-sha256:{hashlib.sha256(token_id.encode()).hexdigest()}"


def replayable_until(signed_claims: Claims) -> int:
    """Return the time (Unix seconds) from which no server of this hub accepts the token.

    The time allows for a server whose clock is slow by the leeway.
    """
    return int(signed_claims["exp"]) + 2 * LEEWAY_S


def decoded_segments(unverified_jwt: str) -> list[bytes]:
    """Return the bytes of header, payload and signature. Raise BadToken if the form is wrong."""
    if len(unverified_jwt) > TOKEN_MAX_BYTES:
        raise BadToken(Code.MALFORMED, f"The token is larger than the {human_size(TOKEN_MAX_BYTES)} allowed.")
    segments = unverified_jwt.split(".")
    if len(segments) != 3:
        raise BadToken(Code.MALFORMED, f"The token has {len(segments)} segments; expected header.payload.signature.")
    return [decode(*named) for named in zip(segments, ("header", "payload", "signature"), strict=True)]


def decode(segment: str, name: str) -> bytes:
    if not _SEGMENT.fullmatch(segment):
        raise BadToken(Code.MALFORMED, f"The token's {name} is not base64url without padding.")
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise BadToken(Code.MALFORMED, f"The token's {name} is not base64url.") from None
    # The last character may hold unused bits: other texts for the same token would get other replay keys.
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:
        raise BadToken(Code.MALFORMED, f"The token's {name} is not base64url in its one canonical form.")
    return data


def read_object(data: bytes, name: str) -> dict[str, Any]:
    try:
        return strict_json.loads_object(data, f"The token's {name}", TOKEN_MAX_BYTES, JSON_MAX_DEPTH)
    except strict_json.NotStrictJson as error:
        raise BadToken(Code.MALFORMED, f"{error.reason}.") from error


def check_header(header: Mapping[str, Any]) -> None:
    """Check algorithm, type and key id.

    `jku`, `jwk`, `x5u` and `x5c` are ignored, because they name a key of the sender's choice.
    """
    if header.get("alg") != ALGORITHM:
        raise BadToken(Code.MALFORMED, f"The token's alg is {quote(header.get('alg'))}; expected {ALGORITHM}.")
    if "crit" in header:
        raise BadToken(Code.MALFORMED, "The token's header has crit; expected no extensions.")
    if header.get("typ", "JWT") != "JWT":
        raise BadToken(Code.MALFORMED, f"The token's typ is {quote(header['typ'])}; expected JWT.")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= KEY_ID_MAX_CHARACTERS:
        raise BadToken(
            Code.MALFORMED,
            f"The token's kid is {quote(key_id)}; expected a string of 1 to {KEY_ID_MAX_CHARACTERS} characters.",
        )


def signed_payload(unverified_jwt: str, key: Mapping[str, Any]) -> bytes:
    """Return the payload after verifying its signature by `key`. Raise BadToken if the signature is wrong."""
    try:
        rsa_key = public_key(key)
    except BadKeySet as error:
        raise BadToken(Code.UNKNOWN_KEY, f"The issuer's key can't be used: {error.reason}") from error
    try:
        # This module checks the claims itself, because PyJWT also accepts several audiences, and times in strings.
        payload: bytes = jwt.PyJWS(algorithms=[ALGORITHM]).decode(unverified_jwt, rsa_key, algorithms=[ALGORITHM])
    except jwt.InvalidTokenError as error:
        reason = "The token's signature does not belong to the issuer's key that it names."
        raise BadToken(Code.BAD_SIGNATURE, reason) from error
    return payload


def check_audience(signed_claims: Claims, audiences: Collection[str]) -> None:
    audience = signed_claims.get("aud")
    if not isinstance(audience, str) or audience not in audiences:
        expected = " or ".join(sorted(audiences))
        found = quote(audience) if "aud" in signed_claims else "missing"
        raise BadToken(
            Code.WRONG_AUDIENCE, f"The token's audience is {found}; request the token with the one audience {expected}."
        )


def check_times(signed_claims: Claims, max_lifetime_s: int, now: int) -> None:
    expires_at = seconds(signed_claims, "exp")
    issued_at = seconds(signed_claims, "iat")
    not_before = seconds(signed_claims, "nbf") if "nbf" in signed_claims else issued_at
    if expires_at <= issued_at:
        raise BadToken(Code.BAD_CLAIM, f"The token's exp ({expires_at}) is not after its iat ({issued_at}).")
    if expires_at - issued_at > max_lifetime_s:
        raise BadToken(
            Code.TOO_LONG_LIVED,
            f"The token lives {expires_at - issued_at} seconds; at most {max_lifetime_s} are allowed for this issuer.",
        )
    if now >= expires_at + LEEWAY_S:
        raise BadToken(Code.EXPIRED, f"The token expired {now - expires_at} seconds ago; request a new one.")
    if now - issued_at > max_lifetime_s:
        raise BadToken(
            Code.EXPIRED, f"The token was issued {now - issued_at} seconds ago; at most {max_lifetime_s} are allowed."
        )
    if max(issued_at, not_before) > now + LEEWAY_S:
        ahead_s = max(issued_at, not_before) - now
        raise BadToken(Code.NOT_YET_VALID, f"The token is valid only in {ahead_s} seconds; check the clocks.")


def seconds(signed_claims: Claims, name: str) -> int:
    value = signed_claims.get(name)
    if value is None:
        raise BadToken(Code.MISSING_CLAIM, f"The token has no claim {name}; expected a time in whole seconds.")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadToken(Code.BAD_CLAIM, f"The token's {name} is {quote(value)}; expected a time in whole seconds.")
    return value


def check_token_id(signed_claims: Claims, needs_token_id: bool) -> None:
    token_id = signed_claims.get("jti")
    if "jti" not in signed_claims and not needs_token_id:
        return
    if token_id is None:
        raise BadToken(Code.MISSING_CLAIM, "The token has no claim jti, which is needed to detect a second use.")
    if not isinstance(token_id, str) or not token_id:
        raise BadToken(Code.BAD_CLAIM, f"The token's jti is {quote(token_id)}; expected a string that is not empty.")
