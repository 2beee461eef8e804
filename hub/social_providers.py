"""The clients that the hub has at other providers of sign-in, from environment variables, as allauth takes them."""

import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from hub.variables import switch, text

# Providers that allauth knows by name, each with its own kind of client.
KNOWN_PROVIDERS = ("github", "gitlab", "google")


def client(prefix: str, meaning: str, **values: Any) -> list[dict[str, Any]]:
    """The client registered at a provider, by its two variables; none where they are empty."""
    client_id = text(f"{prefix}_CLIENT_ID", "", meaning)
    secret = text(f"{prefix}_CLIENT_SECRET", "", "its secret")
    if bool(client_id) != bool(secret):
        raise ImproperlyConfigured(
            f"{prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET belong together; expected both or neither."
        )
    return [{"client_id": client_id, "secret": secret, **values}] if client_id else []


def oidc_client(name: str) -> list[dict[str, Any]]:
    """The client at the provider of OpenID Connect called `name`, with what else it is told; none without a URL."""
    prefix = _oidc_prefix(name)
    url = text(f"{prefix}_URL", "", "the issuer, below which `/.well-known/openid-configuration` lies").rstrip("/")
    has_trusted_mails = switch(
        f"{prefix}_TRUST_EMAIL", False, "its addresses count as verified, and lead into the account that has the same"
    )
    settings = {
        "server_url": url,
        "groups_claim": text(f"{prefix}_GROUPS_CLAIM", "groups", "the claim with the groups that fill teams"),
        "sign_up": switch(f"{prefix}_SIGN_UP", True, "whoever it signs in gets an account; else as `HUB_SIGN_UP` says"),
        "verified_email": has_trusted_mails,
        "email_authentication": has_trusted_mails,
    }
    title = text(f"{prefix}_TITLE", name, "what the button says", shown="the name")
    found = client(prefix, "the client registered there", provider_id=name, name=title, settings=settings)
    return found if url else []


def oidc_clients(names: list[str]) -> list[dict[str, Any]]:
    """The clients at all providers that HUB_OIDC_PROVIDERS names."""
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
