"""Pages of upstream channels: a new one, and its settings."""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Permission, page_channel, permissions
from channels_app.authentication import actors
from channels_app.ui.form_errors import shown_in
from channels_app.ui.settings_page import page, sent
from publishing.upstreams import acceptance, filtering, previews, queries, upstreams
from publishing.upstreams.forms import AcceptanceForm, FilterForm, NewUpstreamForm, UpstreamForm

CREATED = "Channel {} created. Its upstream is being read; that takes minutes for a large one."
SAVED = "The settings are saved. The index follows within a minute, or some minutes for a large channel."
FILTERED = "The filters are saved. The index follows within a minute, or some minutes for a large channel."
ACCEPTED = "{} is accepted. The index follows within a minute, or after the cooldown."
ASKED = "The upstream is polled now."


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new upstream channel to administrators."""
    if not actors.person(request).is_superuser:
        raise PermissionDenied("Only administrators can create upstream channels.")
    form = NewUpstreamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with shown_in(form, "name"):
            channel = upstreams.create(actor=actors.actor(request), **form.values())
            messages.success(request, CREATED.format(channel))
            return redirect("channel", channel.name)
    return render(request, "upstreams/new.html", {"form": form, "host": urlsplit(settings.HUB_PUBLIC_URL).netloc})


@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the state and the settings of an upstream, change them, poll it now, or accept a changed record."""
    actor = actors.actor(request)
    saved, accepted = sent(request, "save"), sent(request, "accept")
    is_of_owner = saved is not None or accepted is not None
    shown = page_channel(actor, channel, Permission.OWN if is_of_owner else Permission.MANAGE)
    upstream = upstreams.of(shown)
    if request.POST.get("action") == "poll":
        upstreams.poll_now(actor=actor, channel=shown)
        messages.success(request, ASKED)
        return redirect("channel-upstream", shown.name)
    acceptance_form = AcceptanceForm(accepted)
    if acceptance_form.is_valid():
        with shown_in(acceptance_form):
            acceptance.accept(actor=actor, channel=shown, **acceptance_form.cleaned_data)
            messages.success(request, ACCEPTED.format(acceptance_form.cleaned_data["file_name"]))
            return redirect("channel-upstream", shown.name)
    form = UpstreamForm(upstream, saved)
    if form.is_valid():
        with shown_in(form):
            upstreams.change(actor=actor, channel=shown, **form.values())
            messages.success(request, SAVED)
            return redirect("channel-upstream", shown.name)
    # A cooldown hides thousands of names. Those of records to accept are not among them.
    names = queries.hidden_names(shown).order_by("-held_count", "name", "index__subdir")[: queries.NAMES_SHOWN + 1]
    return page(
        request,
        shown,
        "upstream",
        form=form,
        acceptance_form=acceptance_form,
        upstream=upstream,
        counts=queries.counts(shown),
        names=names[: queries.NAMES_SHOWN],
        are_names_cut_off=len(names) > queries.NAMES_SHOWN,
        may_change=Permission.OWN in permissions(actor, shown),
    )


@require_http_methods(["GET", "HEAD", "POST"])
def filters(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the filters of an upstream, preview a change of them, and save it."""
    actor = actors.actor(request)
    posted = sent(request)
    shown = page_channel(actor, channel, Permission.MANAGE if posted is None else Permission.OWN)
    form = FilterForm(filtering.texts(upstreams.of(shown).filters), posted)
    preview = None
    if form.is_valid():
        with shown_in(form):
            if request.POST.get("action") == "save":
                upstreams.change(actor=actor, channel=shown, filters=form.wanted())
                messages.success(request, FILTERED)
                return redirect("channel-upstream-filters", shown.name)
            preview = previews.preview(shown, form.wanted())
    may_change = Permission.OWN in permissions(actor, shown)
    counts = queries.counts(shown)
    return page(request, shown, "upstream-filters", form=form, preview=preview, counts=counts, may_change=may_change)
