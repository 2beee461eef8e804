"""The app configuration: registers the known OAuth applications and the checks of settings."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Error, register
from django.db.models.signals import post_migrate

from hub.starting import SETTINGS


class ChannelsConfig(AppConfig):
    name = "channels_app"

    def ready(self) -> None:
        # Connects signal receivers, registers checks and lookups.
        import channels_app.accounts.events  # noqa: F401
        from channels_app.accounts.oauth.clients import add_known_clients  # models are loaded now
        from hub import database, deployment, sqlite_times  # noqa: F401

        post_migrate.connect(add_known_clients, sender=self)


@register(SETTINGS)
def check_oidc_key(**_: Any) -> list[Error]:
    try:
        key = load_pem_private_key(settings.IDP_OIDC_PRIVATE_KEY.encode(), password=None)
    except (TypeError, ValueError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        text = (
            "HUB_OIDC_PRIVATE_KEY is not a readable private key; expected an RSA key in PEM format without a password."
        )
        return [Error(text, id="hub.E004")]
    return []
