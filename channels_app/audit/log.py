"""The audit log. Record an event in the transaction of its change."""

from collections.abc import Mapping
from typing import Any

from channels_app.access.actions import Action
from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.audit import descriptions, notifications, outbox
from channels_app.models import AuditEvent, Channel


def record(
    action: Action,
    *,
    target: str,
    by: Actor = ANONYMOUS,
    channel: Channel | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Record an event; without `by`, the actor is the hub itself.

    The recipients in notifications.MAILS are notified after the commit.
    """
    event = AuditEvent.objects.create(
        action=action,
        target=target,
        actor=by.user,
        key=by.key,
        channel=channel,
        detail=_by_detail(by) | (detail or {}),
    )
    if action in notifications.MAILS:
        outbox.put(notifications.TELL, event.pk, lane=notifications.EVENTS)
    return event


def record_each(
    action: Action, *, channel: Channel, targets: Mapping[str, dict[str, Any]], by: Actor = ANONYMOUS
) -> None:
    """Record an event for each of `targets`, with its detail.

    Recipients get one mail, about the first event; its detail `more` is the number of the others.
    """
    events = [
        AuditEvent(
            action=action,
            target=target,
            actor=by.user,
            key=by.key,
            channel=channel,
            detail=_by_detail(by) | detail,
        )
        for target, detail in targets.items()
    ]
    is_mailed = action in notifications.MAILS
    if is_mailed and len(events) > 1:
        events[0].detail["more"] = len(events) - 1
    AuditEvent.objects.bulk_create(events)
    if is_mailed and events:
        outbox.put(notifications.TELL, events[0].pk, lane=notifications.EVENTS)


def _by_detail(by: Actor) -> dict[str, str]:
    """Return details that still identify the actor after its account, its short-lived token or its application is gone.

    Callers may name another actor that has no account, such as a command.
    """
    if by == ANONYMOUS:
        return {"by": descriptions.HUB}
    if by.key and by.user is None:
        return {"by": by.key.name}
    return {"application": by.token.client.name} if by.token and by.token.client else {}
