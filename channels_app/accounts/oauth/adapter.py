"""What allauth's OpenID provider asks a project for: by which name it issues tokens."""

from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from django.conf import settings


class HubAdapter(DefaultOIDCAdapter):  # type: ignore[misc]
    def get_issuer(self) -> str:
        """Clients compare it with the address that they were given, which has no slash at its end."""
        return str(settings.HUB_PUBLIC_URL)
