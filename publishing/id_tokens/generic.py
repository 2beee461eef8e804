"""OpenID Connect issuers that an administrator added; publishers are conditions on claims."""

from collections.abc import Mapping

from publishing import strict_json
from publishing.id_tokens.claims import BadFields, ClaimMismatch, Claims, Field, TokenProvenance
from publishing.id_tokens.github import USUAL_EVENTS
from publishing.id_tokens.gitlab import USUAL_SOURCES
from publishing.id_tokens.provider import Provider
from publishing.wording import quote

CONDITIONS_MAX = 20
# Claims that the hub checks itself, or that differ in each token.
OWN_CLAIMS = ("iss", "aud", "exp", "iat", "nbf", "jti")
# Forges with tokens like those of GitHub or GitLab state the event of the run. A condition on the claim allows others.
EVENT_CLAIMS = {"event_name": USUAL_EVENTS, "pipeline_source": USUAL_SOURCES}


class Generic(Provider):
    name = "generic"
    title = "OpenID Connect"
    issuer = ""
    fields = (
        Field(
            name="conditions",
            title="Conditions",
            help="One “claim = value” a line. The token must have every one of these claims with exactly that text.",
            example="sub = workload:sample",
            is_required=True,
            pattern=r"[^\x00-\x09\x0b-\x1f\x7f]+",
            form="one “claim = value” a line",
            max_characters=4000,
        ),
    )
    pins = ()
    needed_claims = ()
    max_lifetime_s = 65 * 60
    has_token_id = False

    def clean(self, values: Mapping[str, str]) -> dict[str, str]:
        text = values.get("conditions", "").replace("\r\n", "\n")
        cleaned = super().clean({**values, "conditions": text})
        lines = [line for line in cleaned["conditions"].split("\n") if line.strip()]
        if reason := conditions_fault(lines):
            raise BadFields({"conditions": reason})
        conditions = sorted(condition(line) for line in lines)
        return {"conditions": "\n".join(f"{name} = {value}" for name, value in conditions)}

    def subject(self, fields: Mapping[str, str]) -> str:
        """Return "": generic tokens have no name in common, so all publishers of the issuer are compared."""
        return ""

    def claimed_subject(self, claims: Claims) -> str:
        return ""

    def found(self, claims: Claims) -> dict[str, str]:
        return {}

    def difference(self, fields: Mapping[str, str], pins: Mapping[str, str], claims: Claims) -> ClaimMismatch | None:
        for name, expected in map(condition, fields["conditions"].split("\n")):
            found = claims.get(name, "")
            if not isinstance(found, str):
                found = strict_json.kind(found)
            elif found == expected:
                continue
            return ClaimMismatch("conditions", f"The claim {name}", expected, found)
        return self._event_difference(fields, claims)

    def _event_difference(self, fields: Mapping[str, str], claims: Claims) -> ClaimMismatch | None:
        named = {condition(line)[0] for line in fields["conditions"].split("\n")}
        for claim, usual in EVENT_CLAIMS.items():
            if claim not in named and claim in claims and claims[claim] not in usual:
                return ClaimMismatch(
                    "conditions", f"The claim {claim}", ", ".join(usual), str(claims[claim]), is_event=True
                )
        return None

    def specificity(self, fields: Mapping[str, str]) -> int:
        return len(fields["conditions"].split("\n"))

    def provenance(self, claims: Claims) -> TokenProvenance:
        return TokenProvenance(provider=self.title, workflow=claims["sub"])


def condition(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def conditions_fault(lines: list[str]) -> str:
    """Return the fault of the conditions in one sentence, or "" if they are valid."""
    if len(lines) > CONDITIONS_MAX:
        return f"Conditions has {len(lines)} lines; at most {CONDITIONS_MAX} are allowed."
    names = []
    for line in lines:
        name, value = condition(line)
        if not name or not value or " " in name:
            return f"The condition {quote(line)} is not of the form “claim = value”, such as sub = workload:sample."
        if name in OWN_CLAIMS:
            return f"The condition {quote(line)} is on {name}, which the hub checks itself; name another claim."
        if name in names:
            return f"Two conditions are on {name}; a claim has one value."
        names.append(name)
    return ""
