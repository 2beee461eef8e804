"""The home page."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from channels_app.access.permissions import Actor, visible_channels
from channels_app.authentication import actors
from channels_app.channels import queries
from channels_app.models import User
from channels_app.people import invitations
from channels_app.site import queries as own

RECENT_PACKAGES = 5


def home(request: HttpRequest) -> HttpResponse:
    """Show the hub's newest packages and how to sign in; for signed-in users first their own channels and uploads."""
    actor = actors.actor(request)
    context = {
        "recent": queries.recent_packages(actor, RECENT_PACKAGES),
        "channel_count": visible_channels(actor).count(),
        "package_count": queries.visible_packages(actor).count(),
        "public_url": settings.HUB_PUBLIC_URL,
    }
    if isinstance(request.user, User):
        return render(request, "site/own_home.html", context | _own(actor, request.user))
    return render(request, "site/home.html", context)


def _own(actor: Actor, user: User) -> dict[str, Any]:
    return {
        "channels": own.own_channels(actor),
        "uploads": own.own_uploads(user),
        "keys": own.expiring_keys(user),
        "invitations": invitations.mine(user),
    }
