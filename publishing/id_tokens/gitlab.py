"""GitLab CI/CD, on gitlab.com and self-managed. https://docs.gitlab.com/ci/secrets/id_token_authentication/"""

import re
from collections.abc import Mapping
from typing import Any
from urllib import parse

from publishing.id_tokens import pasted_addresses
from publishing.id_tokens.claims import BadToken, Claims, Code, Field, TokenProvenance, lower, text_claim
from publishing.id_tokens.provider import Provider, document_id, events_field, https_url, strip_ref
from publishing.wording import quote

PROJECT = r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+"
CONFIG = r"(?!/)(?!.*//)[^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f]\.ya?ml"
OTHER_HOSTS = ("github.com", "bitbucket.org", "codeberg.org")
# A page of the file at a branch or tag without a slash.
COPIED_CONFIG = re.compile(r".+/-/(?:blob|raw|edit)/[^/]+/(.+)")
MERGE_REQUEST = "merge_request_event"
# Only users who may push, or who have a token, start these. https://docs.gitlab.com/ci/jobs/job_rules/#ci_pipeline_source-predefined-variable
USUAL_SOURCES = ("push", "web", "webide", "schedule", "api", "trigger", "pipeline")
# A child pipeline may belong to a merge request, which its token does not state.
FURTHER_SOURCES = ("parent_pipeline", "chat", "external_pull_request_event")


class GitLab(Provider):
    name = "gitlab"
    title = "GitLab CI/CD"
    issuer = "https://gitlab.com"
    fields = (
        Field(
            name="project",
            title="Project",
            help="Path of the project with all its groups.",
            example="group/subgroup/sample",
            is_required=True,
            pattern=PROJECT,
            form="GROUP/PROJECT",
            ignores_case=True,
        ),
        Field(
            name="workflow",
            title="CI/CD configuration",
            help="Path of the top-level configuration file in the project.",
            example=".gitlab-ci.yml",
            is_required=True,
            pattern=CONFIG,
            form="a path that ends in .yml or .yaml",
        ),
        Field(
            name="environment",
            title="Environment",
            help="The environment that the job must name. Recommended; if empty, any job may publish.",
            example="release",
            pattern=r"[A-Za-z0-9_/${}. -]+",
            form="letters, digits, spaces and any of - _ / $ { } .",
        ),
        Field(
            name="protected",
            title="Protected refs only",
            help="Only protected branches and tags may publish.",
            example="true",
            choices=("true",),
        ),
        Field(
            name="merge_requests",
            is_widening=True,
            title="Merge requests allowed",
            help="Pipelines of merge requests may publish too; they run code that was not reviewed yet.",
            example="true",
            choices=("true",),
        ),
        events_field(USUAL_SOURCES, FURTHER_SOURCES),
    )
    events = USUAL_SOURCES
    subject_field = "project"
    pins = ("project_id", "namespace_id")
    needed_claims = (*pins, "project_path", "ci_config_ref_uri", "ref_path", "sha", "pipeline_source")
    optional_claims = ("environment", "ref_protected", "job_project_id", "ref", "ref_type", "pipeline_id", "job_id")
    max_lifetime_s = 24 * 60 * 60
    has_token_id = True

    def clean(self, values: Mapping[str, str]) -> dict[str, str]:
        """Accept also addresses of the project and its pages, and of the configuration file, as people copy them."""
        copied = dict(values)
        host, path = pasted_addresses.host_and_path(copied.get("project", ""))
        if host and host not in OTHER_HOSTS:
            copied["project"] = path.partition("/-/")[0]
        _, path = pasted_addresses.host_and_path(copied.get("workflow", ""))
        if found := COPIED_CONFIG.fullmatch(path):
            copied["workflow"] = found[1]
        return super().clean(copied)

    def refuse(self, claims: Claims) -> None:
        if text_claim(claims, "job_project_id") not in ("", claims["project_id"]):
            raise BadToken(
                Code.EVENT_REFUSED,
                f"The job runs in the project {quote(claims['job_project_id'])}, but the token speaks for the project "
                f"{quote(claims['project_id'])}; publish from the project's own pipelines, not from a fork's.",
            )

    def found(self, claims: Claims) -> dict[str, str]:
        return {
            "project": lower(claims["project_path"]),
            "workflow": config_file(claims),
            "environment": text_claim(claims, "environment"),
            "protected": text_claim(claims, "ref_protected"),
            "merge_requests": "true" if claims["pipeline_source"] == MERGE_REQUEST else "",
        }

    def matches(self, name: str, expected: str, found: str) -> bool:
        if name != "merge_requests":
            return super().matches(name, expected, found)
        return not found or bool(expected)

    def event(self, claims: Claims) -> str:
        source: str = claims["pipeline_source"]
        return "" if source == MERGE_REQUEST else source

    def provenance(self, claims: Claims) -> TokenProvenance:
        project, sha = claims["project_path"], claims["sha"]
        project_url = https_url(f"{claims['iss']}/{project}")
        config, pipeline = config_file(claims), text_claim(claims, "pipeline_id")
        return TokenProvenance(
            provider=self.title,
            repository=project,
            repository_url=project_url,
            commit=sha,
            commit_url=f"{project_url}/-/commit/{sha}" if project_url else "",
            ref=claims["ref_path"],
            workflow=config,
            workflow_url=f"{project_url}/-/blob/{sha}/{parse.quote(config)}" if project_url else "",
            run=pipeline,
            run_url=f"{project_url}/-/pipelines/{pipeline}" if project_url and pipeline else "",
            environment=text_claim(claims, "environment"),
        )

    def page_url(self, fields: Mapping[str, str], issuer: str) -> str:
        return https_url(f"{issuer}/{fields['project']}")

    def lookup_url(self, fields: Mapping[str, str], issuer: str) -> str:
        return f"{issuer}/api/v4/projects/{parse.quote(fields['project'], safe='')}"

    def pins_from(self, document: Mapping[str, Any]) -> dict[str, str]:
        return {"project_id": document_id(document["id"]), "namespace_id": document_id(document["namespace"]["id"])}

    def certificate(self, claims: Claims) -> dict[str, str]:
        kind = "heads" if text_claim(claims, "ref_type") == "branch" else "tags"
        return {
            "issuer": claims["iss"],
            "source_repository_identifier": claims["project_id"],
            "source_repository_owner_identifier": claims["namespace_id"],
            "build_config_uri": f"https://{config_path(claims)}",
            "source_repository_ref": f"refs/{kind}/{text_claim(claims, 'ref')}",
        }


def config_path(claims: Claims) -> str:
    return strip_ref(claims["ci_config_ref_uri"], (claims["ref_path"], claims["sha"]), "ci_config_ref_uri")


def config_file(claims: Claims) -> str:
    """Return FILE of `ci_config_ref_uri`. Raise BadToken if it names another project than the token's own.

    The claim is HOST/PROJECT//FILE@REF of the token's instance, project and ref.
    """
    uri, path = claims["ci_config_ref_uri"], config_path(claims)
    project = f"{claims['iss'].partition('://')[2]}/{claims['project_path']}//"
    file = path[len(project) :]
    if lower(path[: len(project)]) != lower(project) or not re.fullmatch(CONFIG, file):
        raise BadToken(Code.BAD_CLAIM, f"The claim ci_config_ref_uri is {quote(uri)}; expected {project}FILE.yml@REF.")
    return file
