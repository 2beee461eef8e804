"""Malformed and hostile identity tokens: each is refused with its code and message."""

from collections.abc import Callable

import pytest

from publishing.id_tokens.claims import BadToken
from publishing.id_tokens.provider import fault
from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens import builders
from tests.id_tokens.builders import (
    ABSENT,
    AUDIENCE,
    GITHUB_ISSUER,
    buildkite_claims,
    circleci_claims,
    github_claims,
    gitlab_claims,
    json_bytes,
    signed,
)
from tests.id_tokens.forged import (
    HEADER,
    of_claims,
    of_header,
    of_payload,
    other_last_character,
    refusal,
    signed_with_curve,
    signed_with_public_key,
    swapped_payload,
    twice,
    unsigned,
    with_segment,
)

ALG = "malformed: The token's alg is {}; expected RS256."
KID = "malformed: The token's kid is {}; expected a string of 1 to 256 characters."
AUD = f"wrong_audience: The token's audience is {{}}; request the token with the one audience {AUDIENCE}."
SECONDS = "; expected a time in whole seconds."
PADDED = "malformed: The token's {} is not base64url without padding."
NO_ISSUER = "missing_claim: The token has no claim iss; expected the issuer's URL."
BAD_SIGNATURE = "bad_signature: The token's signature does not belong to the issuer's key that it names."
NO_OBJECT = "malformed: The token's payload holds {}; expected an object."

HOSTILE: dict[str, tuple[Callable[[], str], str]] = {
    # The form.
    "empty": (lambda: "", "malformed: The token has 1 segments; expected header.payload.signature."),
    "two segments": (lambda: "a.b", "malformed: The token has 2 segments; expected header.payload.signature."),
    "four segments": (
        lambda: signed(github_claims()) + ".x",
        "malformed: The token has 4 segments; expected header.payload.signature.",
    ),
    "five segments, encrypted": (
        lambda: "a.b.c.d.e",
        "malformed: The token has 5 segments; expected header.payload.signature.",
    ),
    "over 16 KiB": (lambda: of_claims(more="x" * 16_000), "malformed: The token is larger than the 16 KiB allowed."),
    "empty header": (lambda: with_segment(0, lambda _: ""), PADDED.format("header")),
    "empty payload": (lambda: with_segment(1, lambda _: ""), PADDED.format("payload")),
    "empty signature": (lambda: with_segment(2, lambda _: ""), PADDED.format("signature")),
    "padding": (lambda: with_segment(2, lambda segment: f"{segment}=="), PADDED.format("signature")),
    "space before": (lambda: f" {signed(github_claims())}", PADDED.format("header")),
    "newline behind": (lambda: f"{signed(github_claims())}\n", PADDED.format("signature")),
    "newline within": (
        lambda: with_segment(1, lambda segment: f"{segment[:4]}\n{segment[4:]}"),
        PADDED.format("payload"),
    ),
    "plain base64": (lambda: with_segment(2, lambda segment: f"+/{segment[2:]}"), PADDED.format("signature")),
    "full-width letters": (lambda: with_segment(0, lambda segment: f"\uff41{segment[1:]}"), PADDED.format("header")),
    "one character over": (
        lambda: with_segment(1, lambda _: "AAAAA"),
        "malformed: The token's payload is not base64url.",
    ),
    "other bits in the signature's last character": (
        lambda: with_segment(2, other_last_character),
        "malformed: The token's signature is not base64url in its one canonical form.",
    ),
    # The header.
    "alg none": (unsigned, PADDED.format("signature")),
    "alg none with a signature": (lambda: of_header(alg="none"), ALG.format("'none'")),
    "HS256 with the public key": (signed_with_public_key, ALG.format("'HS256'")),
    "ES256": (signed_with_curve, ALG.format("'ES256'")),
    "RS512": (lambda: of_header(alg="RS512"), ALG.format("'RS512'")),
    "PS256": (lambda: of_header(alg="PS256"), ALG.format("'PS256'")),
    "alg in small letters": (lambda: of_header(alg="rs256"), ALG.format("'rs256'")),
    "alg a list": (lambda: of_header(alg=["RS256"]), ALG.format("['RS256']")),
    "no alg": (lambda: of_header(alg=ABSENT), ALG.format("None")),
    "no kid": (lambda: of_header(kid=ABSENT), KID.format("None")),
    "empty kid": (lambda: of_header(kid=""), KID.format("''")),
    "kid a number": (lambda: of_header(kid=1), KID.format("1")),
    "long kid": (lambda: of_header(kid="k" * 257), KID.format("'" + "k" * 99 + "…")),
    "crit": (
        lambda: of_header(crit=["b64"], b64=False),
        "malformed: The token's header has crit; expected no extensions.",
    ),
    "empty crit": (lambda: of_header(crit=[]), "malformed: The token's header has crit; expected no extensions."),
    "b64 without crit": (lambda: of_header(b64=False), BAD_SIGNATURE),
    "an access token": (lambda: of_header(typ="at+jwt"), "malformed: The token's typ is 'at+jwt'; expected JWT."),
    "typ null": (lambda: of_header(typ=None), "malformed: The token's typ is None; expected JWT."),
    "alg twice": (
        lambda: builders.signed_bytes(twice(json_bytes(HEADER), "alg", "none"), json_bytes(github_claims())),
        "malformed: The token's header is not strict JSON: the key 'alg' stands twice in one object.",
    ),
    "header a list": (
        lambda: builders.signed_bytes(b"[]", json_bytes(github_claims())),
        "malformed: The token's header holds a list; expected an object.",
    ),
    # The payload.
    "payload a list": (lambda: of_payload(b"[1]"), NO_OBJECT.format("a list")),
    "payload a string": (lambda: of_payload(b'"iss"'), NO_OBJECT.format("a string")),
    "payload null": (lambda: of_payload(b"null"), NO_OBJECT.format("null")),
    "payload no JSON": (
        lambda: of_payload(b"iss"),
        "malformed: The token's payload is not strict JSON: Expecting value: line 1 column 1 (char 0).",
    ),
    "aud twice": (
        lambda: of_payload(twice(json_bytes(github_claims()), "aud", "evil.example")),
        "malformed: The token's payload is not strict JSON: the key 'aud' stands twice in one object.",
    ),
    "the same key twice, escaped": (
        lambda: of_payload(json_bytes(github_claims())[:-1] + b', "\\u0061ud": "evil.example"}'),
        "malformed: The token's payload is not strict JSON: the key 'aud' stands twice in one object.",
    ),
    "data behind": (
        lambda: of_payload(json_bytes({"iss": GITHUB_ISSUER}) + b"{}"),
        (
            f"malformed: The token's payload is not strict JSON: Extra data: line 1 column {len(GITHUB_ISSUER) + 12} "
            f"(char {len(GITHUB_ISSUER) + 11})."
        ),
    ),
    "byte order mark": (
        lambda: of_payload(b"\xef\xbb\xbf" + json_bytes(github_claims())),
        "malformed: The token's payload begins with a byte order mark; save it as UTF-8 without one.",
    ),
    "not UTF-8": (
        lambda: of_payload(b'{"iss": "\xff"}'),
        "malformed: The token's payload is not UTF-8: byte 9 is 0xff.",
    ),
    "lone surrogate": (
        lambda: of_payload(b'{"iss": "\\ud800"}'),
        r"malformed: The token's payload is not strict JSON: '\ud800' holds a lone surrogate.",
    ),
    "NUL": (
        lambda: of_claims(aud=f"{AUDIENCE}\0"),
        rf"malformed: The token's payload is not strict JSON: '{AUDIENCE}\x00' holds a NUL.",
    ),
    "NaN": (
        lambda: of_claims(exp=float("nan")),
        "malformed: The token's payload is not strict JSON: NaN is no value of JSON.",
    ),
    "endless exp": (
        lambda: of_claims(exp=float("inf")),
        "malformed: The token's payload is not strict JSON: Infinity is no value of JSON.",
    ),
    "nesting too deep": (
        lambda: of_payload(b'{"a": ' * 17 + b"1" + b"}" * 17),
        "malformed: The token's payload is nested deeper than the 16 levels allowed.",
    ),
    "no iss": (lambda: of_claims(iss=ABSENT), NO_ISSUER),
    "empty iss": (lambda: of_claims(iss=""), NO_ISSUER),
    "iss a list": (lambda: of_claims(iss=[GITHUB_ISSUER]), NO_ISSUER),
    # The signature.
    "another key": (lambda: signed(github_claims(), key=builders.private_key("other")), BAD_SIGNATURE),
    "other claims under a good signature": (swapped_payload, BAD_SIGNATURE),
    "a byte less of signature": (lambda: with_segment(2, lambda segment: segment[:-2]), BAD_SIGNATURE),
    "a key of the sender's own, in the header": (
        lambda: signed(
            github_claims(),
            key=builders.private_key("evil"),
            headers={"jwk": builders.jwk("evil"), "jku": "https://evil.example/keys", "x5u": "https://evil.example/x"},
        ),
        BAD_SIGNATURE,
    ),
    # The audience.
    "no aud": (lambda: of_claims(aud=ABSENT), AUD.format("missing")),
    "aud null": (lambda: of_claims(aud=None), AUD.format("None")),
    "empty aud": (lambda: of_claims(aud=""), AUD.format("''")),
    "another aud": (lambda: of_claims(aud="prefix.dev"), AUD.format("'prefix.dev'")),
    "aud in capitals": (lambda: of_claims(aud="Hub.example"), AUD.format("'Hub.example'")),
    "aud with a port": (lambda: of_claims(aud="hub.example:443"), AUD.format("'hub.example:443'")),
    "aud a URL": (lambda: of_claims(aud="https://hub.example"), AUD.format("'https://hub.example'")),
    "aud that begins alike": (lambda: of_claims(aud="hub.example.evil.org"), AUD.format("'hub.example.evil.org'")),
    "aud that is a part": (lambda: of_claims(aud="hub"), AUD.format("'hub'")),
    "aud with a look-alike letter": (lambda: of_claims(aud="hub.\u0435xample"), AUD.format(r"'hub.\u0435xample'")),
    "list with one aud": (lambda: of_claims(aud=[AUDIENCE]), AUD.format(f"['{AUDIENCE}']")),
    "two audiences": (lambda: of_claims(aud=[AUDIENCE, "x"]), AUD.format(f"['{AUDIENCE}', 'x']")),
    # The times.
    "no exp": (lambda: of_claims(exp=ABSENT), f"missing_claim: The token has no claim exp{SECONDS}"),
    "no iat": (lambda: of_claims(iat=ABSENT), f"missing_claim: The token has no claim iat{SECONDS}"),
    "exp a float": (lambda: of_claims(exp=2e9), f"bad_claim: The token's exp is 2000000000.0{SECONDS}"),
    "exp a string": (lambda: of_claims(exp="2000000000"), f"bad_claim: The token's exp is '2000000000'{SECONDS}"),
    "exp a boolean": (lambda: of_claims(exp=True), f"bad_claim: The token's exp is True{SECONDS}"),
    "exp a list": (lambda: of_claims(exp=[2]), f"bad_claim: The token's exp is [2]{SECONDS}"),
    "iat a string": (lambda: of_claims(iat="1"), f"bad_claim: The token's iat is '1'{SECONDS}"),
    "nbf a float": (lambda: of_claims(nbf=1.5), f"bad_claim: The token's nbf is 1.5{SECONDS}"),
    "huge exp": (
        lambda: of_claims(exp=10**30),
        f"malformed: The token's payload is not strict JSON: the number '1{'0' * 30}' does not fit into 64 bits.",
    ),
    # The id.
    "no jti": (
        lambda: of_claims(jti=ABSENT),
        "missing_claim: The token has no claim jti, which is needed to detect a second use.",
    ),
    "empty jti": (lambda: of_claims(jti=""), "bad_claim: The token's jti is ''; expected a string that is not empty."),
    "jti a number": (lambda: of_claims(jti=7), "bad_claim: The token's jti is 7; expected a string that is not empty."),
}


@pytest.mark.parametrize(("make", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_token_is_refused(make: Callable[[], str], expected: str) -> None:
    assert refusal(make()) == expected


def test_nesting_far_too_deep_is_refused_before_it_is_read() -> None:
    assert "nested" in refusal(of_payload(b'{"a":' * 1500 + b"1" + b"}" * 1500))


CLAIMS_OF = {
    "buildkite": buildkite_claims,
    "circleci": circleci_claims,
    "github": github_claims,
    "gitlab": gitlab_claims,
}


@pytest.mark.parametrize(
    ("provider", "claim"), [(name, claim) for name in CLAIMS_OF for claim in PROVIDERS[name].optional_claims]
)
def test_check_optional_claim_that_is_no_string_is_refused(provider: str, claim: str) -> None:
    """Pages and attestations read these claims later, when the token is accepted already."""
    with pytest.raises(BadToken) as caught:
        PROVIDERS[provider].check(CLAIMS_OF[provider]() | {claim: 5})
    assert caught.value.code == "bad_claim"


def test_fault_value_of_the_greatest_length_is_valid() -> None:
    field = PROVIDERS["github"].fields[2]
    assert fault(field, "x" * field.max_characters) == ""
    assert fault(field, "x" * (field.max_characters + 1))
