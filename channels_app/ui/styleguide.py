"""The style guide at /styleguide: every component in every state. It exists only with HUB_DEBUG=true."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from channels_app.models import Channel, User

NAMES = ("geo-tools", "mapping", "nightly", "bio-lab", "vision", "robotics", "quantum", "internal.staging", "0-first")
STATES = ("private", "public", "latest", "verified", "yanked", "set aside", "waiting", "uploading", "checking")
MORE_STATES = ("published", "indexed", "refused", "failed", "pending", "expired", "revoked", "pinned", "owner")
DOWNLOADS = (3, 8, 5, 21, 34, 13, 8, 40, 55, 48, 61, 30, 22, 70, 84, 79, 91, 60, 48, 99, 120, 87, 93, 140, 133, 128)


class SampleForm(forms.Form):
    name = forms.CharField(label="Name", help_text="Lower-case letters, digits, '_', '.' and '-'.")
    mail = forms.EmailField(label="E-mail", required=False)


def page(request: HttpRequest) -> HttpResponse:
    if not settings.DEBUG:
        raise Http404
    return render(request, "ui/styleguide.html", samples())


def samples() -> dict[str, Any]:
    now = timezone.now()
    return {
        "channel": Channel(name="geo-tools", is_private=True),
        "channels": [Channel(name=name, is_private=n % 2 == 0) for n, name in enumerate(NAMES)],
        "people": [User(username=name) for name in ("mara", "jo", "olga")],
        "states": [*STATES, *MORE_STATES],
        "form": SampleForm(),
        "bad_form": SampleForm({"name": "", "mail": "mara@"}),
        "list_page": Paginator(range(600), 50).page(4),
        "moments": [now - timedelta(minutes=minutes) for minutes in (0, 4, 200, 1600, 9000, 90_000)],
        "days": [((now - timedelta(days=25 - n)).date(), count) for n, count in enumerate(DOWNLOADS)],
        "downloads": DOWNLOADS,
        "subdirs": ("noarch", "linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64", "win-arm64"),
    }
