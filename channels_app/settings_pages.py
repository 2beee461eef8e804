"""A channel's settings: general, members, policies, activity, the dangerous ones."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse


def general(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def members(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def policies(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def activity(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def danger(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404
