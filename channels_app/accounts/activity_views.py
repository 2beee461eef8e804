"""The page of an account's own activity: sign-ins, keys, applications, and other events without a channel."""

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from channels_app.activity import queries
from channels_app.audit import descriptions
from channels_app.authentication import actors

EVENTS_A_PAGE = 50


@require_safe
@login_required
def account_activity(request: HttpRequest) -> HttpResponse:
    """Show the events of the account, newest first."""
    found = queries.filtered(queries.of_account(actors.person(request)))
    events = Paginator(found, EVENTS_A_PAGE).get_page(request.GET.get("page"))
    context = {"events": events, "entries": [(descriptions.entry(event), None) for event in events]}
    return render(request, "account/activity.html", context)
