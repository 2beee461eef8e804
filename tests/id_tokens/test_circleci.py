"""CircleCI: matching of jobs by the root issuer and by those of organizations, refused jobs, and provenance."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import ABSENT, changed, circleci_claims, faults, judged

CIRCLECI = PROVIDERS["circleci"]
ORGANIZATION = "4f8d6dd2-0000-4a2d-8a0b-6c2f9a5e1c11"
PROJECT = "4f8d6dd2-1111-4a2d-8a0b-6c2f9a5e1c11"
DEFINITION = "4f8d6dd2-2222-4a2d-8a0b-6c2f9a5e1c11"
CONTEXT = "4f8d6dd2-6666-4a2d-8a0b-6c2f9a5e1c11"
OTHER = "4f8d6dd2-9999-4a2d-8a0b-6c2f9a5e1c11"
FIELDS = {"project": PROJECT, "organization": ORGANIZATION}
OWN_ISSUER = f"https://oidc.circleci.com/org/{ORGANIZATION}"
CLAIM = "oidc.circleci.com/"


def named(changes: dict[str, Any]) -> dict[str, Any]:
    """Return `changes` with CircleCI's prefix, except for the claims of all providers."""
    return {name if name in ("iss", "sub") else CLAIM + name: value for name, value in changes.items()}


PASSING: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({}, {}),
    "publisher in capitals": ({}, {"project": PROJECT.upper()}),
    "organization's issuer": ({"iss": OWN_ISSUER}, {}),
    "organization's issuer without the claim": ({"iss": OWN_ISSUER, "org-id": ABSENT}, {}),
    "pipeline definition": ({}, {"pipeline_definition": DEFINITION}),
    "context": ({}, {"context": CONTEXT}),
    "one of two contexts": ({"context-ids": [OTHER, CONTEXT]}, {"context": CONTEXT}),
    "no context needed, none there": ({"context-ids": []}, {}),
    "no context needed, no claim": ({"context-ids": ABSENT}, {}),
    "repository": ({}, {"origin": "github.com/octo-org/sample"}),
    "ref": ({}, {"ref": "refs/heads/main"}),
    "a webhook's pipeline has no ref": ({"vcs-ref": ABSENT, "vcs-origin": ABSENT}, {}),
    "sub that says another thing": ({"sub": "org/x/project/y/user/z"}, {}),
}


@pytest.mark.parametrize(("changes", "fields"), PASSING.values(), ids=PASSING)
def test_circleci_token_that_matches_is_accepted(changes: dict[str, Any], fields: dict[str, str]) -> None:
    assert judged(CIRCLECI, changed(circleci_claims(), named(changes)), FIELDS | fields) == ""


RERUN = f"bad_claim: The claim {CLAIM}ssh-rerun is {{}}; expected a boolean."
REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "no project": ({"project-id": ABSENT}, {}, f"missing_claim: The token has no claim {CLAIM}project-id."),
    "project a number": ({"project-id": 1}, {}, f"bad_claim: The claim {CLAIM}project-id is 1; expected a string."),
    "no organization": ({"org-id": ABSENT}, {}, f"missing_claim: The token has no claim {CLAIM}org-id."),
    "organization a list": ({"org-id": []}, {}, f"bad_claim: The claim {CLAIM}org-id is []; expected a string."),
    "two organizations": (
        {"iss": OWN_ISSUER, "org-id": OTHER},
        {},
        f"bad_claim: The claim {CLAIM}org-id is '{OTHER}'; expected the issuer's {ORGANIZATION}.",
    ),
    "rerun with SSH": (
        {"ssh-rerun": True},
        {},
        "event_refused: The job was rerun with SSH, so people can log in to it; rerun it without SSH.",
    ),
    "no word of SSH": ({"ssh-rerun": ABSENT}, {}, RERUN.format("None")),
    "rerun a string": ({"ssh-rerun": "false"}, {}, RERUN.format("'false'")),
    "rerun a number": ({"ssh-rerun": 0}, {}, RERUN.format("0")),
    "contexts a string": (
        {"context-ids": CONTEXT},
        {},
        f"bad_claim: The claim {CLAIM}context-ids is '{CONTEXT}'; expected a list of strings.",
    ),
    "contexts of numbers": (
        {"context-ids": [1]},
        {},
        f"bad_claim: The claim {CLAIM}context-ids is [1]; expected a list of strings.",
    ),
    "another project": ({"project-id": OTHER}, {}, "no_publisher"),
    "another organization": ({"org-id": OTHER}, {}, f"organization is {OTHER}, not {ORGANIZATION}"),
    "another organization's issuer": (
        {"iss": f"https://oidc.circleci.com/org/{OTHER}", "org-id": ABSENT},
        {},
        f"organization is {OTHER}, not {ORGANIZATION}",
    ),
    "another pipeline definition": (
        {"pipeline-definition-id": OTHER},
        {"pipeline_definition": DEFINITION},
        f"pipeline_definition is {OTHER}, not {DEFINITION}",
    ),
    "another context": ({"context-ids": [OTHER]}, {"context": CONTEXT}, f"context is {OTHER}, not {CONTEXT}"),
    "no context": ({"context-ids": ABSENT}, {"context": CONTEXT}, f"context is none, not {CONTEXT}"),
    "a fork": (
        {"vcs-origin": "github.com/evil/sample"},
        {"origin": "github.com/octo-org/sample"},
        "origin is github.com/evil/sample, not github.com/octo-org/sample",
    ),
    "another ref": (
        {"vcs-ref": "refs/heads/x"},
        {"ref": "refs/heads/main"},
        "ref is refs/heads/x, not refs/heads/main",
    ),
    "two refs in one": (
        {"vcs-ref": "refs/heads/x, refs/heads/main"},
        {"ref": "refs/heads/main"},
        "ref is refs/heads/x, refs/heads/main, not refs/heads/main",
    ),
    "no ref": ({"vcs-ref": ABSENT}, {"ref": "refs/heads/main"}, "ref is none, not refs/heads/main"),
}


@pytest.mark.parametrize(("changes", "fields", "refusal"), REFUSED.values(), ids=REFUSED)
def test_circleci_token_that_differs_is_refused(changes: dict[str, Any], fields: dict[str, str], refusal: str) -> None:
    assert judged(CIRCLECI, changed(circleci_claims(), named(changes)), FIELDS | fields) == refusal


BAD_FIELDS = [
    ("project", "sample", "Project ID is 'sample'; expected a UUID, such as 9a4e0d4c-7f0e-4a3a-9d1e-2b6f3c5d8e70."),
    ("organization", "", "Organization ID is missing; expected a UUID, such as 1d2c3b4a-7f0e-4a3a-9d1e-2b6f3c5d8e70."),
    ("context", "org", "Context ID is 'org'; expected a UUID, such as 8b7a6f5e-7f0e-4a3a-9d1e-2b6f3c5d8e70."),
    (
        "origin",
        "https://github.com/a/b",
        "Repository is 'https://github.com/a/b'; expected HOST/OWNER/NAME, such as github.com/octo-org/sample.",
    ),
    ("ref", "main", "Ref is 'main'; expected a full ref, such as refs/heads/main."),
]


@pytest.mark.parametrize(("name", "value", "reason"), BAD_FIELDS)
def test_fields_that_can_t_be_registered(name: str, value: str, reason: str) -> None:
    assert faults(CIRCLECI, FIELDS | {name: value}) == {name: reason}


def test_circleci_token_gives_the_provenance() -> None:
    provenance = CIRCLECI.provenance(circleci_claims())
    workflow, job = "4f8d6dd2-4444-4a2d-8a0b-6c2f9a5e1c11", "4f8d6dd2-5555-4a2d-8a0b-6c2f9a5e1c11"
    assert (provenance.repository, provenance.repository_url) == (
        "github.com/octo-org/sample",
        "https://github.com/octo-org/sample",
    )
    assert provenance.ref == "refs/heads/main"
    assert provenance.run_url == f"https://app.circleci.com/workflow/{workflow}/job/{job}"


def test_a_strange_repository_is_named_but_not_linked() -> None:
    provenance = CIRCLECI.provenance(circleci_claims(vcs_origin="github.com@evil.example/x"))
    assert (provenance.repository, provenance.repository_url) == ("github.com@evil.example/x", "")


def test_its_fields_are_the_stable_ids() -> None:
    assert CIRCLECI.pins_in(circleci_claims()) == {}
    assert CIRCLECI.certificate(circleci_claims()) is None


@pytest.mark.parametrize("missing", ["workflow-id", "job-id"])
def test_circleci_provenance_without_workflow_or_job_has_no_link(missing: str) -> None:
    assert CIRCLECI.provenance(changed(circleci_claims(), named({missing: ABSENT}))).run_url == ""
