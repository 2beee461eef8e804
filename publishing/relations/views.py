"""The page of a channel's relations."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Permission, page_channel
from channels_app.authentication import actors
from channels_app.ui.form_errors import shown_in
from channels_app.ui.settings_page import page, sent
from publishing.relations import relations
from publishing.relations.forms import RelationsForm

SAVED = "The related channels are saved. Clients see them with the next build of the index, within a minute."


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the base and the overridden channel, and change them."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    stored = relations.of(shown)
    form = RelationsForm(stored, sent(request))
    if form.is_valid():
        with shown_in(form):
            relations.change(actor=actor, channel=shown, **form.cleaned_data)
            messages.success(request, SAVED)
            return redirect("channel-relations", shown.name)
    problem = relations.problem_of(stored, relations.graph()) if stored.pk and not form.is_bound else ""
    return page(request, shown, "relations", form=form, stored=stored, problem=problem)
