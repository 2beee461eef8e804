"""The pages on which people look around: channel, package, artifact, feeds."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse


def channel(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def logo(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def channel_feed(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def package(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def package_feed(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def artifact(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404
