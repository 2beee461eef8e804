"""OAuth clients of the hub at other sign-in providers, from environment variables in allauth's form."""

import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from hub.variables import switch, text

# Providers with a class of their own in allauth.
KNOWN_PROVIDERS = ("github", "gitlab", "google")


def client(prefix: str, meaning: str, **values: Any) -> list[dict[str, Any]]:
    """Return the client registered at a provider, from its two variables; an empty list if they are empty."""
    client_id = text(f"{prefix}_CLIENT_ID", "", f"client ID {meaning}")
    secret = text(f"{prefix}_CLIENT_SECRET", "", f"client secret {meaning}")
    if bool(client_id) != bool(secret):
        raise ImproperlyConfigured(
            f"{prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET belong together; expected both or neither."
        )
    return [{"client_id": client_id, "secret": secret, **values}] if client_id else []


def oidc_client(name: str) -> list[dict[str, Any]]:
    """Return the client of the OpenID Connect provider `name` with its options; an empty list without a URL."""
    prefix = _oidc_prefix(name)
    url = text(f"{prefix}_URL", "", "issuer URL, the part before `/.well-known/openid-configuration`").rstrip("/")
    has_trusted_mails = switch(
        f"{prefix}_TRUST_EMAIL",
        False,
        "treat its addresses as verified, and sign in to the account with the same address",
    )
    settings = {
        "server_url": url,
        "groups_claim": text(f"{prefix}_GROUPS_CLAIM", "groups", "claim with the groups that fill teams"),
        "sign_up": switch(
            f"{prefix}_SIGN_UP", True, "create an account at the first sign-in; if `false`, apply `HUB_SIGN_UP`"
        ),
        "verified_email": has_trusted_mails,
        "email_authentication": has_trusted_mails,
    }
    title = text(f"{prefix}_TITLE", name, "label of the sign-in button", shown="the name")
    found = client(prefix, "of the client registered there", provider_id=name, name=title, settings=settings)
    return found if url else []


def oidc_clients(names: list[str]) -> list[dict[str, Any]]:
    """Return the clients of all providers in HUB_OIDC_PROVIDERS. Raise ImproperlyConfigured if one is incomplete."""
    found = {name: oidc_client(name) for name in names}
    for name, clients in found.items():
        prefix = _oidc_prefix(name)
        if not clients or not re.fullmatch("[a-z][a-z0-9-]*", name) or name in KNOWN_PROVIDERS:
            raise ImproperlyConfigured(
                f"HUB_OIDC_PROVIDERS names {name!r}; expected small letters, digits and '-', no name of another "
                f"provider, and {prefix}_URL, {prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET to be set."
            )
    return [entry for clients in found.values() for entry in clients]


def _oidc_prefix(name: str) -> str:
    return f"HUB_OIDC_{name.upper().replace('-', '_')}"
