"""The pages of the notices of a channel, and of the hub."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import Channel
from channels_app.ui.form_errors import shown_in
from channels_app.ui.ids import found_or_404
from channels_app.ui.settings_page import page
from hub.errors import HubError
from publishing.models import ChannelNotice
from publishing.notices import notices, queries
from publishing.notices.forms import HubNoticeForm, NoticeForm

ADDED = "The notice is saved. Clients get it with the next build of the index, within a minute."
CHANGED = "The notice is changed. Clients that have the former one show it until it expires."
REMOVED = "The notice is removed. Clients that have it show it until it expires."


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the channel's notices; add, preview, change and remove one. `?edit=` names the one to change."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    found = _edited(request, actor, shown, NoticeForm)
    return found if isinstance(found, HttpResponse) else page(request, shown, "notices", **found)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def of_hub(request: HttpRequest) -> HttpResponse:
    """Show the same for the notices of the hub. Answer 404 to users without administrator rights."""
    user = actors.person(request)
    if not user.is_superuser:
        raise Http404
    found = _edited(request, Actor(user=user), None, HubNoticeForm)
    return found if isinstance(found, HttpResponse) else render(request, "notices/hub.html", found)


def _edited(
    request: HttpRequest, actor: Actor, channel: Channel | None, form_class: type[NoticeForm]
) -> HttpResponse | dict[str, Any]:
    """Apply the posted action, and return a redirect. Return the context of the page without such an action."""
    edited = _notice(channel, request.GET["edit"]) if "edit" in request.GET else None
    action = request.POST.get("action", "") if request.method == "POST" else ""
    if action == "remove":
        return _remove(request, actor, channel)
    form = form_class(edited, request.POST if action in ("save", "preview") else None)
    if form.is_valid() and action == "save":
        with shown_in(form):
            if edited:
                notices.change(actor=actor, notice=edited, **form.arguments())
            else:
                notices.add(actor=actor, channel=channel, **form.arguments())
            messages.success(request, CHANGED if edited else ADDED)
            return redirect(request.path)
    preview = form.arguments() | {"created_at": timezone.now()} if form.is_bound and form.is_valid() else None
    return {"form": form, "edited": edited, "preview": preview, "listed": list(queries.current(channel))}


def _remove(request: HttpRequest, actor: Actor, channel: Channel | None) -> HttpResponse:
    try:
        notices.remove(actor=actor, notice=_notice(channel, request.POST.get("notice", "")))
        messages.success(request, REMOVED)
    except HubError as error:
        messages.error(request, error.detail)
    return redirect(request.path)


def _notice(channel: Channel | None, number: str) -> ChannelNotice:
    return found_or_404(partial(queries.notice_of, channel), number)
