"""GitHub Actions: matching of repository, workflow, environment and ref, and refused runs."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import ABSENT, SHA, changed, github_claims, judged

GITHUB = PROVIDERS["github"]
FIELDS = {"repository": "octo-org/sample", "workflow": "release.yml"}
PINS = {"repository_id": "740510", "repository_owner_id": "65"}
FOLDER = "octo-org/sample/.github/workflows"
SHARED = "octo-org/shared/.github/workflows/publish.yml"
FORK = "octo-org/fork/.github/workflows/publish.yml"


def of(repository: str) -> dict[str, Any]:
    """Return the changes that make the claims belong to another repository."""
    return {"repository": repository, "workflow_ref": f"{repository}/.github/workflows/release.yml@refs/heads/main"}


PASSING: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({}, {}),
    "repository in capitals": ({"repository": "Octo-Org/Sample"}, {}),
    "publisher in capitals": ({}, {"repository": "OCTO-ORG/SAMPLE"}),
    "environment": ({}, {"environment": "release"}),
    "environment in capitals": ({"environment": "Release"}, {"environment": "release"}),
    "publisher's environment in capitals": ({}, {"environment": "RELEASE"}),
    "no environment needed, none there": ({"environment": ABSENT}, {}),
    "no environment needed, null": ({"environment": None}, {}),
    "no environment needed, empty": ({"environment": ""}, {}),
    "unknown claims": ({"something_new": {"a": [1]}}, {}),
    "customised sub": ({"sub": "someone-elses:sub"}, {}),
    "sub with ids": ({"sub": "repo:octo-org@65/sample@740510:ref:refs/heads/main"}, {}),
    "another actor": ({"actor": "mallory", "actor_id": "666"}, {}),
    "ref": ({}, {"ref": "refs/heads/main"}),
    "kind of ref": ({}, {"ref_type": "branch"}),
    "runner": ({}, {"runner_environment": "github-hosted"}),
    "release event": ({"event_name": "release"}, {}),
    "manual": ({"event_name": "workflow_dispatch"}, {}),
    "pull request, let in": ({"event_name": "pull_request"}, {"events": "pull_request"}),
    "allowed reusable workflow, at its ref": (
        {"job_workflow_ref": f"{SHARED}@refs/heads/main"},
        {"reusable_workflow": f"{SHARED}@refs/heads/main"},
    ),
    "allowed reusable workflow, any ref": (
        {"job_workflow_ref": f"{SHARED}@refs/tags/v1"},
        {"reusable_workflow": SHARED},
    ),
    "allowed reusable workflow, any commit": ({"job_workflow_ref": f"{SHARED}@{SHA}"}, {"reusable_workflow": SHARED}),
    "allowed reusable workflow, owner in capitals": (
        {"job_workflow_ref": f"{SHARED.replace('octo-org/shared', 'Octo-Org/Shared')}@refs/heads/main"},
        {"reusable_workflow": SHARED},
    ),
    "allowed reusable workflow not used": ({}, {"reusable_workflow": SHARED}),
}


@pytest.mark.parametrize(("changes", "fields"), PASSING.values(), ids=PASSING)
def test_github_token_that_matches_is_accepted(changes: dict[str, Any], fields: dict[str, str]) -> None:
    assert judged(GITHUB, changed(github_claims(), changes), FIELDS | fields, PINS) == ""


EVENT = (
    "event_refused: The workflow was started by {}, which others can cause with a pull request; "
    "publish on push, release or workflow_dispatch."
)
REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "no sub": ({"sub": ABSENT}, {}, "missing_claim: The token has no claim sub."),
    "no repository": ({"repository": ABSENT}, {}, "missing_claim: The token has no claim repository."),
    "empty repository": ({"repository": ""}, {}, "missing_claim: The token has no claim repository."),
    "null repository": ({"repository": None}, {}, "missing_claim: The token has no claim repository."),
    "repository a number": ({"repository": 5}, {}, "bad_claim: The claim repository is 5; expected a string."),
    "repository a list": (
        {"repository": ["octo-org/sample"]},
        {},
        "bad_claim: The claim repository is ['octo-org/sample']; expected a string.",
    ),
    "no owner": ({"repository_owner": ABSENT}, {}, "missing_claim: The token has no claim repository_owner."),
    "no repository id": ({"repository_id": ABSENT}, {}, "missing_claim: The token has no claim repository_id."),
    "repository id a number": (
        {"repository_id": 740510},
        {},
        "bad_claim: The claim repository_id is 740510; expected a string.",
    ),
    "no owner id": ({"repository_owner_id": ""}, {}, "missing_claim: The token has no claim repository_owner_id."),
    "no workflow": ({"workflow_ref": ABSENT}, {}, "missing_claim: The token has no claim workflow_ref."),
    "no job workflow": ({"job_workflow_ref": ABSENT}, {}, "missing_claim: The token has no claim job_workflow_ref."),
    "no event": ({"event_name": ABSENT}, {}, "missing_claim: The token has no claim event_name."),
    "environment a boolean": (
        {"environment": True},
        {},
        "bad_claim: The claim environment is True; expected a string.",
    ),
    "ref a number": ({"ref": 1}, {}, "bad_claim: The claim ref is 1; expected a string."),
    "pull_request_target": ({"event_name": "pull_request_target"}, {}, EVENT.format("pull_request_target")),
    "workflow_run": ({"event_name": "workflow_run"}, {}, EVENT.format("workflow_run")),
    "another owner": (of("evil/sample"), {}, "no_publisher"),
    "another name": (of("octo-org/other"), {}, "no_publisher"),
    "underscore is no wildcard": ({}, {"repository": "octo-org/s_mple"}, "no_publisher"),
    "Kelvin sign is no k": (of("octo-\u212a/sample"), {"repository": "octo-k/sample"}, "no_publisher"),
    "name with a suffix": ({}, {"repository": "octo-org/sampl"}, "no_publisher"),
    "another repository id": ({"repository_id": "1"}, {}, "resurrected: repository_id is 1, not 740510"),
    "another owner id": ({"repository_owner_id": "1"}, {}, "resurrected: repository_owner_id is 1, not 65"),
    "ids come before the workflow": (
        {"repository_id": "1"},
        {"workflow": "other.yml"},
        "resurrected: repository_id is 1, not 740510",
    ),
    "another workflow": ({}, {"workflow": "other.yml"}, "workflow is release.yml, not other.yml"),
    "workflow in capitals": ({}, {"workflow": "Release.yml"}, "workflow is release.yml, not Release.yml"),
    "workflow .yaml for .yml": ({}, {"workflow": "release.yaml"}, "workflow is release.yml, not release.yaml"),
    "another environment": (
        {"environment": "staging"},
        {"environment": "release"},
        "environment is staging, not release",
    ),
    "no environment": ({"environment": ABSENT}, {"environment": "release"}, "environment is none, not release"),
    "empty environment": ({"environment": ""}, {"environment": "release"}, "environment is none, not release"),
    "percent is no wildcard": ({}, {"environment": "rel%"}, "environment is release, not rel%"),
    "another ref": ({}, {"ref": "refs/heads/release"}, "ref is refs/heads/main, not refs/heads/release"),
    "ref in capitals": ({}, {"ref": "refs/heads/MAIN"}, "ref is refs/heads/main, not refs/heads/MAIN"),
    "another kind of ref": ({}, {"ref_type": "tag"}, "ref_type is branch, not tag"),
    "no kind of ref": ({"ref_type": ABSENT}, {"ref_type": "tag"}, "ref_type is none, not tag"),
    "another runner": (
        {"runner_environment": "self-hosted"},
        {"runner_environment": "github-hosted"},
        "runner_environment is self-hosted, not github-hosted",
    ),
    "reusable workflow that nobody allowed": (
        {"job_workflow_ref": f"{SHARED}@refs/heads/main"},
        {},
        f"reusable_workflow is {SHARED}@refs/heads/main, not none",
    ),
    "reusable workflow of the same repository": (
        {"job_workflow_ref": f"{FOLDER}/publish.yml@refs/heads/main"},
        {},
        f"reusable_workflow is {FOLDER}/publish.yml@refs/heads/main, not none",
    ),
    "reusable workflow at another ref": (
        {"job_workflow_ref": f"{SHARED}@refs/heads/evil"},
        {"reusable_workflow": f"{SHARED}@refs/heads/main"},
        f"reusable_workflow is {SHARED}@refs/heads/evil, not {SHARED}@refs/heads/main",
    ),
    "reusable workflow at a ref that begins alike": (
        {"job_workflow_ref": f"{SHARED}@refs/heads/main@refs/heads/evil"},
        {"reusable_workflow": f"{SHARED}@refs/heads/main"},
        f"reusable_workflow is {SHARED}@refs/heads/main@refs/heads/evil, not {SHARED}@refs/heads/main",
    ),
    "reusable workflow with a longer name": (
        {"job_workflow_ref": f"{SHARED}@evil.yml@refs/heads/main"},
        {"reusable_workflow": SHARED},
        f"reusable_workflow is {SHARED}@evil.yml@refs/heads/main, not {SHARED}",
    ),
    "reusable workflow of another repository": (
        {"job_workflow_ref": f"{FORK}@refs/heads/main"},
        {"reusable_workflow": SHARED},
        f"reusable_workflow is {FORK}@refs/heads/main, not {SHARED}",
    ),
    "reusable workflow without a path": (
        {"job_workflow_ref": "nonsense"},
        {"reusable_workflow": SHARED},
        f"reusable_workflow is nonsense, not {SHARED}",
    ),
}


@pytest.mark.parametrize(("changes", "fields", "refusal"), REFUSED.values(), ids=REFUSED)
def test_github_token_that_differs_is_refused(changes: dict[str, Any], fields: dict[str, str], refusal: str) -> None:
    assert judged(GITHUB, changed(github_claims(), changes), FIELDS | fields, PINS) == refusal


# Files and refs may contain an @, and look like each other.
FILES = {
    "release.yml@refs/heads/main": "release.yml",
    "release.yaml@refs/heads/main": "release.yaml",
    "has-dash.yml@refs/heads/main": "has-dash.yml",
    "has.dots.yml@refs/heads/main": "has.dots.yml",
    "has space.yml@refs/heads/main": "has space.yml",
    "_under.yml@refs/heads/main": "_under.yml",
    "a@b.yml@refs/heads/main": "a@b.yml",
    "a.yml@b.yml@refs/heads/main": "a.yml@b.yml",
    "@@@.yml@refs/heads/main": "@@@.yml",
    "größe.yml@refs/heads/main": "größe.yml",
    "release.yml@refs/heads/a.yml@b": "release.yml",
    "release.yml@refs/heads/x/.github/workflows/y.yml": "release.yml",
    "release.yml@refs/tags/v1@refs/heads/main": "release.yml",
    "release.yml@refs/pull/5/merge": "release.yml",
}


@pytest.mark.parametrize(("ending", "file"), FILES.items())
def test_workflow_is_the_part_before_the_tokens_ref(ending: str, file: str) -> None:
    claims = github_claims(workflow_ref=f"{FOLDER}/{ending}", ref=ending.removeprefix(f"{file}@"))
    claims["job_workflow_ref"] = claims["workflow_ref"]
    assert judged(GITHUB, claims, FIELDS | {"workflow": file}) == ""


def test_a_deployment_of_a_commit_has_the_commit_for_a_ref() -> None:
    workflow_ref = f"{FOLDER}/release.yml@{SHA}"
    claims = github_claims(ref="", workflow_ref=workflow_ref, job_workflow_ref=workflow_ref)
    assert judged(GITHUB, claims, FIELDS, PINS) == ""


BAD_WORKFLOW_REFS = [
    f"{FOLDER}/release.yml",
    f"{FOLDER}/release.yml@",
    f"{FOLDER}/release.yml@refs/heads/other",
    f"{FOLDER}/release.yml@refs/heads/MAIN",
    f"{FOLDER}/release.yml@refs/heads/main@",
    f"{FOLDER}/release.yml@refs/heads/main\n",
    f"{FOLDER}/release.json@refs/heads/main",
    f"{FOLDER}/release@refs/heads/main",
    f"{FOLDER}/.yml/release@refs/heads/main",
    f"{FOLDER}/nested/release.yml@refs/heads/main",
    f"{FOLDER}/@refs/heads/main",
    f"{FOLDER}/re\x00lease.yml@refs/heads/main",
    "octo-org/other/.github/workflows/release.yml@refs/heads/main",
    "evil/octo-org/sample/.github/workflows/release.yml@refs/heads/main",
    "octo-org/sample/workflows/release.yml@refs/heads/main",
    "release.yml@refs/heads/main",
    "refs/heads/main",
]


@pytest.mark.parametrize("workflow_ref", BAD_WORKFLOW_REFS)
def test_a_workflow_ref_of_another_form_is_refused(workflow_ref: str) -> None:
    claims = github_claims(workflow_ref=workflow_ref, job_workflow_ref=workflow_ref)
    assert judged(GITHUB, claims, FIELDS, PINS).startswith("bad_claim: The claim workflow_ref is ")


def test_workflow_ref_without_a_ref_names_the_expected_form() -> None:
    claims = github_claims(ref="", sha="")
    assert judged(GITHUB, claims, FIELDS) == (
        f"bad_claim: The claim workflow_ref is '{FOLDER}/release.yml@refs/heads/main'; expected it to end in a ref."
    )
