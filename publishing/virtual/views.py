"""The page of the members and rules of a virtual channel."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import ChannelKind
from channels_app.ui.form_errors import shown_in
from channels_app.ui.settings_page import page
from publishing.virtual import queries, virtual
from publishing.virtual.forms import VirtualForm

FIELDS = {"bad_rule": "rules", "too_many_rules": "rules", "bad_member": "members", "too_many_members": "members"}
SAVED = "The member channels and rules are saved. Clients see them with the next builds of the index."


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the members and rules, preview a change of them, and save it."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    if shown.kind != ChannelKind.VIRTUAL:
        raise Http404
    form = VirtualForm(virtual.stated(shown), request.POST if request.method == "POST" else None)
    preview = None
    if form.is_valid():
        with shown_in(form, fields=FIELDS):
            if request.POST.get("action") == "save":
                virtual.change(actor=actor, channel=shown, wanted=form.wanted())
                messages.success(request, SAVED)
                return redirect("channel-virtual", shown.name)
            preview = virtual.preview(actor=actor, channel=shown, wanted=form.wanted())
    return page(request, shown, "virtual", form=form, preview=preview, members=queries.members(shown))
