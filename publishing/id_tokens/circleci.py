"""CircleCI, with its root issuer or an organization's own. https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/

py-rattler-build's client (ambient-id) requests tokens of the root issuer. $CIRCLE_OIDC_TOKEN_V2 is a token of the
organization's issuer.
"""

import re
from functools import partial

from publishing.id_tokens.claims import BadToken, Claims, Code, Field, TokenProvenance, text_claim
from publishing.id_tokens.provider import Provider, events_field
from publishing.wording import quote

PREFIX = "oidc.circleci.com/"
ORIGIN = r"[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._-]+)+"
# No claim states the event that started the pipeline, but the ref shows it. Only custom webhooks, which need a secret,
# start pipelines without a ref.
USUAL_EVENTS = ("branch", "tag", "webhook")
PULL_REQUEST = "pull_request"
EVENTS_OF_REFS = {"refs/heads/": "branch", "refs/tags/": "tag", "refs/pull/": PULL_REQUEST}
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_uuid_field = partial(Field, pattern=UUID, form="a UUID", ignores_case=True)


class CircleCI(Provider):
    name = "circleci"
    title = "CircleCI"
    issuer = "https://oidc.circleci.com"
    fields = (
        _uuid_field(
            name="project",
            title="Project ID",
            help="From Project Settings, Overview.",
            example="9a4e0d4c-7f0e-4a3a-9d1e-2b6f3c5d8e70",
            is_required=True,
        ),
        _uuid_field(
            name="organization",
            title="Organization ID",
            help="From Organization Settings, Overview.",
            example="1d2c3b4a-7f0e-4a3a-9d1e-2b6f3c5d8e70",
            is_required=True,
        ),
        _uuid_field(
            name="pipeline_definition",
            title="Pipeline definition ID",
            help="The only pipeline definition that may publish; from Project Settings, Pipelines.",
            example="5e6f7a8b-7f0e-4a3a-9d1e-2b6f3c5d8e70",
        ),
        _uuid_field(
            name="context",
            title="Context ID",
            help="A context that the job must use; contexts can be restricted to people and branches.",
            example="8b7a6f5e-7f0e-4a3a-9d1e-2b6f3c5d8e70",
        ),
        Field(
            name="origin",
            title="Repository",
            help="The only repository whose changes may publish. Needed where builds of forks are given secrets.",
            example="github.com/octo-org/sample",
            pattern=ORIGIN,
            form="HOST/OWNER/NAME",
        ),
        Field(
            name="ref",
            title="Ref",
            help="The only branch or tag that may publish.",
            example="refs/heads/main",
            pattern=r"refs/[^\x00-\x20\x7f]+",
            form="a full ref",
        ),
        events_field(USUAL_EVENTS, (PULL_REQUEST,)),
    )
    events = USUAL_EVENTS
    subject_field = "project"
    pins = ()  # its fields are the stable ids
    needed_claims = (f"{PREFIX}project-id",)
    optional_claims = tuple(
        f"{PREFIX}{name}"
        for name in ("org-id", "pipeline-definition-id", "vcs-origin", "vcs-ref", "workflow-id", "job-id")
    )
    max_lifetime_s = 65 * 60
    has_token_id = False

    def refuse(self, claims: Claims) -> None:
        is_ssh_rerun = claims.get(f"{PREFIX}ssh-rerun")
        if is_ssh_rerun is True:
            raise BadToken(
                Code.EVENT_REFUSED, "The job was rerun with SSH, so people can log in to it; rerun it without SSH."
            )
        if is_ssh_rerun is not False:
            raise BadToken(Code.BAD_CLAIM, f"The claim {PREFIX}ssh-rerun is {quote(is_ssh_rerun)}; expected a boolean.")

    def found(self, claims: Claims) -> dict[str, str]:
        return {
            "project": claims[f"{PREFIX}project-id"],
            "organization": organization(claims),
            "pipeline_definition": text_claim(claims, f"{PREFIX}pipeline-definition-id"),
            "context": ", ".join(contexts(claims)),
            "origin": text_claim(claims, f"{PREFIX}vcs-origin"),
            "ref": text_claim(claims, f"{PREFIX}vcs-ref"),
        }

    def matches(self, name: str, expected: str, found: str) -> bool:
        if name != "context":
            return super().matches(name, expected, found)
        return not expected or expected in found.split(", ")

    def event(self, claims: Claims) -> str:
        ref = text_claim(claims, f"{PREFIX}vcs-ref")
        if not ref:
            return "webhook"
        return next((event for start, event in EVENTS_OF_REFS.items() if ref.startswith(start)), ref)

    def provenance(self, claims: Claims) -> TokenProvenance:
        """Return the provenance of the job. Its URL is the one that Fulcio certifies for CircleCI."""
        repository = text_claim(claims, f"{PREFIX}vcs-origin")
        workflow, job = text_claim(claims, f"{PREFIX}workflow-id"), text_claim(claims, f"{PREFIX}job-id")
        return TokenProvenance(
            provider=self.title,
            repository=repository,
            repository_url=f"https://{repository}" if re.fullmatch(ORIGIN, repository) else "",
            ref=text_claim(claims, f"{PREFIX}vcs-ref"),
            run=workflow,
            run_url=f"https://app.circleci.com/workflow/{workflow}/job/{job}" if workflow and job else "",
        )


def organization(claims: Claims) -> str:
    """Return the organization's id. Raise BadToken if issuer and claim differ.

    The URL of an organization's issuer has the id; tokens of the root issuer have it in a claim.
    """
    claimed = text_claim(claims, f"{PREFIX}org-id")
    issuer = re.fullmatch(rf".*/org/({UUID})", claims["iss"])
    issuers = issuer[1] if issuer else claimed
    if not issuers:
        raise BadToken(Code.MISSING_CLAIM, f"The token has no claim {PREFIX}org-id.")
    if claimed not in ("", issuers):
        raise BadToken(
            Code.BAD_CLAIM, f"The claim {PREFIX}org-id is {quote(claimed)}; expected the issuer's {issuers}."
        )
    return issuers


def contexts(claims: Claims) -> list[str]:
    ids = claims.get(f"{PREFIX}context-ids", [])
    if not isinstance(ids, list) or not all(isinstance(context, str) for context in ids):
        raise BadToken(Code.BAD_CLAIM, f"The claim {PREFIX}context-ids is {quote(ids)}; expected a list of strings.")
    return ids
