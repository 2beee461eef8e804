"""Identity tokens: signature, audience, times and id at their limits, and the detection of a second use."""

import base64
import hashlib
import json
import time
from collections.abc import Callable

import pytest

from publishing.id_tokens import jwt_verification
from publishing.id_tokens.claims import BadToken
from tests.id_tokens import builders
from tests.id_tokens.builders import ABSENT, AUDIENCE, GITHUB_ISSUER, KEY_ID, changed, github_claims, signed
from tests.id_tokens.forged import (
    HEADER,
    LIFETIME_S,
    of_claims,
    of_header,
    of_payload,
    other_last_character,
    refusal,
    verified,
)


def test_a_good_token_gives_its_claims() -> None:
    claims = github_claims()
    assert verified(signed(claims)) == claims


GOOD: dict[str, Callable[[], str]] = {
    "no typ": lambda: of_header(typ=ABSENT),
    "key in the header, ignored": lambda: of_header(jwk={"kty": "oct"}, jku="http://x", x5u="http://x", x5c=["x"]),
    "shortest kid": lambda: of_header(kid="k"),
    "longest kid": lambda: of_header(kid="k" * 256),
    "no nbf": lambda: of_claims(nbf=ABSENT),
    "spaces in the JSON": lambda: of_payload(json.dumps(github_claims(), indent=2).encode()),
    "letters of all kinds": lambda: of_claims(actor="größe \U0001f600"),
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_verify_valid_variants_is_accepted(make: Callable[[], str]) -> None:
    assert verified(make())["iss"] == GITHUB_ISSUER


def test_before_verification_only_issuer_and_key_id_are_read() -> None:
    token = signed(github_claims())
    assert jwt_verification.parse_unverified(token) == jwt_verification.Unverified(token, GITHUB_ISSUER, KEY_ID)


TIMES: dict[str, tuple[dict[str, float], str]] = {
    "fresh": ({}, ""),
    "ends now": ({"iat": -300, "exp": 0}, ""),
    "ended within the leeway": ({"iat": -300, "exp": -29}, ""),
    "ended": ({"iat": -300, "exp": -30}, "expired: The token expired 30 seconds ago; request a new one."),
    "ended long ago": ({"iat": -9999, "exp": -9699}, "expired: The token expired 9699 seconds ago; request a new one."),
    "begins within the leeway": ({"iat": 30}, ""),
    "begins later": ({"iat": 31}, "not_yet_valid: The token is valid only in 31 seconds; check the clocks."),
    "not before, within the leeway": ({"nbf": 30}, ""),
    "not before later": ({"nbf": 31}, "not_yet_valid: The token is valid only in 31 seconds; check the clocks."),
    "lives as long as it may": ({"exp": LIFETIME_S}, ""),
    "lives a second longer": (
        {"exp": LIFETIME_S + 1},
        "too_long_lived: The token lives 901 seconds; at most 900 are allowed for this issuer.",
    ),
    "as old as it may be": ({"iat": -LIFETIME_S, "exp": 0}, ""),
    "a second older": (
        {"iat": -LIFETIME_S - 1, "exp": -1},
        "expired: The token was issued 901 seconds ago; at most 900 are allowed.",
    ),
}


@pytest.mark.parametrize(("times", "expected"), TIMES.values(), ids=TIMES)
def test_verify_token_outside_its_times_is_refused(times: dict[str, float], expected: str) -> None:
    now = int(time.time())
    token = of_claims(**{name: now + offset for name, offset in {"iat": 0, "nbf": 0, "exp": 300, **times}.items()})
    assert (refusal(token, now=now) if expected else verified(token, now=now)["iss"]) == (expected or GITHUB_ISSUER)


@pytest.mark.parametrize("life", [0, -1])
def test_a_token_must_end_after_it_begins(life: int) -> None:
    token = of_claims(iat=1000, exp=1000 + life)
    assert refusal(token, now=1000) == f"bad_claim: The token's exp ({1000 + life}) is not after its iat (1000)."


def test_several_audiences_of_the_hub() -> None:
    assert verified(of_claims(aud="prefix.dev"), audiences=[AUDIENCE, "prefix.dev"])["aud"] == "prefix.dev"
    assert refusal(of_claims(aud="x"), audiences=["b.example", "a.example"]) == (
        "wrong_audience: The token's audience is 'x'; request the token with the one audience a.example or b.example."
    )


def test_token_id_of_an_issuer_without_ids_is_optional_but_used() -> None:
    assert "jti" not in verified(of_claims(jti=ABSENT), needs_token_id=False)
    assert refusal(of_claims(jti=""), needs_token_id=False).startswith("bad_claim: The token's jti is ''")
    assert refusal(of_claims(jti=None), needs_token_id=False).startswith("missing_claim: The token has no claim jti")


def test_a_weak_key_is_refused_even_from_the_issuer() -> None:
    weak = builders.private_key("weak", 1024)
    token = builders.signed_bytes(builders.json_bytes(HEADER), builders.json_bytes(github_claims()), weak)
    assert refusal(token, key=builders.jwk(key=weak)) == (
        "unknown_key: The issuer's key can't be used: its size is 1024 bits; expected 2048 to 8192."
    )


def test_a_key_of_another_issuer_is_of_no_use() -> None:
    unverified = jwt_verification.Unverified(signed(github_claims()), "https://gitlab.com", KEY_ID)
    with pytest.raises(BadToken) as caught:
        jwt_verification.verify(
            unverified,
            builders.jwk(),
            audiences=[AUDIENCE],
            max_lifetime_s=900,
            now=int(time.time()),
            needs_token_id=True,
        )
    assert caught.value.reason == "The claim iss is not 'https://gitlab.com', whose key was used."


def test_the_second_use_is_noticed_by_the_token_id() -> None:
    claims = github_claims(jti="abc")
    assert jwt_verification.replay_key(signed(claims), claims) == "jti:abc"
    assert jwt_verification.replay_key("another.text.altogether", claims) == "jti:abc"


def test_a_long_token_id_is_hashed() -> None:
    at_most, longer = github_claims(jti="j" * 96), github_claims(jti="j" * 97)
    assert jwt_verification.replay_key("", at_most) == f"jti:{'j' * 96}"
    assert jwt_verification.replay_key("", longer) == f"jti-sha256:{hashlib.sha256(b'j' * 97).hexdigest()}"


def test_without_a_token_id_it_is_the_token_s_hash() -> None:
    claims = changed(github_claims(), {"jti": ABSENT})
    token = signed(claims)
    assert jwt_verification.replay_key(token, claims) == f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


@pytest.mark.parametrize("token_id", ["sha256:" + "0" * 64, "jti-sha256:" + "0" * 64])
def test_a_token_id_can_t_pose_as_a_hash(token_id: str) -> None:
    assert jwt_verification.replay_key("", {"jti": token_id}) == f"jti:{token_id}"


def test_the_second_use_is_remembered_longer_than_the_token_is_taken() -> None:
    token = of_claims(iat=1000, nbf=1000, exp=1300)
    last = jwt_verification.replayable_until({"exp": 1300}) - 1
    assert verified(token, now=1329)
    assert last > 1329
    assert refusal(token, now=last).startswith("expired: ")


def test_base64_of_the_signature_has_one_form() -> None:
    segment = signed(github_claims()).rpartition(".")[2]
    same = other_last_character(segment)
    assert base64.urlsafe_b64decode(f"{same}==") == base64.urlsafe_b64decode(f"{segment}==")
