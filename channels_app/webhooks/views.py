"""The pages of a channel's webhooks. The secret of a new one is shown in one response only."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import Webhook
from channels_app.ui.form_errors import shown_in
from channels_app.ui.ids import stated_id
from channels_app.ui.settings_page import page, sent
from channels_app.webhooks import queries, webhooks
from channels_app.webhooks.forms import FIELD_OF, WebhookForm
from hub.errors import HubError

DELIVERIES_A_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the channel's webhooks, and add one."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    form, made = WebhookForm(None, sent(request)), None
    if form.is_valid():
        with shown_in(form, fields=FIELD_OF):
            made = webhooks.add(actor=actor, channel=shown, **form.cleaned_data)
            form = WebhookForm()
    context = {"form": form, "made": made and {"webhook": made[0], "secret": made[1]}}
    response = page(request, shown, "webhooks", listed=list(queries.of_channel(shown)), **context)
    patch_cache_control(response, no_store=True, private=True)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, channel: str, webhook_id: int) -> HttpResponse:
    """Show a webhook with its deliveries, newest first. `action` tells which form was sent.

    `?remove` asks for confirmation.
    """
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    try:
        webhook = queries.webhook_of(shown, webhook_id)
    except HubError:
        raise Http404 from None
    action = request.POST.get("action", "") if request.method == "POST" else ""
    form = WebhookForm(webhook, sent(request, "change"))
    if form.is_valid():
        with shown_in(form, fields=FIELD_OF):
            webhooks.change(actor=actor, webhook=webhook, **form.cleaned_data)
            return _done(request, webhook, "The webhook is saved.")
    elif action and action != "change":
        return _act(request, actor, webhook, action)
    deliveries = Paginator(queries.deliveries_of(webhook), DELIVERIES_A_PAGE).get_page(request.GET.get("page"))
    is_asked = "remove" in request.GET
    return page(request, shown, "webhook", webhook=webhook, form=form, deliveries=deliveries, is_asked=is_asked)


def _act(request: HttpRequest, actor: Actor, webhook: Webhook, action: str) -> HttpResponse:
    try:
        match action:
            case "on" | "off":
                webhooks.change(actor=actor, webhook=webhook, is_active=action == "on")
                return _done(request, webhook, f"The webhook is switched {action}.")
            case "test":
                webhooks.send_test(actor=actor, webhook=webhook)
                return _done(request, webhook, "A test is queued. Reload the page to see its answer.")
            case "resend":
                delivery_id = request.POST.get("delivery", "")
                delivery = queries.delivery_of(webhook, stated_id(delivery_id))
                webhooks.resend(actor=actor, delivery=delivery)
                return _done(request, webhook, "The delivery is queued again. Reload the page to see its answer.")
            case "remove":
                webhooks.remove(actor=actor, webhook=webhook)
                messages.success(request, "The webhook is removed.")
                return redirect("channel-webhooks", webhook.channel.name)
    except HubError as error:
        messages.error(request, error.detail)
    return redirect("channel-webhook", webhook.channel.name, webhook.pk)


def _done(request: HttpRequest, webhook: Webhook, sentence: str) -> HttpResponse:
    messages.success(request, sentence)
    return redirect("channel-webhook", webhook.channel.name, webhook.pk)
