"""`/status/activity` for administrators: the activity of the whole hub."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from channels_app.activity import export, queries
from channels_app.audit import descriptions
from channels_app.audit.descriptions import HUB_KINDS, ActivityEntry
from channels_app.authentication import actors
from channels_app.models import AuditEvent

EVENTS_A_PAGE = 50
DAYS = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(9000, 1, 1))]


class FilterForm(forms.Form):
    """Filters of events. Both days are part of the period."""

    kind = forms.ChoiceField(required=False, choices=[(name, title) for name, (title, _) in HUB_KINDS.items()])
    since = forms.DateField(
        required=False, label="From", validators=DAYS, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )
    until = forms.DateField(
        required=False, label="To", validators=DAYS, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d")
    )

    def values(self) -> dict[str, Any]:
        """Return the arguments of queries.filtered(), without the values that are invalid."""
        self.is_valid()
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        return {
            "kind": self.cleaned_data.get("kind", ""),
            "since": since and _start(since),
            "until": until and _start(until + timedelta(days=1)),
        }


@require_safe
@login_required
def hub_activity(request: HttpRequest) -> HttpResponse:
    """Show the events of all channels and accounts, newest first. Answer 404 to others than administrators."""
    if not actors.person(request).is_superuser:
        raise Http404
    form = FilterForm(request.GET)
    filters = form.values()
    found = queries.filtered(queries.of_hub(), **filters).order_by("-pk")
    events = Paginator(found, EVENTS_A_PAGE).get_page(request.GET.get("page"))
    entries = [(_entry(event), None) for event in events]
    context = {"form": form, "events": events, "entries": entries, "filters": export.query(**filters)}
    return render(request, "activity/hub.html", context)


def _entry(event: AuditEvent) -> ActivityEntry:
    """Describe the event, with a note that names its channel."""
    entry = descriptions.entry(event, event.channel)
    return replace(entry, notes=[f"Channel {event.channel}", *entry.notes]) if event.channel else entry


def _start(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
