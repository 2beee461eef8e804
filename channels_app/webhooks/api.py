"""`/api/v1/channels/{channel}/webhooks`: webhooks and their deliveries."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.models import Webhook, WebhookDelivery
from channels_app.rest.bodies import Body, UserName
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request
from channels_app.webhooks import queries, webhooks

router = Router(tags=["Webhooks"])


class WebhookState(Schema):
    """A webhook and its state."""

    id: int
    url: str
    events: list[str]
    is_active: bool = Field(description="False: no events are queued or sent.")
    created_at: datetime
    created_by: UserName
    failures: int = Field(description="Failed attempts since the last success.")
    failing_since: datetime | None
    pending_count: int = Field(description="Deliveries that wait for an attempt.")


class NewWebhook(Body):
    """A webhook to add."""

    url: str = Field(max_length=webhooks.URL_MAX_CHARACTERS)
    events: list[str] = Field(max_length=50)


class AddedWebhook(WebhookState):
    """A new webhook with its secret, which no later response shows."""

    secret: str


class WebhookChange(Body):
    """Values to change. A value that is left out or null stays as it is."""

    url: str | None = Field(None, max_length=webhooks.URL_MAX_CHARACTERS)
    events: list[str] | None = Field(None, max_length=50)
    is_active: bool | None = None


class Delivery(Schema):
    """A delivery, with the answer to its last attempt."""

    id: int
    kind: str
    message_id: str = Field(description="The header `webhook-id`.")
    state: str = Field(description="`pending`, `delivered` or `failed`.")
    created_at: datetime
    attempts: int
    tried_at: datetime | None
    duration_ms: int | None
    answer_status: int | None
    answer_body: str = Field(description="The first kilobyte of the answer.")
    error: str
    body: str = Field(description="The body of the message.")


@router.get("/channels/{channel}/webhooks", response=list[WebhookState], url_name="webhooks")
@paginate(Pages, ordering=("id",))
def list_webhooks(request: Request, channel: str) -> QuerySet[Webhook]:
    return queries.of_channel(channel_for(request.auth, channel, Permission.MANAGE))


@router.post("/channels/{channel}/webhooks", response={201: AddedWebhook}, openapi_extra=SESSION_ONLY)
def add_webhook(request: Request, channel: str, new: NewWebhook, response: HttpResponse) -> Status[Any]:
    """Add a webhook. Only this response shows the secret."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    webhook, secret = webhooks.add(actor=request.auth, channel=found, url=new.url, events=new.events)
    response.headers["Location"] = f"{request.path}/{webhook.pk}"
    response.headers["Cache-Control"] = "no-store"
    added = queries.webhook_of(found, webhook.pk)
    added.secret = secret  # type: ignore[attr-defined]  # for this response only
    return Status(201, added)


@router.get("/channels/{channel}/webhooks/{int:webhook_id}", response=WebhookState, url_name="webhook")
def get_webhook(request: Request, channel: str, webhook_id: int) -> Webhook:
    return _webhook(request, channel, webhook_id)


@router.patch(
    "/channels/{channel}/webhooks/{int:webhook_id}", response=WebhookState, openapi_extra=IF_MATCH | SESSION_ONLY
)
def change_webhook(request: Request, channel: str, webhook_id: int, change: WebhookChange) -> Webhook:
    """Change the webhook, or switch it off or on."""
    webhook = _webhook(request, channel, webhook_id)
    with transaction.atomic():
        locked = lock_channel(request.auth, webhook.channel, Permission.MANAGE)
        check_match(request, WebhookState.from_orm(queries.webhook_of(locked, webhook_id)))
        webhooks.change(actor=request.auth, webhook=webhook, **change.model_dump(exclude_none=True))
    return queries.webhook_of(webhook.channel, webhook_id)


@router.delete("/channels/{channel}/webhooks/{int:webhook_id}", response={204: None})
def remove_webhook(request: Request, channel: str, webhook_id: int) -> Status[None]:
    """Remove the webhook with its deliveries."""
    webhooks.remove(actor=request.auth, webhook=_webhook(request, channel, webhook_id))
    return Status(204, None)


@router.post("/channels/{channel}/webhooks/{int:webhook_id}/test", response={202: Delivery}, url_name="webhook-test")
def send_test(request: Request, channel: str, webhook_id: int) -> Status[WebhookDelivery]:
    """Queue an event of the kind `webhook.test`."""
    return Status(202, webhooks.send_test(actor=request.auth, webhook=_webhook(request, channel, webhook_id)))


@router.get(
    "/channels/{channel}/webhooks/{int:webhook_id}/deliveries", response=list[Delivery], url_name="webhook-deliveries"
)
@paginate(Pages, ordering=("-id",))
def list_deliveries(request: Request, channel: str, webhook_id: int) -> QuerySet[WebhookDelivery]:
    """List the deliveries of the last 30 days, newest first."""
    return queries.deliveries_of(_webhook(request, channel, webhook_id))


@router.post(
    "/channels/{channel}/webhooks/{int:webhook_id}/deliveries/{int:delivery_id}/resend",
    response={202: Delivery},
    url_name="webhook-delivery-resend",
)
def resend(request: Request, channel: str, webhook_id: int, delivery_id: int) -> Status[WebhookDelivery]:
    """Send the message again with the same id; try a pending one now."""
    delivery = queries.delivery_of(_webhook(request, channel, webhook_id), delivery_id)
    return Status(202, webhooks.resend(actor=request.auth, delivery=delivery))


def _webhook(request: Request, channel: str, webhook_id: int) -> Webhook:
    return queries.webhook_of(channel_for(request.auth, channel, Permission.MANAGE), webhook_id)
