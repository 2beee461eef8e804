"""Search for packages and channels by their names and descriptions."""

from dataclasses import dataclass
from typing import Any, cast

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from channels_app.authentication import actors
from channels_app.identifiers import CHANNEL_MAX_CHARACTERS, KNOWN_SUBDIRS
from channels_app.search import queries
from channels_app.search.queries import ORDERS, Order, find_channels, find_packages, normal, words_of

PAGE_SIZE = 25
CHANNELS_ABOVE_PACKAGES = 6
CHANNELS_OFFERED = 100
PACKAGES_SUGGESTED = 6
CHANNELS_SUGGESTED = 2
ORDER_LABELS = {
    "relevance": "Best match",
    "downloads": "Most downloads",
    "newest": "Recently updated",
    "name": "Name",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of packages, and their order."""

    channel: str
    platform: str
    order: Order

    @classmethod
    def of(cls, request: HttpRequest) -> "Filters":
        order = request.GET.get("order", "")
        known = cast(Order, order) if order in ORDERS else "relevance"
        return cls(_value(request, "channel"), _value(request, "platform"), known)

    @property
    def is_narrowed(self) -> bool:
        return bool(self.channel or self.platform)


@require_safe
def results(request: HttpRequest) -> HttpResponse:
    """`/search?q=…`: channels, then packages; with `kind=channels` every channel, page by page.

    `channel`, `platform` and `order` are about the packages.
    """
    actor, text, filters = actors.actor(request), request.GET.get("q", ""), Filters.of(request)
    packages = find_packages(actor, text, channel=filters.channel, subdir=filters.platform, order=filters.order)
    channels, by_channel = find_channels(actor, text), queries.count_by_channel(packages)
    only_channels = request.GET.get("kind") == "channels"
    package_count = sum(by_channel.values())
    channel_count = channels.count()
    found: QuerySet[Any] = channels if only_channels else packages
    pages = Paginator(found, PAGE_SIZE)
    pages.count = channel_count if only_channels else package_count  # instead of another query
    page: Page[Any] = pages.get_page(request.GET.get("page"))
    is_first = page.number == 1 and not filters.is_narrowed
    context: dict[str, Any] = {
        "text": normal(text),
        "words": words_of(text),
        "filters": filters,
        **_choices(filters, list(by_channel)),
        "page": page,
        "only_channels": only_channels,
        "channel_count": channel_count,
        "package_count": package_count,
        "channels": page if only_channels else channels[:CHANNELS_ABOVE_PACKAGES] if is_first else (),
        "packages": () if only_channels else page,
    }
    if not channel_count and not package_count and not filters.is_narrowed:
        context["similar"] = queries.similar_names(actor, text)
    return render(request, "search/results.html", context)


@require_safe
def suggestions(request: HttpRequest) -> HttpResponse:
    """`/search/suggestions?q=…`: packages and channels with the words in their names, while a user types."""
    actor, text = actors.actor(request), request.GET.get("q", "")
    packages = queries.suggestions(actor, text)[:PACKAGES_SUGGESTED]
    channels = queries.suggested_channels(actor, text)[:CHANNELS_SUGGESTED]
    found = [
        *(
            _suggestion(package.name, str(package.channel), "package", str(package.channel), package.name)
            for package in packages
        ),
        *(_suggestion(channel.name, "channel", "channel", channel.name) for channel in channels),
    ]
    return JsonResponse({"suggestions": found})


def _suggestion(name: str, place: str, route: str, *address: str) -> dict[str, str]:
    return {"name": name, "in": place, "url": reverse(route, args=address)}


def _choices(filters: Filters, channels: list[str]) -> dict[str, Any]:
    """Return the choices of the filters: channels with matches, every platform, and the chosen ones."""
    return {
        "orders": ORDER_LABELS,
        "channel_choices": sorted({*channels[:CHANNELS_OFFERED], filters.channel} - {""}),
        "platform_choices": [name for name in dict.fromkeys((*KNOWN_SUBDIRS, filters.platform)) if name],
    }


def _value(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "").replace("\0", "").strip()[:CHANNEL_MAX_CHARACTERS]
