"""Google Cloud: matching of service accounts."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import ABSENT, changed, faults, google_claims, judged

GOOGLE = PROVIDERS["google"]
EMAIL = "publisher@sample.iam.gserviceaccount.com"
FIELDS = {"email": EMAIL}
PINS = {"sub": "104029292853099978293"}

PASSING: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({}, {}),
    "address in capitals": ({"email": EMAIL.upper()}, {}),
    "publisher in capitals": ({}, {"email": EMAIL.upper()}),
    "another azp": ({"azp": "1"}, {}),
    "no azp": ({"azp": ABSENT}, {}),
    "facts about the machine": ({"google": {"compute_engine": {"project_id": "sample"}}}, {}),
}


@pytest.mark.parametrize(("changes", "fields"), PASSING.values(), ids=PASSING)
def test_google_token_that_matches_is_accepted(changes: dict[str, Any], fields: dict[str, str]) -> None:
    assert judged(GOOGLE, changed(google_claims(), changes), FIELDS | fields, PINS) == ""


UNVERIFIED = "bad_claim: The claim email_verified is {}; expected true."
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no sub": ({"sub": ABSENT}, "missing_claim: The token has no claim sub."),
    "empty sub": ({"sub": ""}, "missing_claim: The token has no claim sub."),
    "sub a number": ({"sub": 104}, "bad_claim: The claim sub is 104; expected a string."),
    "no address": ({"email": ABSENT}, "missing_claim: The token has no claim email."),
    "address a list": ({"email": [EMAIL]}, f"bad_claim: The claim email is ['{EMAIL}']; expected a string."),
    "address not verified": ({"email_verified": False}, UNVERIFIED.format("False")),
    "verification a string": ({"email_verified": "true"}, UNVERIFIED.format("'true'")),
    "verification a number": ({"email_verified": 1}, UNVERIFIED.format("1")),
    "no word of verification": ({"email_verified": ABSENT}, UNVERIFIED.format("None")),
    "another address": ({"email": f"x{EMAIL}"}, "no_publisher"),
    "address with a dot less": ({"email": EMAIL.replace(".iam", "iam")}, "no_publisher"),
    "Kelvin sign is no k": ({"email": "\u212a@example.org"}, "no_publisher"),
    "the address given to another account": ({"sub": "1"}, f"resurrected: sub is 1, not {PINS['sub']}"),
    "sub with a zero before": ({"sub": f"0{PINS['sub']}"}, f"resurrected: sub is 0{PINS['sub']}, not {PINS['sub']}"),
}


@pytest.mark.parametrize(("changes", "refusal"), REFUSED.values(), ids=REFUSED)
def test_google_token_that_differs_is_refused(changes: dict[str, Any], refusal: str) -> None:
    assert judged(GOOGLE, changed(google_claims(), changes), FIELDS, PINS) == refusal


@pytest.mark.parametrize(
    "email", ["publisher", "a@b", "@example.org", "a b@example.org", "a@example.org,b@example.org"]
)
def test_only_an_address_can_be_registered(email: str) -> None:
    reason = f"Email is '{email}'; expected an email address, such as publisher@sample.iam.gserviceaccount.com."
    assert faults(GOOGLE, {"email": email}) == {"email": reason}


def test_google_token_gives_pins_and_workflow() -> None:
    assert GOOGLE.pins_in(google_claims()) == PINS
    assert GOOGLE.provenance(google_claims()).workflow == EMAIL
    assert GOOGLE.certificate(google_claims()) is None
    assert GOOGLE.lookup_url(FIELDS, GOOGLE.issuer) == ""
    with pytest.raises(ValueError, match="Google Cloud has no public API for stable ids"):
        GOOGLE.pins_from({})
