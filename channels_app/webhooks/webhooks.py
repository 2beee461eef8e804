"""Webhooks of a channel: adding, changing and removing them, tests, and repeated deliveries."""

from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_still_allowed
from channels_app.audit import log
from channels_app.models import Channel, DeliveryState, Webhook, WebhookDelivery
from channels_app.rate_limits import counters
from channels_app.webhooks import events, queue, signing
from hub.celery import wake
from hub.errors import conflict, forbidden, unprocessable

WEBHOOKS_MAX = 20
URL_MAX_CHARACTERS = 500


@transaction.atomic
def add(*, actor: Actor, channel: Channel, url: str, events: Iterable[str]) -> tuple[Webhook, str]:
    """Add a webhook for later events, and return it with its secret, which is shown only once."""
    locked = acts.lock_channel(Action.WEBHOOK_ADD, actor, channel)
    url, chosen = checked_url(url), checked_events(events)
    if locked.webhooks.count() >= WEBHOOKS_MAX:
        raise forbidden(
            "webhooks_limit", f"'{channel}' has {WEBHOOKS_MAX} webhooks, the most there may be. Remove one."
        )
    _check_unique(locked, url)
    secret = signing.new_secret()
    webhook = Webhook.objects.create(
        channel=locked, created_by=actor.user, encrypted_secret=signing.encrypt(secret), url=url, events=chosen
    )
    webhook.refresh_from_db()
    _record(Action.WEBHOOK_ADD, actor, webhook, fields={"events": ", ".join(webhook.events)})
    return webhook, secret


@transaction.atomic
def change(
    *,
    actor: Actor,
    webhook: Webhook,
    url: str | None = None,
    events: Iterable[str] | None = None,
    is_active: bool | None = None,
) -> Webhook:
    """Change some of the values. A webhook that is switched on gets later events; those in between are lost."""
    channel = acts.lock_channel(Action.WEBHOOK_CHANGE, actor, webhook.channel)
    locked = Webhook.objects.select_for_update(no_key=True).select_related("channel").get(pk=webhook.pk)
    wanted: dict[str, Any] = {
        "url": locked.url if url is None else checked_url(url),
        "events": locked.events if events is None else checked_events(events),
        "is_active": locked.is_active if is_active is None else is_active,
    }
    changes = {
        name: {"from": _in_words(name, getattr(locked, name)), "to": _in_words(name, value)}
        for name, value in wanted.items()
        if getattr(locked, name) != value
    }
    if not changes:
        return locked
    if "url" in changes:
        _check_unique(channel, wanted["url"])
    _apply(locked, wanted, changes)
    _record(Action.WEBHOOK_CHANGE, actor, locked, changes=changes)
    return locked


def _apply(webhook: Webhook, wanted: dict[str, Any], changes: dict[str, Any]) -> None:
    restarted: dict[str, Any] = {}
    if "url" in changes or "is_active" in changes:
        restarted = {"failures": 0, "failing_since": None, "due_at": timezone.now(), "is_slow": False}
    if "is_active" in changes and wanted["is_active"]:
        restarted["events_since"] = Now()
    if not wanted["is_active"]:
        give_up_pending(webhook, "The webhook was switched off.")
    Webhook.objects.filter(pk=webhook.pk).update(**wanted, **restarted)
    webhook.refresh_from_db()


@transaction.atomic
def remove(*, actor: Actor, webhook: Webhook) -> None:
    acts.lock_channel(Action.WEBHOOK_REMOVE, actor, webhook.channel)
    _record(Action.WEBHOOK_REMOVE, actor, webhook, fields={"events": ", ".join(webhook.events)})
    webhook.delete()


@transaction.atomic
def switch_off(webhook: Webhook, reason: str) -> None:
    """Switch a failing webhook off, and notify the owners of its channel."""
    Webhook.objects.filter(pk=webhook.pk).update(is_active=False)
    give_up_pending(webhook, reason)
    _record(Action.WEBHOOK_SWITCH_OFF, Actor(), webhook, reason=reason)


def give_up_pending(webhook: Webhook, reason: str) -> None:
    webhook.deliveries.filter(state=DeliveryState.PENDING).update(state=DeliveryState.FAILED, error=reason)


@transaction.atomic
def send_test(*, actor: Actor, webhook: Webhook) -> WebhookDelivery:
    """Queue an event of the kind `webhook.test`."""
    _check_may_send(actor, webhook)
    test = queue.delivery(webhook, events.TEST, timezone.now(), {"channel": webhook.channel.name})
    return _send(test)


@transaction.atomic
def resend(*, actor: Actor, delivery: WebhookDelivery) -> WebhookDelivery:
    """Queue the same message again, with the same id; try a pending one now."""
    _check_may_send(actor, delivery.webhook)
    if delivery.state == DeliveryState.PENDING:
        return _send(delivery)
    again = WebhookDelivery(
        webhook=delivery.webhook, kind=delivery.kind, message_id=delivery.message_id, body=delivery.body
    )
    return _send(again)


def _check_may_send(actor: Actor, webhook: Webhook) -> None:
    check_still_allowed(actor, webhook.channel, Permission.MANAGE)
    if not webhook.is_active:
        raise conflict("webhook_off", "The webhook is switched off. Switch it on first.")
    counters.hit("webhook-by-channel", f"channel {webhook.channel_id}", "tests and repeated deliveries of this channel")


def _send(delivery: WebhookDelivery) -> WebhookDelivery:
    if delivery.pk is None:
        delivery.save()
        delivery.refresh_from_db()
    Webhook.objects.filter(pk=delivery.webhook_id).update(due_at=timezone.now())
    transaction.on_commit(partial(wake, queue.WAKE_UP))
    transaction.on_commit(partial(wake, queue.RETRY))
    return delivery


def checked_url(url: str) -> str:
    """Return the URL. Raise HubError 422 unless it is https, or http of a host in HUB_INTERNAL_HOSTS."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or len(url) > URL_MAX_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
        raise unprocessable("bad_url", "Expected a URL such as https://ci.example.org/hook, of printable ASCII.")
    is_internal = parts.netloc.lower() in settings.HUB_INTERNAL_HOSTS
    if parts.scheme != "https" and not (is_internal and parts.scheme == "http"):
        raise unprocessable("bad_url", "Expected https://; http:// is only for hosts in HUB_INTERNAL_HOSTS.")
    if "@" in parts.netloc or parts.fragment:
        raise unprocessable("bad_url", "Expected a URL without a password and without a fragment.")
    return url


def checked_events(kinds: Iterable[str]) -> list[str]:
    """Return the kinds in the order of KINDS. Raise HubError 422 for an unknown one, or if there is none."""
    chosen = set(kinds)
    unknown = ", ".join(f"'{name}'" for name in sorted(chosen - events.KINDS.keys()))
    if unknown or not chosen:
        expected = f"expected one or more of: {', '.join(events.KINDS)}."
        raise unprocessable("bad_events", f"Found {unknown or 'no events'}; {expected}")
    return [name for name in events.KINDS if name in chosen]


def _check_unique(channel: Channel, url: str) -> None:
    if channel.webhooks.filter(url=url).exists():
        raise conflict("webhook_exists", "The channel has a webhook with this URL already. Change that one.")


def _in_words(name: str, value: Any) -> str:
    """Describe a value for the audit log. A URL may hold a secret, so only its host is logged."""
    if name == "url":
        return str(urlsplit(value).netloc)
    return ", ".join(value) if name == "events" else "on" if value else "off"


def _record(action: Action, actor: Actor, webhook: Webhook, **detail: Any) -> None:
    log.record(action, by=actor, channel=webhook.channel, target=urlsplit(webhook.url).netloc, detail=detail)
