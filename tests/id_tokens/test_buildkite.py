"""Buildkite: matching of pipeline, step and branch, refused builds, and the provenance of a build."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import ABSENT, SHA, buildkite_claims, changed, faults, judged

BUILDKITE = PROVIDERS["buildkite"]
FIELDS = {"pipeline": "acme-inc/sample"}
PINS = {
    "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
    "organization_id": "0184990a-0000-4fa8-9968-496074483cee",
}

PASSING: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({}, {}),
    "slugs in capitals": ({"organization_slug": "Acme-Inc", "pipeline_slug": "Sample"}, {}),
    "publisher in capitals": ({}, {"pipeline": "ACME-INC/SAMPLE"}),
    "step": ({}, {"step": "publish"}),
    "branch": ({}, {"branch": "main"}),
    "step without a key": ({"step_key": None}, {}),
    "tag": ({"build_tag": "v1.0"}, {}),
    "no tag": ({"build_tag": None}, {}),
    "sub that says another thing": ({"sub": "organization:evil:pipeline:evil:ref:x:commit:y:step:z"}, {}),
}


@pytest.mark.parametrize(("changes", "fields"), PASSING.values(), ids=PASSING)
def test_buildkite_token_that_matches_is_accepted(changes: dict[str, Any], fields: dict[str, str]) -> None:
    assert judged(BUILDKITE, changed(buildkite_claims(), changes), FIELDS | fields, PINS) == ""


HINT = "set BUILDKITE_OIDC_TOKEN_CLAIMS=organization_id,pipeline_id for the step"
REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "no pipeline id": ({"pipeline_id": ABSENT}, {}, f"missing_claim: The token has no claim pipeline_id; {HINT}."),
    "null pipeline id": ({"pipeline_id": None}, {}, f"missing_claim: The token has no claim pipeline_id; {HINT}."),
    "no organization id": (
        {"organization_id": ABSENT},
        {},
        f"missing_claim: The token has no claim organization_id; {HINT}.",
    ),
    "pipeline id a number": ({"pipeline_id": 7}, {}, "bad_claim: The claim pipeline_id is 7; expected a string."),
    "no organization": (
        {"organization_slug": ""},
        {},
        f"missing_claim: The token has no claim organization_slug; {HINT}.",
    ),
    "no pipeline": ({"pipeline_slug": ABSENT}, {}, f"missing_claim: The token has no claim pipeline_slug; {HINT}."),
    "step a number": ({"step_key": 1}, {}, "bad_claim: The claim step_key is 1; expected a string."),
    "branch a list": (
        {"build_branch": ["main"]},
        {},
        "bad_claim: The claim build_branch is ['main']; expected a string.",
    ),
    "another organization": ({"organization_slug": "evil"}, {}, "no_publisher"),
    "another pipeline": ({"pipeline_slug": "other"}, {}, "no_publisher"),
    "a slug with a slash": ({"organization_slug": "acme-inc/sample", "pipeline_slug": "x"}, {}, "no_publisher"),
    "another pipeline id": (
        {"pipeline_id": "x"},
        {},
        f"resurrected: pipeline_id is x, not {PINS['pipeline_id']}",
    ),
    "another organization id": (
        {"organization_id": "x"},
        {},
        f"resurrected: organization_id is x, not {PINS['organization_id']}",
    ),
    "another step": ({}, {"step": "test"}, "step is publish, not test"),
    "step in capitals": ({}, {"step": "Publish"}, "step is publish, not Publish"),
    "no step": ({"step_key": None}, {"step": "publish"}, "step is none, not publish"),
    "another branch": ({"build_branch": "x"}, {"branch": "main"}, "branch is x, not main"),
    "a fork's branch": ({"build_branch": "evil:main"}, {"branch": "main"}, "branch is evil:main, not main"),
    "no branch": ({"build_branch": ABSENT}, {"branch": "main"}, "branch is none, not main"),
}


@pytest.mark.parametrize(("changes", "fields", "refusal"), REFUSED.values(), ids=REFUSED)
def test_buildkite_token_that_differs_is_refused(changes: dict[str, Any], fields: dict[str, str], refusal: str) -> None:
    assert judged(BUILDKITE, changed(buildkite_claims(), changes), FIELDS | fields, PINS) == refusal


@pytest.mark.parametrize("pipeline", ["sample", "acme-inc/", "acme-inc/sam_ple", "a/b/c", "-a/b"])
def test_only_two_slugs_can_be_registered(pipeline: str) -> None:
    reason = f"Pipeline is '{pipeline}'; expected ORGANIZATION/PIPELINE, such as acme-inc/sample."
    assert faults(BUILDKITE, {"pipeline": pipeline}) == {"pipeline": reason}


def test_buildkite_token_gives_the_provenance() -> None:
    assert BUILDKITE.provenance(buildkite_claims()).as_dict() == {
        "provider": "Buildkite",
        "repository": "",
        "repository_url": "",
        "commit": SHA,
        "commit_url": "",
        "ref": "main",
        "workflow": "acme-inc/sample",
        "workflow_url": "https://buildkite.com/acme-inc/sample",
        "run": "5",
        "run_url": "https://buildkite.com/acme-inc/sample/builds/5#0184990a-477b-4fa8-9968-496074483cee",
        "environment": "",
    }


def test_provenance_of_a_tag_s_build_names_the_tag() -> None:
    assert BUILDKITE.provenance(buildkite_claims(build_tag="v1.0")).ref == "v1.0"


def test_a_build_without_a_number_has_no_address() -> None:
    provenance = BUILDKITE.provenance(buildkite_claims(build_number="5/../../evil"))
    assert (provenance.run, provenance.run_url) == ("", "")


def test_buildkite_token_gives_pins_and_no_certificate() -> None:
    assert BUILDKITE.pins_in(buildkite_claims()) == PINS
    assert BUILDKITE.certificate(buildkite_claims()) is None
