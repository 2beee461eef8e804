"""Audit events of trusted publishers."""

from typing import Any

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import TrustedPublisher


def record(action: Action, actor: Actor, publisher: TrustedPublisher, **detail: Any) -> None:
    log.record(
        action,
        by=actor,
        channel=publisher.channel,
        target=target(publisher),
        detail={"channel": str(publisher.channel or publisher.channel_name), "fields": publisher.fields, **detail},
    )


def rights(publisher: TrustedPublisher) -> dict[str, Any]:
    """Return the rights of a publisher for its event: the current ones, or those before its removal."""
    return {"upload": publisher.may_upload, "read": publisher.may_read, "package_globs": publisher.package_globs}


def target(publisher: TrustedPublisher) -> str:
    return f"{PROVIDERS[publisher.issuer.provider].title}: {publisher.subject or publisher.issuer}"[:300]
