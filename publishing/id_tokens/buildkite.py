"""Buildkite. https://buildkite.com/docs/pipelines/security/oidc"""

from publishing.id_tokens.claims import Claims, Field, TokenProvenance, lower, text_claim
from publishing.id_tokens.provider import Provider, events_field

SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*"
# Builds of forks are started by webhooks, too. Their branch is OWNER:BRANCH, which no branch of the repository can be.
FORK = "fork"
USUAL_SOURCES = ("webhook", "ui", "api", "schedule", "trigger_job")


class Buildkite(Provider):
    name = "buildkite"
    title = "Buildkite"
    issuer = "https://agent.buildkite.com"
    fields = (
        Field(
            name="pipeline",
            title="Pipeline",
            help="Slugs of the organization and the pipeline, as in the pipeline's address.",
            example="acme-inc/sample",
            is_required=True,
            pattern=f"{SLUG}/{SLUG}",
            form="ORGANIZATION/PIPELINE",
            ignores_case=True,
        ),
        Field(
            name="step",
            title="Step",
            help="Key of the only step that may publish.",
            example="publish",
        ),
        Field(
            name="branch",
            title="Branch",
            help="The only branch whose builds may publish.",
            example="main",
        ),
        events_field(USUAL_SOURCES, (FORK,)),
    )
    events = USUAL_SOURCES
    subject_field = "pipeline"
    pins = ("pipeline_id", "organization_id")
    needed_claims = (*pins, "organization_slug", "pipeline_slug", "build_source")
    optional_claims = ("build_branch", "build_tag", "build_commit", "step_key", "job_id")
    claims_hint = "set BUILDKITE_OIDC_TOKEN_CLAIMS=organization_id,pipeline_id for the step"
    max_lifetime_s = 65 * 60
    has_token_id = False

    def found(self, claims: Claims) -> dict[str, str]:
        return {
            "pipeline": lower(pipeline(claims)),
            "step": text_claim(claims, "step_key"),
            "branch": text_claim(claims, "build_branch"),
        }

    def event(self, claims: Claims) -> str:
        return FORK if ":" in text_claim(claims, "build_branch") else lower(claims["build_source"])

    def provenance(self, claims: Claims) -> TokenProvenance:
        url = f"https://buildkite.com/{pipeline(claims)}"
        number, job = claims.get("build_number"), text_claim(claims, "job_id")
        build = str(number) if isinstance(number, int) else ""
        return TokenProvenance(
            provider=self.title,
            commit=text_claim(claims, "build_commit"),
            ref=text_claim(claims, "build_tag") or text_claim(claims, "build_branch"),
            workflow=pipeline(claims),
            workflow_url=url,
            run=build,
            run_url=f"{url}/builds/{build}#{job}" if build else "",
        )


def pipeline(claims: Claims) -> str:
    return f"{claims['organization_slug']}/{claims['pipeline_slug']}"
