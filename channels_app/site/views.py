"""The home page."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from channels_app.access.permissions import visible_channels
from channels_app.authentication import actors
from channels_app.channels import queries

RECENT_PACKAGES = 5


def home(request: HttpRequest) -> HttpResponse:
    """Show the home page: the hub's size, its newest packages, and how to sign in."""
    actor = actors.actor(request)
    context = {
        "recent": queries.recent_packages(actor, RECENT_PACKAGES),
        "channel_count": visible_channels(actor).count(),
        "package_count": queries.visible_packages(actor).count(),
        "public_url": settings.HUB_PUBLIC_URL,
    }
    return render(request, "site/home.html", context)
