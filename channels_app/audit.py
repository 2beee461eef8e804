"""The record of who changed what. Call it inside the transaction of the change."""

from typing import Any

from django.db import transaction

from channels_app.mails import MAILS
from channels_app.models import ApiKey, AuditEvent, Channel, User
from hub.celery import send


def record(
    action: str,
    *,
    target: str,
    actor: User | None = None,
    key: ApiKey | None = None,
    channel: Channel | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    if key and actor is None:
        # Of a minted key nothing else will be left in a day.
        detail = {**(detail or {}), "by": key.name}
    event = AuditEvent.objects.create(
        action=action, target=target, actor=actor, key=key, channel=channel, detail=detail or {}
    )
    if action in MAILS:
        transaction.on_commit(lambda: send("channels_app.tasks.tell", event.pk))
    return event
