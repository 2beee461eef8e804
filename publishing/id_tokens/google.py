"""Google Cloud: service accounts. https://cloud.google.com/iam/docs/service-account-creds#id-token"""

from publishing.id_tokens.claims import BadToken, Claims, Code, Field, TokenProvenance, lower
from publishing.id_tokens.provider import Provider
from publishing.wording import quote


class Google(Provider):
    name = "google"
    title = "Google Cloud"
    issuer = "https://accounts.google.com"
    fields = (
        Field(
            name="email",
            title="Email",
            help="Email address of the service account that publishes.",
            example="publisher@sample.iam.gserviceaccount.com",
            is_required=True,
            pattern=r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
            form="an email address",
            ignores_case=True,
        ),
    )
    subject_field = "email"
    # Email addresses are reused, and so is the azp of an account. Only sub belongs to one account forever.
    pins = ("sub",)
    needed_claims = ("email",)
    key_hosts = ("www.googleapis.com",)
    max_lifetime_s = 65 * 60
    has_token_id = False

    def refuse(self, claims: Claims) -> None:
        if claims.get("email_verified") is not True:
            raise BadToken(
                Code.BAD_CLAIM, f"The claim email_verified is {quote(claims.get('email_verified'))}; expected true."
            )

    def found(self, claims: Claims) -> dict[str, str]:
        return {"email": lower(claims["email"])}

    def provenance(self, claims: Claims) -> TokenProvenance:
        return TokenProvenance(provider=self.title, workflow=claims["email"])
