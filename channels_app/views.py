"""The pages for people."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from channels_app import authentication, queries


def home(request: HttpRequest) -> HttpResponse:
    """What this hub is, and the channels that the reader may see."""
    channels = queries.channel_cards(authentication.actor(request))
    return render(request, "home.html", {"channels": channels, "public_url": settings.HUB_PUBLIC_URL})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A page for browsers, a sentence for clients."""
    if "text/html" in request.headers.get("Accept", ""):
        return render(request, "404.html", status=404)
    return HttpResponse(f"There is nothing at {request.path}.\n", status=404, content_type="text/plain; charset=utf-8")
