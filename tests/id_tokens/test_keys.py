"""The discovery document and the key set of an issuer."""

from typing import Any

import pytest

from publishing.id_tokens import jwks
from publishing.id_tokens.jwks import BadKeySet
from tests.id_tokens import builders
from tests.id_tokens.builders import ABSENT, changed, json_bytes, jwk, key_set

ISSUER = "https://id.example.org"
KEYS_URL = f"{ISSUER}/jwks"


def found(document: bytes, issuer: str = ISSUER, allowed: tuple[str, ...] = ()) -> str:
    """Return the URL of the keys, or the reason of the refusal."""
    try:
        return jwks.read_discovery(document, issuer, allowed)
    except BadKeySet as error:
        return error.reason


def discovery(issuer: str = ISSUER, jwks_uri: object = KEYS_URL) -> bytes:
    return json_bytes({"issuer": issuer, "jwks_uri": jwks_uri, "claims_supported": ["sub"]})


@pytest.mark.parametrize(
    ("issuer", "jwks_uri", "allowed"),
    [
        (ISSUER, KEYS_URL, ()),
        (ISSUER, "https://ID.example.org/jwks?v=1", ()),
        (f"{ISSUER}:8443/realm", f"{ISSUER}:8443/jwks", ()),
        ("https://accounts.google.com", "https://www.googleapis.com/oauth2/v3/certs", ("www.googleapis.com",)),
        (ISSUER, "https://keys.example.org:444/jwks", ("keys.example.org:444",)),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/jwks", ()),
        ("http://127.0.0.1:8000", "https://127.0.0.1:8000/jwks", ()),
    ],
)
def test_the_keys_are_where_the_issuer_says(issuer: str, jwks_uri: str, allowed: tuple[str, ...]) -> None:
    assert found(discovery(issuer, jwks_uri), issuer, allowed) == jwks_uri


def elsewhere(url: str) -> str:
    return f"The discovery document's jwks_uri is '{url}'; expected it on id.example.org."


BAD_DISCOVERY: dict[str, tuple[bytes, str]] = {
    "another issuer": (
        discovery("https://evil.example"),
        f"The discovery document is of the issuer 'https://evil.example'; expected {ISSUER}.",
    ),
    "a slash more": (
        discovery(f"{ISSUER}/"),
        f"The discovery document is of the issuer '{ISSUER}/'; expected {ISSUER}.",
    ),
    "no issuer": (b"{}", f"The discovery document is of the issuer None; expected {ISSUER}."),
    "no address": (
        json_bytes({"issuer": ISSUER}),
        "The discovery document's jwks_uri is None; expected a URL.",
    ),
    "address a list": (discovery(jwks_uri=[]), "The discovery document's jwks_uri is []; expected a URL."),
    "address with a newline": (
        discovery(jwks_uri=f"{KEYS_URL}\n"),
        rf"The discovery document's jwks_uri is '{KEYS_URL}\n'; expected a URL.",
    ),
    "plain http": (
        discovery(jwks_uri="http://id.example.org/jwks"),
        "The discovery document's jwks_uri is 'http://id.example.org/jwks'; expected https.",
    ),
    "a file": (
        discovery(jwks_uri="file:///etc/passwd"),
        "The discovery document's jwks_uri is 'file:///etc/passwd'; expected https.",
    ),
    "another host": (discovery(jwks_uri="https://evil.example/jwks"), elsewhere("https://evil.example/jwks")),
    "a host below": (discovery(jwks_uri="https://a.id.example.org/"), elsewhere("https://a.id.example.org/")),
    "another port": (discovery(jwks_uri="https://id.example.org:22/"), elsewhere("https://id.example.org:22/")),
    "a user's name": (discovery(jwks_uri="https://id.example.org@evil/"), elsewhere("https://id.example.org@evil/")),
    "a list": (b"[]", "The discovery document holds a list; expected an object."),
    "issuer twice": (
        b'{"issuer": "x", "issuer": "https://id.example.org"}',
        "The discovery document is not strict JSON: the key 'issuer' stands twice in one object.",
    ),
    "HTML": (
        b"<!doctype html>",
        "The discovery document is not strict JSON: Expecting value: line 1 column 1 (char 0).",
    ),
}


@pytest.mark.parametrize(("document", "reason"), BAD_DISCOVERY.values(), ids=BAD_DISCOVERY)
def test_a_bad_discovery_document_is_refused(document: bytes, reason: str) -> None:
    assert found(document) == reason


def test_read_key_set_keeps_only_public_numbers_by_id() -> None:
    document = key_set("a", "b")
    document["keys"][0] |= {"x5c": ["…"], "d": "AQAB", "jku": "https://evil.example"}
    read = jwks.read_key_set(json_bytes(document))
    assert read == {
        name: {part: value for part, value in jwk(name).items() if part in ("kid", "kty", "n", "e")} for name in "ab"
    }


LEFT_OUT: dict[str, Any] = {
    "for encryption": {"use": "enc"},
    "of another algorithm": {"alg": "RS512"},
    "of a curve": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    "a secret": {"kty": "oct", "k": "c2VjcmV0"},
    "not for verifying": {"key_ops": ["encrypt"]},
    "key_ops a string": {"key_ops": "verify"},
    "without an id": {"kid": ABSENT},
    "with an empty id": {"kid": ""},
    "with an id too long": {"kid": "k" * 257},
    "with a number for an id": {"kid": 7},
    "without a modulus": {"n": ABSENT},
    "with a modulus that is no base64": {"n": "!"},
    "with a modulus that is a number": {"n": 5},
    "with an even exponent": {"e": "AA"},
    "too large": {"n": builders.segment(b"\xff" * 1025)},
}


@pytest.mark.parametrize("changes", LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_key_that_can_t_sign_identity_tokens_is_left_out(changes: dict[str, Any]) -> None:
    document = {"keys": [changed(jwk("odd"), changes), "no key", None, jwk("good")]}
    assert list(jwks.read_key_set(json_bytes(document))) == ["good"]


def test_a_weak_key_is_left_out() -> None:
    weak = jwk("weak", builders.private_key("weak", 1024))
    assert list(jwks.read_key_set(json_bytes({"keys": [weak, jwk("good")]}))) == ["good"]


@pytest.mark.parametrize("changes", [{"use": ABSENT}, {"alg": ABSENT}, {"key_ops": ["verify"]}], ids=str)
def test_read_key_set_without_optional_members_is_accepted(changes: dict[str, Any]) -> None:
    assert list(jwks.read_key_set(json_bytes({"keys": [changed(jwk("a"), changes)]}))) == ["a"]


BAD_SETS: dict[str, tuple[object, str]] = {
    "no list": ({"keys": {}}, "The key set has no list keys."),
    "nothing": ({}, "The key set has no list keys."),
    "empty": ({"keys": []}, "The key set has no RSA key of 2048 bits or more for RS256 signatures."),
    "of no use": (
        {"keys": [{"kty": "oct", "kid": "a", "k": "AA"}]},
        "The key set has no RSA key of 2048 bits or more for RS256 signatures.",
    ),
    "too many": ({"keys": [{}] * 101}, "The key set has 101 keys; at most 100 are allowed."),
    "an id twice": (
        {"keys": [jwk("a"), jwk("a", builders.private_key("b"))]},
        "The key set has two keys with the kid 'a'.",
    ),
    "a list": ([], "The key set holds a list; expected an object."),
    "too large": ({"keys": [], "more": "x" * 1024 * 1024}, "The key set is larger than the 1 MiB allowed."),
}


@pytest.mark.parametrize(("document", "reason"), BAD_SETS.values(), ids=BAD_SETS)
def test_a_bad_key_set_is_refused(document: object, reason: str) -> None:
    with pytest.raises(BadKeySet) as caught:
        jwks.read_key_set(json_bytes(document))
    assert caught.value.reason == reason


def test_a_hundred_keys_are_taken() -> None:
    document = {"keys": [jwk("a"), *[jwk(f"k{n}", builders.private_key("a")) for n in range(99)]]}
    assert len(jwks.read_key_set(json_bytes(document))) == 100
