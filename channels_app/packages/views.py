"""Pages of a channel with its packages, and a channel's logo."""

import hashlib
from collections.abc import Iterable

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.http import require_safe

from channels_app.access.permissions import Permission, page_channel, permissions
from channels_app.authentication import actors
from channels_app.packages import queries
from channels_app.quotas.channel_quotas import ChannelUsage
from hub.http.middleware import CREDENTIAL_HEADERS

PACKAGES_A_PAGE = 50
LABELS_SHOWN = 20
LOGO_CACHING_S = 300


@require_safe
def channel(request: HttpRequest, channel: str) -> HttpResponse:
    """Show a channel and its packages."""
    actor = actors.actor(request)
    found = page_channel(actor, channel)
    may = permissions(actor, found)
    counts = queries.channel_counts(found)
    filters = _filters(request, counts["subdirs"])
    labels = list(found.labels.only("name")[: LABELS_SHOWN + 1])
    listed = queries.find_packages(found, **filters, with_removed=Permission.DELETE in may)
    context = {
        "channel": found,
        "may": may,
        "counts": counts,
        "usage": ChannelUsage(counts["size_bytes"], found.quota_limit_bytes),
        "labels": labels[:LABELS_SHOWN],
        "has_more_labels": len(labels) > LABELS_SHOWN,
        "filters": filters,
        "is_narrowed": bool(filters["text"] or filters["subdir"]),
        "page": Paginator(listed, PACKAGES_A_PAGE).get_page(request.GET.get("page")),
        "public_url": settings.HUB_PUBLIC_URL,
    }
    return render(request, "channels/channel.html", context)


@require_safe
def logo(request: HttpRequest, channel: str) -> HttpResponseBase:
    """Serve the logo that an owner uploaded."""
    found = page_channel(actors.actor(request), channel)
    if not found.logo:
        raise Http404
    content = bytes(found.logo)
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    response = HttpResponse(content, content_type="image/png", headers={"ETag": etag})
    response.headers["Cache-Control"] = f"{'private' if found.is_private else 'public'}, max-age={LOGO_CACHING_S}"
    patch_vary_headers(response, [*CREDENTIAL_HEADERS, "Cookie"])
    return get_conditional_response(request, etag=etag, response=response) or response


def _filters(request: HttpRequest, subdirs: Iterable[str]) -> dict[str, str]:
    """Return the reader's filters; invalid values are ignored."""
    subdir, order = request.GET.get("platform", ""), request.GET.get("order", "")
    return {
        "text": request.GET.get("q", "").replace("\0", "").strip()[:200],
        "subdir": subdir if subdir in subdirs else "",
        "order": order if order in queries.ORDERS else "updated",
    }
