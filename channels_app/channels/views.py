"""The list of channels, and the page for a new one."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from channels_app.authentication import actors
from channels_app.channels import channels, queries
from channels_app.channels.forms import ChannelForm
from channels_app.models import ChannelKind
from channels_app.ui.form_errors import shown_in

CHANNELS_A_PAGE = 24


def listing(request: HttpRequest) -> HttpResponse:
    """List the user's channels, or with `?show=all` all visible ones; `q` searches them."""
    actor = actors.actor(request)
    mine = actor.user is not None and request.GET.get("show") != "all"
    text = request.GET.get("q", "").replace("\0", "").strip()
    found = queries.channel_cards(actor, mine=mine, text=text)
    context = {
        "page": Paginator(found, CHANNELS_A_PAGE).get_page(request.GET.get("page")),
        "mine": mine,
        "text": text,
        "mine_count": queries.channel_cards(actor, mine=True).count() if actor.user else 0,
        "deleted": queries.deleted_channels(actor) if mine else [],
        "all_count": queries.channel_cards(actor).count(),
    }
    return render(request, "channels/list.html", context)


@login_required
def new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new channel. The user becomes its owner."""
    form = ChannelForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with shown_in(form, "name"):
            channel = channels.create(owner=actors.person(request), **form.cleaned_data)
            messages.success(request, f"Channel {channel} created. You are its owner.")
            return redirect("channel-virtual" if channel.kind == ChannelKind.VIRTUAL else "channel", channel.name)
    return render(request, "channels/new.html", {"form": form, "host": urlsplit(settings.HUB_PUBLIC_URL).netloc})
