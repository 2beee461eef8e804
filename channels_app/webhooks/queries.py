"""Reads of webhooks and their deliveries."""

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from channels_app.models import Channel, DeliveryState, Webhook, WebhookDelivery
from hub.errors import not_found


def of_channel(channel: Channel) -> QuerySet[Webhook]:
    """Select the webhooks of a channel, with `pending_count` and the state of the last tried delivery as `last`."""
    tried = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), tried_at__isnull=False).order_by("-tried_at", "-pk")
    pending = Count("deliveries", filter=Q(deliveries__state=DeliveryState.PENDING))
    return (
        channel.webhooks.select_related("channel", "created_by")
        .annotate(pending_count=pending, last=Subquery(tried.values("state")[:1]))
        .order_by("pk")
    )


def webhook_of(channel: Channel, webhook_id: int) -> Webhook:
    """Return a webhook of the channel. Raise HubError 404 if it has none with this id."""
    webhook = of_channel(channel).filter(pk=webhook_id).first()
    if webhook is None:
        raise not_found("no_such_webhook", f"'{channel}' has no webhook {webhook_id} (any more).")
    return webhook


def delivery_of(webhook: Webhook, delivery_id: int) -> WebhookDelivery:
    """Return a delivery of the webhook. Raise HubError 404 if it has none with this id."""
    delivery = deliveries_of(webhook).select_related("webhook__channel").filter(pk=delivery_id).first()
    if delivery is None:
        raise not_found("no_such_delivery", f"The webhook has no delivery {delivery_id} (any more).")
    return delivery


def deliveries_of(webhook: Webhook) -> QuerySet[WebhookDelivery]:
    """Select the deliveries of the last 30 days, newest first."""
    return webhook.deliveries.order_by("-pk")
