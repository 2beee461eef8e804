"""App configuration: the built-in issuers, and the checks of settings."""

from dataclasses import fields
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Error, register
from django.db.models.signals import post_migrate

from hub.starting import SETTINGS
from publishing.archive.reader import Limits
from publishing.id_tokens.providers import PROVIDERS


class PublishingConfig(AppConfig):
    name = "publishing"

    def ready(self) -> None:
        post_migrate.connect(add_known_issuers, sender=self)
        post_migrate.connect(encrypt_upstream_credentials, sender=self)


def add_known_issuers(**_: Any) -> None:
    """Create the missing rows of built-in issuers after each `migrate`. Disabled issuers stay disabled."""
    from publishing.models import Issuer

    for provider in PROVIDERS.values():
        if provider.issuer:
            values = {"provider": provider.name, "key_hosts": list(provider.key_hosts)}
            Issuer.objects.get_or_create(url=provider.issuer, defaults=values)


def encrypt_upstream_credentials(**_: Any) -> None:
    """Encrypt the credentials of upstreams with the current SECRET_KEY. The page of a channel shows unreadable ones."""
    from publishing.upstreams import credentials

    credentials.encrypt_all()


@register(SETTINGS)
def check_package_limits(**_: Any) -> list[Error]:
    known = [field.name for field in fields(Limits) if field.name != "compressed_bytes"]
    unknown = sorted(set(settings.HUB_PACKAGE_LIMITS) - set(known))
    if not unknown:
        return []
    return [
        Error(f"HUB_PACKAGE_LIMITS names {', '.join(unknown)}; expected some of: {', '.join(known)}.", id="hub.E001")
    ]


@register(SETTINGS)
def check_trust_root(**_: Any) -> list[Error]:
    if not settings.HUB_TRUST_ROOT:
        return []
    from sigstore.errors import Error as SigstoreError  # slow to import, and needed only for this setting
    from sigstore.models import TrustedRoot

    path: str = settings.HUB_TRUST_ROOT
    try:
        TrustedRoot.from_file(path)
    except (OSError, ValueError, SigstoreError) as error:
        return [Error(f"HUB_TRUST_ROOT is {path!r}, which is no readable trusted_root.json: {error}", id="hub.E003")]
    return []
