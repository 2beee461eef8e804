"""Clients registered on every hub: pixi, rattler and rattler-build share one, `rattler`."""

from typing import Any

from allauth.idp.oidc.models import Client

from channels_app.accounts.oauth.scopes import WORDS

RATTLER = "rattler"


def add_known_clients(**_: Any) -> None:
    """Create the client after a `migrate` unless it exists: its row keeps an administrator's changes."""
    if Client.objects.filter(id=RATTLER).exists():
        return  # hashing the secret of a new client takes a fifth of the hub's start
    rattler = Client(
        id=RATTLER,
        name="pixi / rattler",
        type=Client.Type.PUBLIC,
        response_types="code",
        # Any port matches, as RFC 8252 (section 7.3) requires for loopback addresses.
        redirect_uris="http://127.0.0.1\nhttp://[::1]",
        grant_types="\n".join(
            [Client.GrantType.AUTHORIZATION_CODE, Client.GrantType.DEVICE_CODE, Client.GrantType.REFRESH_TOKEN]
        ),
        scopes="\n".join(WORDS),
        default_scopes="\n".join(WORDS),
    )
    Client.objects.bulk_create([rattler], ignore_conflicts=True)
