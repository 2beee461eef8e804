"""The page of a channel's rules for promotions."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Permission, page_channel
from channels_app.authentication import actors
from channels_app.ui.form_errors import shown_in
from channels_app.ui.settings_page import page
from hub.errors import HubError
from publishing.promotion import rules
from publishing.promotion.forms import RuleForm


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the rules; add, change or remove one. `?edit=` names the source of the one to change."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    listed = list(shown.promotion_rules.all())
    action = request.POST.get("action", "")
    if action == "remove":
        try:
            rules.remove(actor=actor, channel=shown, source=request.POST.get("source", ""))
            messages.success(request, "The rule is removed.")
        except HubError as error:
            messages.error(request, error.detail)
        return redirect(request.path)
    edited = next((rule for rule in listed if rule.source == request.GET.get("edit")), None)
    form = RuleForm(edited, request.POST if action == "save" else None)
    if form.is_valid():
        with shown_in(form, "source"):
            rules.save(actor=actor, channel=shown, **form.cleaned_data)
            messages.success(request, "The rule is saved and applies from the next promotion.")
            return redirect(request.path)
    return page(request, shown, "promotion-rules", listed=listed, form=form, edited=edited)
