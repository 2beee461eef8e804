"""The adapter of allauth's OpenID Connect provider: the issuer."""

from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from django.conf import settings


class HubAdapter(DefaultOIDCAdapter):  # type: ignore[misc]
    def get_issuer(self) -> str:
        """Return the public URL, without a slash at its end. Clients compare it with the URL that they were given."""
        return str(settings.HUB_PUBLIC_URL)
