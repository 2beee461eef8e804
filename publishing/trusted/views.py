"""The pages of trusted publishers: those of a channel, and those for channels that do not exist yet."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import Channel
from channels_app.ui.form_errors import shown_in
from channels_app.ui.ids import stated_id
from channels_app.ui.settings_page import page, sent
from publishing.id_tokens.github import GitHub
from publishing.id_tokens.provider import Provider
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import TrustedPublisher
from publishing.trusted import publishers, queries, reachability, snippets
from publishing.trusted.forms import FIELD_OF, PendingForm, PublisherForm
from publishing.trusted.queries import PublisherRow


@require_http_methods(["GET", "HEAD", "POST"])
def channel_publishers(request: HttpRequest, channel: str) -> HttpResponse:
    """Show and change the publishers of a channel.

    `?provider=` chooses the form, `?remove=` asks for confirmation, `?use=` shows the configuration of a publisher's
    CI.
    """
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    if "remove" in request.POST:
        return _remove(request, actor, TrustedPublisher.objects.filter(channel=shown), _address(shown))
    form = PublisherForm(_provider(request), sent(request))
    if form.is_valid():
        with shown_in(form, fields=FIELD_OF):
            added = publishers.add(actor=actor, channel=shown, **form.arguments())
            return _added(request, added, _address(shown))
    listed = queries.channel_publishers(shown)
    return page(request, shown, "publishers", **_context(request, form, listed))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def pending_publishers(request: HttpRequest) -> HttpResponse:
    """Show and change the user's publishers for channels that their first use creates."""
    user = actors.person(request)
    here = reverse("publisher-new")
    if "remove" in request.POST:
        own = TrustedPublisher.objects.filter(channel=None, created_by=user)
        return _remove(request, Actor(user=user), own, here)
    form = PendingForm(_provider(request), sent(request))
    if form.is_valid():
        arguments = form.arguments() | {"channel_name": form.cleaned_data["channel_name"]}
        with shown_in(form, fields=FIELD_OF):
            added = publishers.add_pending(user=user, **arguments)
            return _added(request, added, here)
    listed = queries.pending_publishers(user)
    host = urlsplit(settings.HUB_PUBLIC_URL).netloc
    return render(request, "trusted/new.html", {"host": host, **_context(request, form, listed)})


def _context(request: HttpRequest, form: PublisherForm, listed: list[PublisherRow]) -> dict[str, Any]:
    used = _named(request, listed, "use")
    return {
        "form": form,
        "listed": listed,
        "providers": PROVIDERS.values(),
        "to_confirm": _named(request, listed, "remove"),
        "used": used and snippets.context(used.publisher),
        "unreachable": reachability.warning(),
        "pending_days": publishers.PENDING.days,
    }


def _named(request: HttpRequest, listed: list[PublisherRow], parameter: str) -> PublisherRow | None:
    """Return the publisher with the id in a parameter of the URL, or None."""
    return next((each for each in listed if str(each.publisher.pk) == request.GET.get(parameter)), None)


def _provider(request: HttpRequest) -> Provider:
    return PROVIDERS.get(request.GET.get("provider", ""), PROVIDERS[GitHub.name])


def _address(channel: Channel) -> str:
    return reverse("channel-publishers", args=[channel.name])


def _added(request: HttpRequest, publisher: TrustedPublisher, address: str) -> HttpResponse:
    messages.success(request, f"{publisher.subject or publisher.issuer} is a trusted publisher now.")
    # The form's address ends in #add, where browsers would stay: the message and the job are at the top.
    return redirect(f"{address}?provider={publisher.issuer.provider}&use={publisher.pk}#main")


def _remove(request: HttpRequest, actor: Actor, among: QuerySet[TrustedPublisher], address: str) -> HttpResponse:
    wanted = request.POST["remove"]
    publisher = get_object_or_404(among.select_related("channel", "issuer"), pk=stated_id(wanted))
    publishers.remove(actor=actor, publisher=publisher)
    messages.success(request, f"{publisher.subject or publisher.issuer} is no trusted publisher any more.")
    return redirect(address)
