"""Pages of a channel's settings: general, policies, activity, transfer and deletion; and its restoration."""

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from channels_app.access.permissions import Actor, Permission, page_channel, permissions_if_any
from channels_app.activity import export
from channels_app.activity import queries as activity_queries
from channels_app.audit import descriptions as words
from channels_app.authentication import actors
from channels_app.channels import channels, queries
from channels_app.channels.settings_forms import GeneralForm, PoliciesForm, TransferForm
from channels_app.models import Channel, Role
from channels_app.quotas import channel_quotas
from channels_app.ui.form_errors import shown_in
from channels_app.ui.form_fields import ConfirmForm
from channels_app.ui.settings_page import page, sent

EVENTS_A_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def general(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the general settings. Redirect members with the right to upload only to the upload page."""
    actor = actors.actor(request)
    granted = permissions_if_any(actor, Channel.objects.filter(name=channel, deleted_at=None).first())
    may_only_upload = {Permission.READ, Permission.UPLOAD} <= granted and Permission.MANAGE not in granted
    if request.method != "POST" and may_only_upload:
        return redirect("channel-upload", channel)
    shown = page_channel(actor, channel, Permission.MANAGE)
    form = GeneralForm(shown, sent(request), request.FILES or None)
    if form.is_valid():
        channels.update(actor=actor, channel=shown, **form.values())
        messages.success(request, "The settings are saved.")
        return redirect("channel-settings", channel)
    return page(request, shown, "general", form=form, usage=channel_quotas.usage(shown))


@require_http_methods(["GET", "HEAD", "POST"])
def policies(request: HttpRequest, channel: str) -> HttpResponse:
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    form = PoliciesForm(shown, sent(request))
    if form.is_valid():
        with shown_in(form, "max_upload_mib"):
            channels.change_policies(actor=actor, channel=shown, **form.values())
            messages.success(request, "The policies are saved and apply from the next upload.")
            return redirect("channel-policies", channel)
    return page(request, shown, "policies", form=form)


@require_safe
def activity(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the channel's events, newest first, filtered by `kind`."""
    shown = page_channel(actors.actor(request), channel, Permission.MANAGE)
    kind = request.GET.get("kind", "") if request.GET.get("kind") in words.KINDS else ""
    found = activity_queries.filtered(activity_queries.of_channel(shown), kind=kind)
    events = Paginator(found, EVENTS_A_PAGE).get_page(request.GET.get("page"))
    entries = [words.entry(event, shown) for event in events]
    artifacts = queries.artifact_paths(shown, {entry.target for entry in entries if entry.is_artifact})
    return page(
        request,
        shown,
        "activity",
        events=events,
        entries=[(entry, artifacts.get(entry.target) if entry.is_artifact else None) for entry in entries],
        filters=export.query(kind=kind),
        kind=kind,
        kinds=[(name, title) for name, (title, _) in words.KINDS.items()],
    )


@require_http_methods(["GET", "HEAD", "POST"])
def danger(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the forms for transfer and deletion; `action` tells which was sent. Both require the channel's name."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.OWN)
    transfer = TransferForm(shown, sent(request, "transfer"), prefix="transfer")
    delete = ConfirmForm(shown, sent(request, "delete"), prefix="delete")
    if transfer.is_valid():
        with shown_in(transfer, "username"):
            return _transferred(request, actor, shown, transfer.cleaned_data["username"])
    if delete.is_valid():
        return _deleted(request, actor, shown)
    contents = queries.contents(shown)
    return page(
        request,
        shown,
        "danger",
        transfer=transfer,
        delete=delete,
        contents=contents,
        grace_hours=settings.HUB_GRACE_HOURS,
    )


@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: HttpRequest, channel: str) -> HttpResponse:
    """Show a deleted channel to its owners within the grace period, and restore it. Everyone else gets 404."""
    actor = actors.actor(request)
    deleted = get_object_or_404(queries.deleted_channels(actor), name=channel)
    if request.method == "POST":
        channels.restore(actor=actor, channel=deleted)
        messages.success(request, f"{deleted} was restored.")
        return redirect("channel-danger", channel)
    contents = queries.contents(deleted)
    return render(request, "settings/restore.html", {"channel": deleted, "contents": contents})


def _transferred(request: HttpRequest, actor: Actor, channel: Channel, username: str) -> HttpResponse:
    owner = channels.transfer(actor=actor, channel=channel, username=username)
    messages.success(request, f"{owner.user} owns {channel} now; you can leave it, or stay as a {Role.MAINTAINER}.")
    return redirect("channel", channel.name)


def _deleted(request: HttpRequest, actor: Actor, channel: Channel) -> HttpResponse:
    channels.delete(actor=actor, channel=channel)
    messages.success(request, f"{channel} was deleted and is no longer visible.")
    return redirect("channel-restore", channel.name)
