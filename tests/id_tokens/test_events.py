"""Events that may start a run that publishes: the usual ones of each provider, and a publisher's further events."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import (
    ABSENT,
    buildkite_claims,
    changed,
    circleci_claims,
    faults,
    generic_claims,
    github_claims,
    gitlab_claims,
    judged,
)

GITHUB = {"repository": "octo-org/sample", "workflow": "release.yml"}
GITLAB = {"project": "group/sample", "workflow": ".gitlab-ci.yml"}
BUILDKITE = {"pipeline": "acme-inc/sample"}
CIRCLECI = {"project": "4f8d6dd2-1111-4a2d-8a0b-6c2f9a5e1c11", "organization": "4f8d6dd2-0000-4a2d-8a0b-6c2f9a5e1c11"}
REF = "oidc.circleci.com/vcs-ref"


def github(event: str, box: str = "") -> str:
    return judged(PROVIDERS["github"], github_claims(event_name=event), GITHUB | {"events": box})


def gitlab(source: str, box: str = "", **fields: str) -> str:
    return judged(PROVIDERS["gitlab"], gitlab_claims(pipeline_source=source), GITLAB | fields | {"events": box})


def buildkite(changes: dict[str, Any], box: str = "") -> str:
    return judged(PROVIDERS["buildkite"], changed(buildkite_claims(), changes), BUILDKITE | {"events": box})


def circleci(ref: Any, box: str = "") -> str:
    return judged(PROVIDERS["circleci"], changed(circleci_claims(), {REF: ref}), CIRCLECI | {"events": box})


@pytest.mark.parametrize("event", ["push", "release", "workflow_dispatch", "schedule", "repository_dispatch", "create"])
def test_github_default_event_is_accepted(event: str) -> None:
    assert github(event) == ""


@pytest.mark.parametrize(
    "event",
    [
        "pull_request_target",
        "workflow_run",
        "issue_comment",
        "issues",
        "discussion",
        "discussion_comment",
        "fork",
        "watch",
        "gollum",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_comment",
    ],
)
def test_github_event_of_strangers_is_refused_always(event: str) -> None:
    assert github(event).startswith(f"event_refused: The workflow was started by {event}, which others can cause ")
    assert "Further events is" in faults(PROVIDERS["github"], GITHUB | {"events": event})["events"]


@pytest.mark.parametrize(
    "event",
    [
        "pull_request",
        "merge_group",
        "deployment",
        "check_run",
        "check_suite",
        "status",
        "label",
        "delete",
        "public",
        "dynamic",
        "PUSH",
        "pushed",
    ],
)
def test_github_other_event_is_refused(event: str) -> None:
    assert github(event).startswith(f"events is {event}, not push, release, ")


@pytest.mark.parametrize("event", ["pull_request", "merge_group", "deployment", "registry_package"])
def test_github_event_in_the_field_is_accepted(event: str) -> None:
    assert github(event, box=event) == ""
    assert github("push", box=event) == ""
    assert github(event, box=f"deployment_status {event},") == ""
    assert github("check_run", box=event) != ""


def test_events_field_is_normalised() -> None:
    cleaned = PROVIDERS["github"].clean(GITHUB | {"events": " pull_request,merge_group  pull_request"})
    assert cleaned["events"] == "merge_group, pull_request"


def test_box_makes_no_publisher_the_more_specific_one() -> None:
    provider = PROVIDERS["github"]
    wide = provider.clean(GITHUB | {"events": "pull_request"})
    assert provider.specificity(wide) == provider.specificity(provider.clean(GITHUB))


@pytest.mark.parametrize("source", ["push", "web", "webide", "schedule", "api", "trigger", "pipeline"])
def test_gitlab_default_source_is_accepted(source: str) -> None:
    assert gitlab(source) == ""


@pytest.mark.parametrize(
    "source",
    [
        "parent_pipeline",
        "external_pull_request_event",
        "chat",
        "external",
        "ondemand_dast_scan",
        "unknown",
        "security_orchestration_policy",
        "container_registry_push",
        "duo_workflow",
    ],
)
def test_gitlab_other_source_is_refused(source: str) -> None:
    assert gitlab(source).startswith(f"events is {source}, not push, web, ")


def test_gitlab_source_of_a_checked_box_is_accepted() -> None:
    assert gitlab("parent_pipeline", box="parent_pipeline") == ""
    assert gitlab("merge_request_event", box="parent_pipeline") == "merge_requests is true, not none"
    assert gitlab("merge_request_event", merge_requests="true") == ""
    assert gitlab("parent_pipeline", merge_requests="true") != ""
    assert "events" in faults(PROVIDERS["gitlab"], GITLAB | {"events": "merge_request_event"})


@pytest.mark.parametrize("source", ["webhook", "ui", "api", "schedule", "trigger_job"])
def test_buildkite_default_source_is_accepted(source: str) -> None:
    assert buildkite({"build_source": source}) == ""


def test_buildkite_other_source_is_refused() -> None:
    assert buildkite({"build_source": "something_new"}).startswith("events is something_new, not webhook, ")
    assert buildkite({"build_source": ABSENT}).startswith("missing_claim: The token has no claim build_source")
    assert buildkite({"build_branch": "evil:main"}).startswith("events is fork, not webhook, ")
    assert buildkite({"build_branch": "evil:main"}, box="fork") == ""


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/v1", ABSENT])
def test_circleci_branch_or_tag_is_accepted(ref: Any) -> None:
    assert circleci(ref) == ""


def test_circleci_other_ref_is_refused() -> None:
    assert circleci("refs/pull/7/head").startswith("events is pull_request, not branch, ")
    assert circleci("refs/pull/7/merge", box="pull_request") == ""
    assert circleci("refs/merge-requests/7/head", box="pull_request").startswith("events is refs/merge-requests/7/head")
    assert circleci("main") != ""


@pytest.mark.parametrize(
    ("claims", "further", "is_let_in"),
    [
        ({}, "", True),
        ({"event_name": "push"}, "", True),
        ({"event_name": "pull_request"}, "", False),
        ({"event_name": "issue_comment"}, "", False),
        ({"event_name": ["push"]}, "", False),
        ({"event_name": "pull_request"}, "\nevent_name = pull_request", True),
        ({"event_name": "push"}, "\nevent_name = pull_request", False),
        ({"pipeline_source": "merge_request_event"}, "", False),
        ({"pipeline_source": "push"}, "", True),
    ],
)
def test_other_issuers_that_speak_as_a_forge_does(claims: dict[str, Any], further: str, is_let_in: bool) -> None:
    found = judged(PROVIDERS["generic"], generic_claims(**claims), {"conditions": f"sub = workload:sample{further}"})
    assert (found == "") == is_let_in


def test_refused_event_names_the_accepted_ones() -> None:
    provider = PROVIDERS["github"]
    difference = provider.difference(provider.clean(GITHUB), {}, github_claims(event_name="pull_request"))
    assert difference is not None
    assert difference.is_event
    assert difference.sentence.startswith("Event: the token says 'pull_request', but the publisher is registered with ")


def test_difference_of_a_generic_events_claim_names_the_field_of_the_publisher() -> None:
    claims = generic_claims(event_name="pull_request")
    difference = PROVIDERS["generic"].difference({"conditions": "team = release"}, {}, claims)
    assert difference
    assert (difference.name, difference.is_event, difference.found) == ("conditions", True, "pull_request")
