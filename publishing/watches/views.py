"""The page of a channel's watch."""

from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel, permissions
from channels_app.authentication import actors
from channels_app.models import Channel, ChannelKind
from channels_app.ui.settings_page import page
from hub.errors import HubError
from publishing.models import Watch
from publishing.watches import watches

REFUSED_A_PAGE = 100
ACTS: dict[str, tuple[Permission, Callable[..., object], str]] = {
    "start": (Permission.OWN, watches.start, "The watch is on. The first files appear within a minute."),
    "stop": (Permission.OWN, watches.stop, "The watch is off. Files that it took in stay."),
    "retry": (Permission.MANAGE, watches.retry, "The refused files are checked again within a minute."),
}


@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the watch with its refused files; turn it on or off, or check the refused files again."""
    actor = actors.actor(request)
    action = request.POST.get("action", "")
    shown = page_channel(actor, channel, ACTS[action][0] if action in ACTS else Permission.MANAGE)
    if action in ACTS:
        return _act(request, actor, shown, action)
    watch = Watch.objects.select_related("created_by").filter(channel=shown).first()
    refused = Paginator(watch.refused.all(), REFUSED_A_PAGE).get_page(request.GET.get("page")) if watch else None
    may_change = Permission.OWN in permissions(actor, shown)
    has_packages = shown.kind == ChannelKind.PACKAGES
    return page(request, shown, "watch", watch=watch, refused=refused, may_change=may_change, has_packages=has_packages)


def _act(request: HttpRequest, actor: Actor, channel: Channel, action: str) -> HttpResponse:
    _, act, done = ACTS[action]
    try:
        act(actor=actor, channel=channel)
        messages.success(request, done)
    except HubError as error:
        messages.error(request, error.detail)
    return redirect("channel-watch", channel.name)
