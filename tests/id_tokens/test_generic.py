"""Generic issuers: conditions on claims."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import ABSENT, changed, faults, generic_claims, judged

GENERIC = PROVIDERS["generic"]

PASSING = {
    "sub": "sub = workload:sample",
    "no spaces": "sub=workload:sample",
    "two": "sub = workload:sample\nteam = release",
    "lines of Windows, empty ones": "sub = workload:sample\r\n\r\nteam = release\r\n",
    "dot in a name": "build.branch = main",
    "line of blanks": "sub = workload:sample\n  \nteam = release",
    "as many as allowed": "\n".join(["team = release", "", *(f"c{n} = x" for n in range(19))]),
}


@pytest.mark.parametrize("conditions", PASSING.values(), ids=PASSING)
def test_generic_token_that_meets_the_conditions_is_accepted(conditions: str) -> None:
    claims = generic_claims(**{f"c{n}": "x" for n in range(19)})
    assert judged(GENERIC, claims, {"conditions": conditions}) == ""


def test_only_the_first_equals_sign_is_one() -> None:
    assert judged(GENERIC, generic_claims(team="a=b = c"), {"conditions": "team = a=b = c"}) == ""


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no sub": ({"sub": ABSENT}, "team = release", "missing_claim: The token has no claim sub."),
    "another value": ({}, "team = other", "conditions is release, not other"),
    "one of two differs": ({}, "sub = workload:sample\nteam = other", "conditions is release, not other"),
    "value in capitals": ({}, "team = Release", "conditions is release, not Release"),
    "value that begins alike": ({"team": "release2"}, "team = release", "conditions is release2, not release"),
    "value with a space behind": ({"team": "release "}, "team = release", "conditions is release , not release"),
    "asterisk is no wildcard": ({}, "team = *", "conditions is release, not *"),
    "no such claim": ({}, "role = release", "conditions is none, not release"),
    "null": ({"team": None}, "team = None", "conditions is null, not None"),
    "a number": ({"team": 7}, "team = 7", "conditions is a number, not 7"),
    "a boolean": ({"team": True}, "team = true", "conditions is a boolean, not true"),
    "an object named so": ({"team": {}}, "team = an object", "conditions is an object, not an object"),
    "a list with it": ({"team": ["release"]}, "team = release", "conditions is a list, not release"),
    "a dot is no path": (
        {"build.branch": ABSENT, "build": {"branch": "main"}},
        "build.branch = main",
        "conditions is none, not main",
    ),
}


@pytest.mark.parametrize(("changes", "conditions", "refusal"), REFUSED.values(), ids=REFUSED)
def test_generic_token_that_fails_a_condition_is_refused(
    changes: dict[str, Any], conditions: str, refusal: str
) -> None:
    assert judged(GENERIC, changed(generic_claims(), changes), {"conditions": conditions}) == refusal


def test_the_sentence_names_the_claim() -> None:
    difference = GENERIC.difference({"conditions": "team = other"}, {}, generic_claims())
    assert difference
    assert difference.sentence == (
        "The claim team: the token says 'release', but the publisher is registered with 'other'."
    )


FORM = "is not of the form “claim = value”, such as sub = workload:sample."
OWN = "which the hub checks itself; name another claim."
BAD_CONDITIONS = [
    ("", "Conditions is missing; expected one “claim = value” a line, such as sub = workload:sample."),
    (" \n ", "Conditions is missing; expected one “claim = value” a line, such as sub = workload:sample."),
    ("sub", f"The condition 'sub' {FORM}"),
    ("sub =", f"The condition 'sub =' {FORM}"),
    ("= x", f"The condition '= x' {FORM}"),
    ("my claim = x", f"The condition 'my claim = x' {FORM}"),
    ("aud = hub.example", f"The condition 'aud = hub.example' is on aud, {OWN}"),
    ("iss = https://x", f"The condition 'iss = https://x' is on iss, {OWN}"),
    ("exp = 5", f"The condition 'exp = 5' is on exp, {OWN}"),
    ("jti = 5", f"The condition 'jti = 5' is on jti, {OWN}"),
    ("sub = a\nsub = b", "Two conditions are on sub; a claim has one value."),
    ("\n".join(f"c{n} = x" for n in range(21)), "Conditions has 21 lines; at most 20 are allowed."),
    ("sub = " + "x" * 4000, "Conditions has 4006 characters; at most 4000 are allowed."),
]


@pytest.mark.parametrize(("conditions", "reason"), BAD_CONDITIONS)
def test_conditions_that_can_t_be_registered(conditions: str, reason: str) -> None:
    assert faults(GENERIC, {"conditions": conditions}) == {"conditions": reason}


def test_the_same_conditions_are_written_alike() -> None:
    assert GENERIC.clean({"conditions": "b=2\r\n a = 1"}) == {"conditions": "a = 1\nb = 2"}


def test_more_conditions_are_more_specific() -> None:
    assert GENERIC.specificity({"conditions": "a = 1\nb = 2"}) > GENERIC.specificity({"conditions": "a = 1"})


def test_generic_token_gives_no_pins_and_no_certificate() -> None:
    claims = generic_claims()
    assert (GENERIC.claimed_subject(claims), GENERIC.pins_in(claims), GENERIC.certificate(claims)) == ("", {}, None)
    assert GENERIC.provenance(claims).workflow == "workload:sample"
