"""Search for packages and channels by their names and descriptions."""

from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from channels_app.authentication import actors
from channels_app.search.queries import find_channels, find_packages, normal, words_of

PAGE_SIZE = 25
CHANNELS_ABOVE_PACKAGES = 6


@require_safe
def results(request: HttpRequest) -> HttpResponse:
    """`/search?q=…`: channels, then packages; with `kind=channels` every channel, page by page."""
    actor, text = actors.actor(request), request.GET.get("q", "")
    packages, channels = find_packages(actor, text), find_channels(actor, text)
    only_channels = request.GET.get("kind") == "channels"
    found: QuerySet[Any] = channels if only_channels else packages
    page: Page[Any] = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "text": normal(text),
        "words": words_of(text),
        "page": page,
        "only_channels": only_channels,
        "channel_count": page.paginator.count if only_channels else channels.count(),
        "package_count": packages.count() if only_channels else page.paginator.count,
        "channels": page if only_channels else channels[:CHANNELS_ABOVE_PACKAGES] if page.number == 1 else (),
        "packages": () if only_channels else page,
    }
    return render(request, "search/results.html", context)
