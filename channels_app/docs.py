"""The documentation, docs/*.md, as pages."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse


def page(request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404
