"""GitHub Actions: the form of a publisher, its stable ids, and the provenance of a run."""

from typing import Any

import pytest

from publishing.id_tokens.providers import PROVIDERS
from tests.id_tokens.builders import GITHUB_ISSUER, SHA, faults, github_claims

GITHUB = PROVIDERS["github"]
FIELDS = {"repository": "octo-org/sample", "workflow": "release.yml"}
PINS = {"repository_id": "740510", "repository_owner_id": "65"}
SHARED = "octo-org/shared/.github/workflows/publish.yml"

GOOD_FIELDS = [
    {"repository": "a/b"},
    {"repository": "octo_corp/.github"},
    {"repository": "octo-org/..."},
    {"workflow": "a b.yaml"},
    {"environment": "Größe (prod)"},
    {"ref": "refs/tags/v1.0"},
    {"ref_type": "tag"},
    {"runner_environment": "self-hosted"},
    {"reusable_workflow": SHARED},
    {"reusable_workflow": f"{SHARED}@{SHA}"},
]


@pytest.mark.parametrize("values", GOOD_FIELDS, ids=str)
def test_fields_that_can_be_registered(values: dict[str, str]) -> None:
    assert faults(GITHUB, FIELDS | values) == {}


BAD_FIELDS = [
    ("repository", "", "Repository is missing; expected OWNER/NAME, such as octo-org/sample."),
    ("repository", "sample", "Repository is 'sample'; expected OWNER/NAME, such as octo-org/sample."),
    ("repository", "octo-org/", "Repository is 'octo-org/'; expected OWNER/NAME, such as octo-org/sample."),
    ("repository", "a/b/c", "Repository is 'a/b/c'; expected OWNER/NAME, such as octo-org/sample."),
    ("repository", "a/..", "Repository is 'a/..'; expected OWNER/NAME, such as octo-org/sample."),
    ("repository", "a/b%", "Repository is 'a/b%'; expected OWNER/NAME, such as octo-org/sample."),
    (
        "repository",
        "https://gitlab.com/a/b",
        "Repository is 'https://gitlab.com/a/b'; expected OWNER/NAME, such as octo-org/sample.",
    ),
    (
        "workflow",
        "workflows/release.yml",
        ("Workflow is 'workflows/release.yml'; expected a file name that ends in .yml or .yaml, such as release.yml."),
    ),
    (
        "workflow",
        "release.toml",
        "Workflow is 'release.toml'; expected a file name that ends in .yml or .yaml, such as release.yml.",
    ),
    ("environment", "e" * 256, "Environment has 256 characters; at most 255 are allowed."),
    ("environment", "a\nb", r"Environment is 'a\nb'; expected a single line of text, such as release."),
    ("ref", "main", "Ref is 'main'; expected a full ref, such as refs/heads/main."),
    ("ref_type", "commit", "Kind of ref is 'commit'; expected branch or tag, or nothing."),
    (
        "reusable_workflow",
        "publish.yml",
        (
            "Reusable workflow is 'publish.yml'; expected OWNER/NAME/.github/workflows/FILE or the same with @REF, "
            "such as octo-org/shared/.github/workflows/publish.yml@refs/heads/main."
        ),
    ),
    ("actor", "octocat", "GitHub Actions publishers have no field 'actor'."),
]


@pytest.mark.parametrize(("name", "value", "reason"), BAD_FIELDS)
def test_fields_that_can_t_be_registered(name: str, value: str, reason: str) -> None:
    assert faults(GITHUB, FIELDS | {name: value}) == {name: reason}


def test_github_fields_with_several_faults_report_each() -> None:
    assert list(faults(GITHUB, {"ref": "main"})) == ["repository", "workflow", "ref"]


def test_github_fields_are_normalised() -> None:
    cleaned = GITHUB.clean({"repository": " Octo-Org/Sample ", "workflow": "Release.yml", "environment": "Prod"})
    assert cleaned == {
        "repository": "octo-org/sample",
        "workflow": "Release.yml",
        "environment": "prod",
        "reusable_workflow": "",
        "ref": "",
        "ref_type": "",
        "runner_environment": "",
        "events": "",
    }


def test_the_publisher_with_an_environment_is_the_more_specific_one() -> None:
    general = GITHUB.clean(FIELDS)
    specific = GITHUB.clean(FIELDS | {"environment": "release"})
    assert GITHUB.specificity(specific) > GITHUB.specificity(general)


def test_github_pins_come_from_claims_and_api() -> None:
    assert GITHUB.pins_in(github_claims()) == PINS
    assert GITHUB.pins_from({"id": 740510, "owner": {"id": 65, "login": "octo-org"}, "private": False}) == PINS


@pytest.mark.parametrize(
    "document", [{}, {"id": "740510", "owner": {"id": 65}}, {"id": True, "owner": {"id": 65}}, {"id": 1, "owner": None}]
)
def test_another_document_has_no_pins(document: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        GITHUB.pins_from(document)


LOOKUPS = {
    GITHUB_ISSUER: "https://api.github.com/repos/octo-org/sample",
    f"{GITHUB_ISSUER}/octo-enterprise": "https://api.github.com/repos/octo-org/sample",
    "https://token.actions.octo.ghe.com": "https://api.octo.ghe.com/repos/octo-org/sample",
    "https://git.example.org/_services/token": "https://git.example.org/api/v3/repos/octo-org/sample",
    "http://127.0.0.1:8001": "http://127.0.0.1:8001/api/v3/repos/octo-org/sample",
}


@pytest.mark.parametrize(("issuer", "url"), LOOKUPS.items())
def test_the_api_is_the_issuers(issuer: str, url: str) -> None:
    assert GITHUB.lookup_url(GITHUB.clean(FIELDS), issuer) == url


def test_github_token_gives_the_provenance() -> None:
    assert GITHUB.provenance(github_claims()).as_dict() == {
        "provider": "GitHub Actions",
        "repository": "octo-org/sample",
        "repository_url": "https://github.com/octo-org/sample",
        "commit": SHA,
        "commit_url": f"https://github.com/octo-org/sample/commit/{SHA}",
        "ref": "refs/heads/main",
        "workflow": ".github/workflows/release.yml",
        "workflow_url": f"https://github.com/octo-org/sample/blob/{SHA}/.github/workflows/release.yml",
        "run": "9001",
        "run_url": "https://github.com/octo-org/sample/actions/runs/9001/attempts/1",
        "environment": "release",
    }


def test_provenance_of_an_enterprise_server_links_there() -> None:
    provenance = GITHUB.provenance(github_claims(issuer="https://git.example.org/_services/token"))
    assert provenance.run_url == "https://git.example.org/octo-org/sample/actions/runs/9001/attempts/1"


def test_provenance_links_to_https_alone() -> None:
    urls = {
        name: url
        for name, url in GITHUB.provenance(github_claims(issuer="http://127.0.0.1:1")).as_dict().items()
        if name.endswith("_url")
    }
    assert set(urls.values()) == {""}


def test_the_certificate_of_the_same_run() -> None:
    assert GITHUB.certificate(github_claims()) == {
        "issuer": GITHUB_ISSUER,
        "source_repository_identifier": "740510",
        "source_repository_owner_identifier": "65",
        "build_config_uri": "https://github.com/octo-org/sample/.github/workflows/release.yml",
        "source_repository_ref": "refs/heads/main",
    }


def test_clean_github_workflow_drops_blanks_and_the_folder() -> None:
    cleaned = GITHUB.clean({"repository": "octo-org/sample", "workflow": "  .github/workflows/release.yml "})
    assert cleaned["workflow"] == "release.yml"


@pytest.mark.parametrize(
    "pasted",
    [
        *(f" https://github.com/Octo-org/sample{ending} " for ending in ("", "/", ".git", ".git/")),
        "https://github.com/octo-org/sample/tree/main/docs?tab=readme#top",
        "https://github.com/octo-org/sample/actions/workflows/release.yml",
        "www.github.com/octo-org/sample",
        "github.com/octo-org/sample",
        "git@github.com:octo-org/sample.git",
        "ssh://git@github.com/octo-org/sample.git",
        "https://octo.ghe.com/octo-org/sample",
    ],
)
def test_clean_github_repository_accepts_its_addresses(pasted: str) -> None:
    assert GITHUB.clean({"repository": pasted, "workflow": "release.yml"})["repository"] == "octo-org/sample"


@pytest.mark.parametrize(
    "pasted",
    [
        "https://github.com/octo-org/sample/blob/main/.github/workflows/release.yml",
        "https://github.com/octo-org/sample/actions/workflows/release.yml?query=branch%3Amain",
        "octo-org/sample/.github/workflows/release.yml@refs/heads/main",
        "/.github/workflows/release.yml",
        "release.yml",
    ],
)
def test_clean_github_workflow_accepts_its_addresses(pasted: str) -> None:
    assert GITHUB.clean({"repository": "octo-org/sample", "workflow": pasted})["workflow"] == "release.yml"


def test_github_provenance_of_a_repeated_run_links_to_the_attempt() -> None:
    assert GITHUB.provenance(github_claims(run_attempt="2")).run_url.endswith("/actions/runs/9001/attempts/2")
