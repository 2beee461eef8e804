"""GitHub Actions, on github.com, on GHE.com and on GitHub Enterprise Server. https://docs.github.com/actions/reference/security/oidc"""

import re
from collections.abc import Mapping
from typing import Any
from urllib import parse

from publishing.id_tokens import pasted_addresses
from publishing.id_tokens.claims import BadToken, Claims, Code, Field, TokenProvenance, lower, text_claim
from publishing.id_tokens.provider import Provider, document_id, events_field, https_url, strip_ref
from publishing.wording import quote

WORKFLOWS = ".github/workflows/"
# Only users who can push start these. https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows
USUAL_EVENTS = ("push", "release", "workflow_dispatch", "schedule", "repository_dispatch", "create")
# The same users start these, but the code may come from a pull request, or another program may start the run.
FURTHER_EVENTS = ("pull_request", "merge_group", "deployment", "deployment_status", "registry_package")
# Strangers can start these, with the rights of the branch that they name: event → how.
STRANGERS_EVENTS = {
    **dict.fromkeys(("pull_request_target", "workflow_run"), "with a pull request"),
    **dict.fromkeys(("pull_request_review", "pull_request_review_comment"), "with a review"),
    **dict.fromkeys(("issue_comment", "pull_request_comment", "discussion_comment"), "with a comment"),
    **dict.fromkeys(("issues", "discussion", "fork", "watch", "gollum"), "without any permission"),
}

REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9_-]*/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+"
HOSTS = re.compile(r"github\.com|[a-z0-9-]+\.ghe\.com")
# The path or address of a workflow, of its page of runs, or of its claim with @REF.
COPIED_WORKFLOW = re.compile(r"(?:.*/)?(?:\.github|actions)/workflows/([^/?#]+?\.ya?ml)(?:[@?#].*)?")
WORKFLOW = r"[^/\x00-\x1f\x7f]+\.ya?ml"
REF = r"refs/[^\x00-\x20\x7f]+"
COMMIT = r"[0-9a-f]{40,64}"


class GitHub(Provider):
    name = "github"
    title = "GitHub Actions"
    issuer = "https://token.actions.githubusercontent.com"
    fields = (
        Field(
            name="repository",
            title="Repository",
            help="Owner and name of the repository.",
            example="octo-org/sample",
            is_required=True,
            pattern=REPOSITORY,
            form="OWNER/NAME",
            ignores_case=True,
        ),
        Field(
            name="workflow",
            title="Workflow",
            help=f"File name of the workflow in {WORKFLOWS} that publishes.",
            example="release.yml",
            is_required=True,
            pattern=WORKFLOW,
            form="a file name that ends in .yml or .yaml",
        ),
        Field(
            name="environment",
            title="Environment",
            help="The deployment environment that the job must name. Recommended; if empty, any job may publish.",
            example="release",
            ignores_case=True,
        ),
        Field(
            name="reusable_workflow",
            is_widening=True,
            title="Reusable workflow",
            help="A workflow that the job may run in instead of the workflow itself; with @REF only at that ref.",
            example="octo-org/shared/.github/workflows/publish.yml@refs/heads/main",
            pattern=rf"{REPOSITORY}/\.github/workflows/{WORKFLOW}(?:@(?:{REF}|{COMMIT}))?",
            form=f"OWNER/NAME/{WORKFLOWS}FILE or the same with @REF",
        ),
        Field(
            name="ref",
            title="Ref",
            help="The only branch or tag that may publish.",
            example="refs/heads/main",
            pattern=REF,
            form="a full ref",
        ),
        Field(
            name="ref_type",
            title="Kind of ref",
            help="Only branches or only tags may publish.",
            example="tag",
            choices=("branch", "tag"),
        ),
        Field(
            name="runner_environment",
            title="Runner",
            help="Only GitHub's own or only self-hosted runners may publish.",
            example="github-hosted",
            choices=("github-hosted", "self-hosted"),
        ),
        events_field(USUAL_EVENTS, FURTHER_EVENTS),
    )
    events = USUAL_EVENTS
    subject_field = "repository"
    pins = ("repository_id", "repository_owner_id")
    needed_claims = (*pins, "repository", "repository_owner", "workflow_ref", "job_workflow_ref", "event_name")
    optional_claims = ("environment", "ref", "sha", "ref_type", "runner_environment", "run_id", "run_attempt")
    max_lifetime_s = 15 * 60
    has_token_id = True

    def clean(self, values: Mapping[str, str]) -> dict[str, str]:
        """Accept also addresses of the repository and its pages, and of the workflow, as people copy them."""
        copied = dict(values)
        host, path = pasted_addresses.host_and_path(copied.get("repository", ""))
        if HOSTS.fullmatch(host):
            copied["repository"] = pasted_addresses.first_two(path)
        if found := COPIED_WORKFLOW.fullmatch(copied.get("workflow", "").strip()):
            copied["workflow"] = found[1]
        return super().clean(copied)

    def refuse(self, claims: Claims) -> None:
        if how := STRANGERS_EVENTS.get(claims["event_name"]):
            raise BadToken(
                Code.EVENT_REFUSED,
                f"The workflow was started by {claims['event_name']}, which others can cause {how}; "
                "publish on push, release or workflow_dispatch.",
            )

    def event(self, claims: Claims) -> str:
        return str(claims["event_name"])

    def found(self, claims: Claims) -> dict[str, str]:
        job_workflow = claims["job_workflow_ref"]
        return {
            "repository": lower(claims["repository"]),
            "workflow": workflow_file(claims),
            "environment": lower(text_claim(claims, "environment")),
            "reusable_workflow": "" if job_workflow == claims["workflow_ref"] else job_workflow,
            "ref": text_claim(claims, "ref"),
            "ref_type": text_claim(claims, "ref_type"),
            "runner_environment": text_claim(claims, "runner_environment"),
        }

    def matches(self, name: str, expected: str, found: str) -> bool:
        if name != "reusable_workflow":
            return super().matches(name, expected, found)
        return not found or (bool(expected) and is_allowed_workflow(expected, found))

    def provenance(self, claims: Claims) -> TokenProvenance:
        repository, sha = claims["repository"], text_claim(claims, "sha")
        repository_url = https_url(f"{server_url(claims['iss'])}/{repository}")
        path = WORKFLOWS + workflow_file(claims)
        run, attempt = text_claim(claims, "run_id"), text_claim(claims, "run_attempt")
        return TokenProvenance(
            provider=self.title,
            repository=repository,
            repository_url=repository_url,
            commit=sha,
            commit_url=f"{repository_url}/commit/{sha}" if repository_url and sha else "",
            ref=text_claim(claims, "ref"),
            workflow=path,
            workflow_url=f"{repository_url}/blob/{sha}/{parse.quote(path)}" if repository_url and sha else "",
            run=run,
            run_url=f"{repository_url}/actions/runs/{run}/attempts/{attempt or 1}" if repository_url and run else "",
            environment=text_claim(claims, "environment"),
        )

    def page_url(self, fields: Mapping[str, str], issuer: str) -> str:
        return f"{server_url(issuer)}/{fields['repository']}"

    def lookup_url(self, fields: Mapping[str, str], issuer: str) -> str:
        return f"{api_url(server_url(issuer))}/repos/{fields['repository']}"

    def pins_from(self, document: Mapping[str, Any]) -> dict[str, str]:
        return {
            "repository_id": document_id(document["id"]),
            "repository_owner_id": document_id(document["owner"]["id"]),
        }

    def certificate(self, claims: Claims) -> dict[str, str]:
        return {
            "issuer": claims["iss"],
            "source_repository_identifier": claims["repository_id"],
            "source_repository_owner_identifier": claims["repository_owner_id"],
            "build_config_uri": f"{server_url(claims['iss'])}/{workflow_path(claims)}",
            "source_repository_ref": text_claim(claims, "ref"),
        }


def workflow_path(claims: Claims) -> str:
    return strip_ref(claims["workflow_ref"], (text_claim(claims, "ref"), text_claim(claims, "sha")), "workflow_ref")


def workflow_file(claims: Claims) -> str:
    """Return FILE of `workflow_ref`. Raise BadToken if it names another repository than the token's own.

    The claim is OWNER/NAME/.github/workflows/FILE@REF of the token's repository and ref.
    """
    path = workflow_path(claims)
    folder = f"{claims['repository']}/{WORKFLOWS}"
    file = path[len(folder) :]
    if lower(path[: len(folder)]) != lower(folder) or not re.fullmatch(WORKFLOW, file):
        raise BadToken(
            Code.BAD_CLAIM, f"The claim workflow_ref is {quote(claims['workflow_ref'])}; expected {folder}FILE.yml@REF."
        )
    return file


def is_allowed_workflow(allowed: str, job_workflow_ref: str) -> bool:
    """Tell whether a reusable workflow is the allowed one. Without a ref in `allowed`, every ref is allowed.

    Repositories are not case-sensitive; files and refs are.
    """
    wanted, found = lower_repository(allowed), lower_repository(job_workflow_ref)
    if re.fullmatch(WORKFLOW, wanted.partition(WORKFLOWS)[2]):
        return bool(re.fullmatch(rf"{re.escape(wanted)}@(?:{REF}|{COMMIT})", found))
    return found == wanted


def lower_repository(path: str) -> str:
    repository, folder, file = path.partition(WORKFLOWS)
    return f"{lower(repository)}{folder}{file}"


def server_url(issuer: str) -> str:
    """Return the website for an issuer of GitHub: github.com, SUBDOMAIN.ghe.com or an Enterprise Server."""
    address = parse.urlsplit(issuer)
    if address.netloc == "token.actions.githubusercontent.com":
        return "https://github.com"
    return f"{address.scheme}://{address.netloc.removeprefix('token.actions.')}"


def api_url(server: str) -> str:
    host = parse.urlsplit(server).netloc
    return f"https://api.{host}" if host == "github.com" or host.endswith(".ghe.com") else f"{server}/api/v3"
