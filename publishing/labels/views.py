"""The pages of the labels of a channel, and of one label."""

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel, permissions
from channels_app.authentication import actors
from channels_app.models import Channel, Label
from channels_app.ui.form_errors import shown_in
from channels_app.ui.settings_page import sent
from hub.errors import HubError
from publishing.labels import labels, queries
from publishing.labels.forms import DeletionForm, ExpiryForm, LabelForm

LABELS_A_PAGE = 100
PACKAGES_A_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the labels of a channel with their addresses; create one."""
    actor = actors.actor(request)
    found = page_channel(actor, channel, _needed(request, Permission.UPLOAD))
    form = LabelForm(None, sent(request, "create"))
    if form.is_valid():
        with shown_in(form, fields={"bad_expiry": "last_day"}, field="name"):
            name = form.cleaned_data["name"].lower()
            labels.create(actor=actor, channel=found, name=name, expires_at=form.expires_at())
            messages.success(request, f"The label {name} is created. Its address works within seconds.")
            return redirect("channel-label", found.name, name)
    context = {
        "channel": found,
        "may": permissions(actor, found),
        "form": form,
        "page": Paginator(queries.with_counts(found), LABELS_A_PAGE).get_page(request.GET.get("page")),
        "main": queries.main_counts(found),
        "public_url": settings.HUB_PUBLIC_URL,
    }
    return render(request, "labels/list.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, channel: str, label: str) -> HttpResponse:
    """Show a label: its address for clients, its packages, and when it expires; change that, or delete it."""
    actor = actors.actor(request)
    found = page_channel(actor, channel, _needed(request, Permission.DELETE))
    shown = _label(found, label)
    expiry, deletion = ExpiryForm(shown, sent(request, "expiry")), DeletionForm(sent(request, "delete"))
    if expiry.is_valid():
        with shown_in(expiry):
            return _change_expiry(request, actor, shown, expiry)
    if deletion.is_valid():
        with shown_in(deletion):
            return _delete(request, actor, shown, deletion)
    page = Paginator(queries.packages_with(shown), PACKAGES_A_PAGE).get_page(request.GET.get("page"))
    versions = queries.newest_versions(shown, [package["name"] for package in page])
    context = {
        **queries.index_states(shown),
        "channel": found,
        "label": shown,
        "may": permissions(actor, found),
        "address": f"{settings.HUB_PUBLIC_URL}/{shown}",
        "hub_url": settings.HUB_PUBLIC_URL,
        "spec": "PACKAGE",
        "page": page,
        "packages": [package | {"version": versions.get(package["name"], "")} for package in page],
        "expiry": expiry,
        "deletion": deletion,
    }
    return render(request, "labels/label.html", context, status=422 if expiry.errors or deletion.errors else 200)


def _change_expiry(request: HttpRequest, actor: Actor, label: Label, form: ExpiryForm) -> HttpResponse:
    labels.change_expiry(actor=actor, channel=label.channel, name=label.name, expires_at=form.expires_at())
    messages.success(request, f"The label {label.name} {'has a new end' if form.expires_at() else 'never expires'}.")
    return redirect(request.path)


def _delete(request: HttpRequest, actor: Actor, label: Label, form: DeletionForm) -> HttpResponse:
    labels.delete(actor=actor, channel=label.channel, name=label.name, **form.cleaned_data)
    messages.success(request, f"The label {label.name} is deleted.")
    return redirect("channel-labels", label.channel.name)


def _label(channel: Channel, name: str) -> Label:
    try:
        return queries.counted_label(channel, name)
    except HubError:
        raise Http404 from None


def _needed(request: HttpRequest, to_change: Permission) -> Permission:
    return to_change if request.method == "POST" else Permission.READ
