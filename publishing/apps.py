"""The app, and the check of its one setting that names things of its own."""

from dataclasses import fields
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Error, register

from publishing.package import Limits


class PublishingConfig(AppConfig):
    name = "publishing"


@register
def check_package_limits(**_: Any) -> list[Error]:
    known = [field.name for field in fields(Limits) if field.name != "compressed_bytes"]
    unknown = sorted(set(settings.HUB_PACKAGE_LIMITS) - set(known))
    if not unknown:
        return []
    return [
        Error(f"HUB_PACKAGE_LIMITS names {', '.join(unknown)}; expected some of: {', '.join(known)}.", id="hub.E001")
    ]
