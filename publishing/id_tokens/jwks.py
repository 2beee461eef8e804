"""The two public documents of an issuer: discovery, which states the URL of its keys, and the key set."""

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from hub.sizes import MIB
from publishing import strict_json
from publishing.wording import quote

KEY_SET_MAX_BYTES = MIB
KEYS_MAX = 100
KEY_MIN_BITS = 2048
KEY_MAX_BITS = 8192
KEY_ID_MAX_CHARACTERS = 256
ALGORITHM = "RS256"
JSON_MAX_DEPTH = 16


class BadKeySet(Exception):  # noqa: N818 (its name is a sentence)
    """A document of an issuer is unusable; `reason` is one sentence for the administrator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_discovery(document: bytes, issuer: str, allowed_hosts: Collection[str] = ()) -> str:
    """Return the URL of the issuer's keys, on its host or on one of `allowed_hosts` ("host" or "host:port").

    Raise BadKeySet if the document is invalid or names another host.
    """
    discovery = read_object(document, "The discovery document")
    if discovery.get("issuer") != issuer:
        raise BadKeySet(f"The discovery document is of the issuer {quote(discovery.get('issuer'))}; expected {issuer}.")
    keys_url = discovery.get("jwks_uri")
    if not isinstance(keys_url, str) or not re.fullmatch(r"[!-~]+", keys_url):
        raise BadKeySet(f"The discovery document's jwks_uri is {quote(keys_url)}; expected a URL.")
    try:
        origin, address = urlsplit(issuer), urlsplit(keys_url)
    except ValueError as error:  # brackets that enclose no IPv6 address
        raise BadKeySet(f"The discovery document's jwks_uri is {quote(keys_url)}; expected a URL.") from error
    if address.scheme not in {"https", origin.scheme}:
        raise BadKeySet(f"The discovery document's jwks_uri is {quote(keys_url)}; expected https.")
    # Compare the network location, which includes port and user name.
    if address.netloc.lower() not in {origin.netloc.lower(), *allowed_hosts}:
        raise BadKeySet(f"The discovery document's jwks_uri is {quote(keys_url)}; expected it on {origin.netloc}.")
    return keys_url


def read_key_set(document: bytes) -> dict[str, dict[str, Any]]:
    """Return key id → public JWK of the keys that may sign identity tokens. Raise BadKeySet if there is none."""
    listed = read_object(document, "The key set").get("keys")
    if not isinstance(listed, list):
        raise BadKeySet("The key set has no list keys.")
    if len(listed) > KEYS_MAX:
        raise BadKeySet(f"The key set has {len(listed)} keys; at most {KEYS_MAX} are allowed.")
    keys: dict[str, dict[str, Any]] = {}
    for jwk in filter(is_signing_key, listed):
        if jwk["kid"] in keys:
            raise BadKeySet(f"The key set has two keys with the kid {quote(jwk['kid'])}.")
        keys[jwk["kid"]] = {name: jwk[name] for name in ("kid", "kty", "n", "e")}
    if not keys:
        raise BadKeySet(f"The key set has no RSA key of {KEY_MIN_BITS} bits or more for {ALGORITHM} signatures.")
    return keys


def is_signing_key(jwk: object) -> bool:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or jwk.get("alg", ALGORITHM) != ALGORITHM:
        return False
    operations, key_id = jwk.get("key_ops", ["verify"]), jwk.get("kid")
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= KEY_ID_MAX_CHARACTERS:
        return False
    try:
        public_key(jwk)
    except BadKeySet:
        return False
    return True


def public_key(jwk: Mapping[str, Any]) -> RSAPublicKey:
    """Return the key of the public numbers in `jwk`. Raise BadKeySet if they are invalid."""
    try:
        key = RSAAlgorithm.from_jwk({name: jwk[name] for name in ("kty", "n", "e")})
    except (InvalidKeyError, KeyError, TypeError, ValueError) as error:
        raise BadKeySet(f"it is no RSA key ({type(error).__name__}).") from error
    if not isinstance(key, RSAPublicKey) or not KEY_MIN_BITS <= key.key_size <= KEY_MAX_BITS:
        raise BadKeySet(f"its size is {key.key_size} bits; expected {KEY_MIN_BITS} to {KEY_MAX_BITS}.")
    return key


def read_object(document: bytes, name: str) -> dict[str, Any]:
    try:
        return strict_json.loads_object(document, name, KEY_SET_MAX_BYTES, JSON_MAX_DEPTH)
    except strict_json.NotStrictJson as error:
        raise BadKeySet(f"{error.reason}.") from error
