"""Reads of the audit log."""

from datetime import datetime

from django.db.models import Q, QuerySet

from channels_app.audit.descriptions import HUB_KINDS
from channels_app.models import AuditEvent, Channel, User


def of_channel(channel: Channel) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(channel=channel)


def of_account(user: User) -> QuerySet[AuditEvent]:
    """Return the events of the account itself. The user's actions in a channel belong to the channel."""
    return AuditEvent.objects.filter(actor=user, channel=None)


def of_hub() -> QuerySet[AuditEvent]:
    """Return the events of all channels and accounts; for administrators."""
    return AuditEvent.objects.all()


def filtered(
    events: QuerySet[AuditEvent], *, kind: str = "", since: datetime | None = None, until: datetime | None = None
) -> QuerySet[AuditEvent]:
    """Return the events of `kind` from `since` until before `until`, newest first, with actor, key and channel."""
    _, prefixes = HUB_KINDS[kind]
    matches = Q()
    for prefix in prefixes:
        matches |= Q(action__startswith=prefix)
    if since:
        matches &= Q(created_at__gte=since)
    if until:
        matches &= Q(created_at__lt=until)
    return events.filter(matches).select_related("actor", "key", "channel").defer("channel__logo")
