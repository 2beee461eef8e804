"""GitLab CI/CD: matching of project, configuration, environment and ref, and refused jobs."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import ABSENT, SHA, changed, faults, gitlab_claims, judged

GITLAB = PROVIDERS["gitlab"]
FIELDS = {"project": "group/sample", "workflow": ".gitlab-ci.yml"}
PINS = {"project_id": "20", "namespace_id": "72"}
OWN = "https://git.example.org"


def of(project: str) -> dict[str, Any]:
    """Return the changes that make the claims belong to another project."""
    return {"project_path": project, "ci_config_ref_uri": f"gitlab.com/{project}//.gitlab-ci.yml@refs/heads/main"}


PASSING: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({}, {}),
    "project in capitals": ({"project_path": "Group/Sample"}, {}),
    "project in capitals everywhere": (of("Group/Sample"), {}),
    "publisher in capitals": ({}, {"project": "GROUP/SAMPLE"}),
    "subgroups": (of("a/b/c/d"), {"project": "a/b/c/d"}),
    "environment": ({}, {"environment": "release"}),
    "environment in folders": ({"environment": "review/$X"}, {"environment": "review/$X"}),
    "no environment needed, none there": ({"environment": ABSENT}, {}),
    "no environment needed, null": ({"environment": None}, {}),
    "protected": ({}, {"protected": "true"}),
    "not protected, not needed": ({"ref_protected": "false"}, {}),
    "no word of protection, not needed": ({"ref_protected": ABSENT}, {}),
    "merge requests allowed": ({"pipeline_source": "merge_request_event"}, {"merge_requests": "true"}),
    "merge requests allowed, a push": ({}, {"merge_requests": "true"}),
    "manual": ({"pipeline_source": "web"}, {}),
    "an instance that tells no job_project_id": ({"job_project_id": ABSENT}, {}),
    "configuration at the commit": ({"ci_config_ref_uri": f"gitlab.com/group/sample//.gitlab-ci.yml@{SHA}"}, {}),
    "another sub": ({"sub": "someone-elses:sub"}, {}),
    "another user": ({"user_login": "mallory", "user_email": "m@example.org"}, {}),
    "unknown claims": ({"something_new": [1]}, {}),
}


@pytest.mark.parametrize(("changes", "fields"), PASSING.values(), ids=PASSING)
def test_gitlab_token_that_matches_is_accepted(changes: dict[str, Any], fields: dict[str, str]) -> None:
    assert judged(GITLAB, changed(gitlab_claims(), changes), FIELDS | fields, PINS) == ""


REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "no sub": ({"sub": ""}, {}, "missing_claim: The token has no claim sub."),
    "no project": ({"project_path": ABSENT}, {}, "missing_claim: The token has no claim project_path."),
    "empty project": ({"project_path": ""}, {}, "missing_claim: The token has no claim project_path."),
    "no project id": ({"project_id": ABSENT}, {}, "missing_claim: The token has no claim project_id."),
    "project id a number": ({"project_id": 20}, {}, "bad_claim: The claim project_id is 20; expected a string."),
    "no namespace id": ({"namespace_id": None}, {}, "missing_claim: The token has no claim namespace_id."),
    "no configuration": ({"ci_config_ref_uri": ABSENT}, {}, "missing_claim: The token has no claim ci_config_ref_uri."),
    "configuration of another project's": (
        {"ci_config_ref_uri": None},
        {},
        "missing_claim: The token has no claim ci_config_ref_uri.",
    ),
    "no ref": ({"ref_path": ABSENT}, {}, "missing_claim: The token has no claim ref_path."),
    "no commit": ({"sha": ""}, {}, "missing_claim: The token has no claim sha."),
    "no source": ({"pipeline_source": ABSENT}, {}, "missing_claim: The token has no claim pipeline_source."),
    "protection a boolean": (
        {"ref_protected": True},
        {},
        "bad_claim: The claim ref_protected is True; expected a string.",
    ),
    "environment a list": ({"environment": []}, {}, "bad_claim: The claim environment is []; expected a string."),
    "a fork's job": (
        {"job_project_id": "21"},
        {},
        (
            "event_refused: The job runs in the project '21', but the token speaks for the project '20'; "
            "publish from the project's own pipelines, not from a fork's."
        ),
    ),
    "job's project a number": (
        {"job_project_id": 20},
        {},
        "bad_claim: The claim job_project_id is 20; expected a string.",
    ),
    "merge request": (
        {"pipeline_source": "merge_request_event"},
        {},
        "merge_requests is true, not none",
    ),
    "another group": (of("evil/sample"), {}, "no_publisher"),
    "another project": (of("group/other"), {}, "no_publisher"),
    "a project below": (of("group/sample/x"), {}, "no_publisher"),
    "underscore is no wildcard": ({}, {"project": "group/s_mple"}, "no_publisher"),
    "Kelvin sign is no k": (of("\u212a/sample"), {"project": "k/sample"}, "no_publisher"),
    "another project id": ({"project_id": "1", "job_project_id": "1"}, {}, "resurrected: project_id is 1, not 20"),
    "another namespace id": ({"namespace_id": "1"}, {}, "resurrected: namespace_id is 1, not 72"),
    "ids come before the environment": (
        {"namespace_id": "1"},
        {"environment": "other"},
        "resurrected: namespace_id is 1, not 72",
    ),
    "another configuration": ({}, {"workflow": "ci/release.yml"}, "workflow is .gitlab-ci.yml, not ci/release.yml"),
    "configuration in capitals": ({}, {"workflow": ".GitLab-CI.yml"}, "workflow is .gitlab-ci.yml, not .GitLab-CI.yml"),
    "another environment": ({}, {"environment": "staging"}, "environment is release, not staging"),
    "environment in capitals": ({}, {"environment": "Release"}, "environment is release, not Release"),
    "no environment": ({"environment": ABSENT}, {"environment": "release"}, "environment is none, not release"),
    "not protected": ({"ref_protected": "false"}, {"protected": "true"}, "protected is false, not true"),
    "no word of protection": ({"ref_protected": ABSENT}, {"protected": "true"}, "protected is none, not true"),
    "protection in capitals": ({"ref_protected": "True"}, {"protected": "true"}, "protected is True, not true"),
}


@pytest.mark.parametrize(("changes", "fields", "refusal"), REFUSED.values(), ids=REFUSED)
def test_gitlab_token_that_differs_is_refused(changes: dict[str, Any], fields: dict[str, str], refusal: str) -> None:
    assert judged(GITLAB, changed(gitlab_claims(), changes), FIELDS | fields, PINS) == refusal


# Paths and refs may contain an @, and look like each other.
FILES = {
    ".gitlab-ci.yml@refs/heads/main": ".gitlab-ci.yml",
    "release.yaml@refs/heads/main": "release.yaml",
    "ci/release.yml@refs/heads/main": "ci/release.yml",
    "a/b/c/d.yml@refs/tags/v1": "a/b/c/d.yml",
    "a@b.yml@refs/heads/main": "a@b.yml",
    "a.yml@b.yml@refs/heads/main": "a.yml@b.yml",
    "with space.yml@refs/heads/main": "with space.yml",
    "a.yml@refs/heads/b.yml@c": "a.yml",
    "a.yml@refs/heads//x.yml": "a.yml",
    "a.yml@refs/merge-requests/1/head": "a.yml",
}


@pytest.mark.parametrize(("ending", "file"), FILES.items())
def test_configuration_is_the_part_before_the_tokens_ref(ending: str, file: str) -> None:
    ref_path = ending.removeprefix(f"{file}@")
    claims = gitlab_claims(ci_config_ref_uri=f"gitlab.com/group/sample//{ending}", ref_path=ref_path)
    assert judged(GITLAB, claims, FIELDS | {"workflow": file}) == ""


BAD_CONFIGS = [
    "gitlab.com/group/sample//.gitlab-ci.yml",
    "gitlab.com/group/sample//.gitlab-ci.yml@",
    "gitlab.com/group/sample//.gitlab-ci.yml@refs/heads/other",
    "gitlab.com/group/sample//.gitlab-ci.yml@refs/heads/main\n",
    "gitlab.com/group/sample/.gitlab-ci.yml@refs/heads/main",
    "gitlab.com/group/sample///.gitlab-ci.yml@refs/heads/main",
    "gitlab.com/group/sample//a//b.yml@refs/heads/main",
    "gitlab.com/group/sample//release.toml@refs/heads/main",
    "gitlab.com/group/sample//ci/.yml/x@refs/heads/main",
    "gitlab.com/group/sample//ci/@refs/heads/main",
    "gitlab.com/group/sample//@refs/heads/main",
    "gitlab.com/group/other//.gitlab-ci.yml@refs/heads/main",
    "gitlab.com/other/group/sample//.gitlab-ci.yml@refs/heads/main",
    "git.example.org/group/sample//.gitlab-ci.yml@refs/heads/main",
    "https://gitlab.com/group/sample//.gitlab-ci.yml@refs/heads/main",
    ".gitlab-ci.yml@refs/heads/main",
]


@pytest.mark.parametrize("uri", BAD_CONFIGS)
def test_a_configuration_of_another_form_is_refused(uri: str) -> None:
    found = judged(GITLAB, gitlab_claims(ci_config_ref_uri=uri), FIELDS)
    assert found.startswith("bad_claim: The claim ci_config_ref_uri is ")


def test_an_instance_of_ones_own_has_its_host_in_the_claim() -> None:
    assert judged(GITLAB, gitlab_claims(issuer=OWN), FIELDS) == ""
    foreign = gitlab_claims(issuer=OWN, ci_config_ref_uri="gitlab.com/group/sample//.gitlab-ci.yml@refs/heads/main")
    assert judged(GITLAB, foreign, FIELDS) == (
        "bad_claim: The claim ci_config_ref_uri is 'gitlab.com/group/sample//.gitlab-ci.yml@refs/heads/main'; "
        "expected git.example.org/group/sample//FILE.yml@REF."
    )


@pytest.mark.parametrize(
    "issuer", ["https://git.example.org:8443", "https://example.org/gitlab", "http://127.0.0.1:80"]
)
def test_an_instance_has_its_port_or_folder_in_the_claim(issuer: str) -> None:
    assert judged(GITLAB, gitlab_claims(issuer=issuer), FIELDS) == ""


GOOD_FIELDS = [
    {"project": "a/b"},
    {"project": "_a/b-c/d.e"},
    {"workflow": "ci/release.yaml"},
    {"environment": "review/{branch} 1"},
    {"protected": "true", "merge_requests": "true"},
]


@pytest.mark.parametrize("values", GOOD_FIELDS, ids=str)
def test_fields_that_can_be_registered(values: dict[str, str]) -> None:
    assert faults(GITLAB, FIELDS | values) == {}


PROJECT = "expected GROUP/PROJECT, such as group/subgroup/sample."
CONFIG = "expected a path that ends in .yml or .yaml, such as .gitlab-ci.yml."
BAD_FIELDS = [
    ("project", "", f"Project is missing; {PROJECT}"),
    ("project", "sample", f"Project is 'sample'; {PROJECT}"),
    ("project", "/group/sample", f"Project is '/group/sample'; {PROJECT}"),
    ("project", "group/sample/", f"Project is 'group/sample/'; {PROJECT}"),
    ("project", "group//sample", f"Project is 'group//sample'; {PROJECT}"),
    ("project", "group/-sample", f"Project is 'group/-sample'; {PROJECT}"),
    ("project", "group/s%mple", f"Project is 'group/s%mple'; {PROJECT}"),
    ("workflow", "", f"CI/CD configuration is missing; {CONFIG}"),
    ("workflow", "/.gitlab-ci.yml", f"CI/CD configuration is '/.gitlab-ci.yml'; {CONFIG}"),
    ("workflow", "ci//a.yml", f"CI/CD configuration is 'ci//a.yml'; {CONFIG}"),
    ("workflow", "ci/.yml/", f"CI/CD configuration is 'ci/.yml/'; {CONFIG}"),
    ("workflow", "a.json", f"CI/CD configuration is 'a.json'; {CONFIG}"),
    (
        "environment",
        "a%",
        "Environment is 'a%'; expected letters, digits, spaces and any of - _ / $ { } ., such as release.",
    ),
    ("protected", "yes", "Protected refs only is 'yes'; expected true, or nothing."),
]


@pytest.mark.parametrize(("name", "value", "reason"), BAD_FIELDS)
def test_fields_that_can_t_be_registered(name: str, value: str, reason: str) -> None:
    assert faults(GITLAB, FIELDS | {name: value}) == {name: reason}


def test_gitlab_pins_come_from_claims_and_api() -> None:
    assert GITLAB.pins_in(gitlab_claims()) == PINS
    assert GITLAB.pins_from({"id": 20, "namespace": {"id": 72, "kind": "group"}}) == PINS
    assert GITLAB.lookup_url(GITLAB.clean(FIELDS), OWN) == f"{OWN}/api/v4/projects/group%2Fsample"


def test_gitlab_token_gives_the_provenance() -> None:
    assert GITLAB.provenance(gitlab_claims(issuer=OWN)).as_dict() == {
        "provider": "GitLab CI/CD",
        "repository": "group/sample",
        "repository_url": f"{OWN}/group/sample",
        "commit": SHA,
        "commit_url": f"{OWN}/group/sample/-/commit/{SHA}",
        "ref": "refs/heads/main",
        "workflow": ".gitlab-ci.yml",
        "workflow_url": f"{OWN}/group/sample/-/blob/{SHA}/.gitlab-ci.yml",
        "run": "574",
        "run_url": f"{OWN}/group/sample/-/pipelines/574",
        "environment": "release",
    }


def test_provenance_links_to_https_alone() -> None:
    provenance = GITLAB.provenance(gitlab_claims(issuer="http://127.0.0.1:1")).as_dict()
    assert {url for name, url in provenance.items() if name.endswith("_url")} == {""}


@pytest.mark.parametrize(("ref_type", "ref"), [("branch", "refs/heads/main"), ("tag", "refs/tags/main")])
def test_the_certificate_of_the_same_run(ref_type: str, ref: str) -> None:
    assert GITLAB.certificate(gitlab_claims(ref_type=ref_type)) == {
        "issuer": "https://gitlab.com",
        "source_repository_identifier": "20",
        "source_repository_owner_identifier": "72",
        "build_config_uri": "https://gitlab.com/group/sample//.gitlab-ci.yml",
        "source_repository_ref": ref,
    }


@pytest.mark.parametrize(
    "pasted",
    [
        "https://gitlab.com/Group/sub/sample",
        "https://git.example.org:8443/group/sub/sample.git",
        "https://gitlab.com/group/sub/sample/-/pipelines?page=2",
        "git@git.example.org:group/sub/sample.git",
        "ssh://git@git.example.org:2222/group/sub/sample.git",
        "gitlab.com/group/sub/sample",
        "group/sub/sample",
    ],
)
def test_clean_gitlab_project_accepts_its_addresses(pasted: str) -> None:
    assert GITLAB.clean({"project": pasted, "workflow": ".gitlab-ci.yml"})["project"] == "group/sub/sample"


def test_clean_gitlab_configuration_accepts_the_address_of_its_page() -> None:
    page = "https://gitlab.com/group/sample/-/blob/main/ci/publish.yml?ref_type=heads"
    assert GITLAB.clean({"project": "group.io/sample", "workflow": page}) == GITLAB.clean(
        {"project": "group.io/sample", "workflow": "ci/publish.yml"}
    )


def test_clean_gitlab_project_refuses_an_address_of_github() -> None:
    assert "project" in faults(GITLAB, {"project": "https://github.com/a/b", "workflow": ".gitlab-ci.yml"})
