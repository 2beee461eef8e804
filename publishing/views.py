"""The pages that change what clients download: uploading and removing."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse


def upload(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def status(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


def remove(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404
