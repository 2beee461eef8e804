"""The record of who changed what. Call it inside the transaction of the change."""

from typing import Any

from channels_app.models import ApiKey, AuditEvent, Channel, User


def record(
    action: str,
    *,
    target: str,
    actor: User | None = None,
    key: ApiKey | None = None,
    channel: Channel | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    return AuditEvent.objects.create(
        action=action, target=target, actor=actor, key=key, channel=channel, detail=detail or {}
    )
