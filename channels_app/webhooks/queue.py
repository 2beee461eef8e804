"""The queue of each webhook: one delivery per event, in the order of events.

Jobs read the audit log; requests write nothing here. An event becomes visible at its commit, which may follow that of a
later event. So a job reads the events of the last hours again, and a constraint keeps each from being queued twice.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.models import AuditEvent, Channel, DeliveryState, Webhook, WebhookDelivery
from channels_app.webhooks import events
from hub.celery import wake

WAKE_UP = "channels_app.tasks.deliver_webhooks"
RETRY = "channels_app.tasks.retry_webhooks"
# Longer than any transaction that records an event.
COMMIT_MAX = timedelta(hours=1)
AT_ONCE = 500
# Later events wait in the audit log, so that slow receivers don't fill the database.
WAITING_MAX = 10_000
KEPT = timedelta(days=30)
RETRY_AFTER_ERROR = timedelta(hours=4)

logger = logging.getLogger(__name__)


def active() -> QuerySet[Webhook]:
    return Webhook.objects.filter(is_active=True, channel__deleted_at=None)


def queue_new_events() -> None:
    """Queue the new events of all channels."""
    recent = AuditEvent.objects.filter(channel=OuterRef("channel"), created_at__gte=OuterRef("events_since"))
    for webhook in active().filter(Exists(recent)).select_related("channel"):
        with postponed_on_error(webhook):
            queue_events(webhook)


@contextmanager
def postponed_on_error(webhook: Webhook) -> Iterator[None]:
    """Log an unforeseen error and try the webhook again after four hours, so that the others have their turn."""
    try:
        yield
    except Exception:
        logger.exception("The webhook %s is postponed after an unforeseen error.", webhook.pk)
        due_at = timezone.now() + RETRY_AFTER_ERROR
        Webhook.objects.filter(pk=webhook.pk).update(failures=F("failures") + 1, due_at=due_at)


def queue_events(webhook: Webhook) -> None:
    """Queue the new events of the webhook's channel, up to about WAITING_MAX waiting deliveries."""
    last = 0
    while found := _new_events(webhook, after=last):
        if _is_full(webhook):
            return
        put(webhook, found)
        if len(found) < AT_ONCE:
            break
        last = found[-1].pk
    # The clock is that of the database, which also sets the times of events.
    before = Now() - COMMIT_MAX
    outdated = Webhook.objects.filter(pk=webhook.pk, events_since__lt=Now() - 2 * COMMIT_MAX)
    outdated.update(events_since=before)


def _is_full(webhook: Webhook) -> bool:
    return webhook.deliveries.filter(state=DeliveryState.PENDING)[WAITING_MAX - 1 : WAITING_MAX].exists()


def _new_events(webhook: Webhook, *, after: int) -> list[AuditEvent]:
    of_kinds = AuditEvent.objects.filter(
        pk__gt=after,
        channel=webhook.channel,
        action__in=events.actions_of(webhook.events),
        created_at__gte=webhook.events_since,
    )
    queued = WebhookDelivery.objects.filter(webhook=webhook, event=OuterRef("pk"))
    return list(of_kinds.filter(~Exists(queued)).order_by("pk")[:AT_ONCE])


def put(webhook: Webhook, found: list[AuditEvent]) -> None:
    """Queue these events of the audit log, unless another job did."""
    data = events.data_of_events(webhook.channel, found)
    WebhookDelivery.objects.bulk_create(
        (
            delivery(webhook, events.KIND_OF[Action(event.action)], event.created_at, values, event=event)
            for event, values in zip(found, data, strict=True)
        ),
        ignore_conflicts=True,
    )


def queue_events_of(channel: Channel) -> list[Webhook]:
    """Queue the new events of a channel, and return its active webhooks."""
    webhooks = list(active().filter(channel=channel).select_related("channel"))
    for webhook in webhooks:
        queue_events(webhook)
    return webhooks


def queue_build(channel: Channel, subdir: str, label: str, build_number: int) -> None:
    """Queue a build of an index, in its transaction, after the events before it.

    Call queue_events_of() before the transaction: thousands of events, such as those of an import, would block uploads.
    """
    webhooks = queue_events_of(channel)
    for webhook in webhooks:
        if events.INDEX_BUILT in webhook.events:
            data = {"channel": channel.name, "subdir": subdir, "label": label, "build": build_number}
            delivery(webhook, events.INDEX_BUILT, timezone.now(), data).save()
    if webhooks:
        transaction.on_commit(partial(wake, WAKE_UP))


def delivery(webhook: Webhook, kind: str, at: Any, data: dict[str, Any], **values: Any) -> WebhookDelivery:
    """Return a new delivery that is not saved yet."""
    return WebhookDelivery(
        webhook=webhook,
        kind=kind,
        message_id=f"msg_{secrets.token_hex(16)}",
        body=events.message(kind, at, data),
        **values,
    )


def delete_old() -> int:
    """Delete the deliveries that are older than 30 days, and return their number."""
    return WebhookDelivery.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
