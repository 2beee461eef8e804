"""The record of who changed what. Call it inside the transaction of the change."""

from collections.abc import Mapping
from typing import Any

from channels_app.access.actions import Action
from channels_app.access.permissions import ANYONE, Actor
from channels_app.audit import notifications, outbox
from channels_app.models import AuditEvent, Channel


def record(
    action: Action,
    *,
    target: str,
    by: Actor = ANYONE,
    channel: Channel | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """An event; without `by` it was the hub itself. Whom mails.MAILS names for the action is told after the commit."""
    event = AuditEvent.objects.create(
        action=action,
        target=target,
        actor=by.user,
        key=by.key,
        channel=channel,
        detail={**(detail or {}), **_means(by)},
    )
    if action in notifications.MAILS:
        outbox.put(notifications.TELL, event.pk, lane=notifications.EVENTS)
    return event


def record_each(action: Action, *, channel: Channel, targets: Mapping[str, dict[str, Any]]) -> None:
    """An event of the hub itself for each of `targets`, with its detail. Nobody is told by mail."""
    AuditEvent.objects.bulk_create(
        AuditEvent(action=action, channel=channel, target=target, detail=detail) for target, detail in targets.items()
    )


def _means(by: Actor) -> dict[str, str]:
    """What else will tell, when a minted key or an application's token is long gone, who it was."""
    if by.key and by.user is None:
        return {"by": by.key.name}
    return {"application": by.token.client.name} if by.token and by.token.client else {}
