"""Error responses: a page for browsers, a sentence or JSON for clients."""

import sys

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from channels_app.accounts import lost_forms
from channels_app.identifiers import CHANNEL, CHANNEL_MAX_CHARACTERS, is_subdir
from channels_app.site import misplaced
from hub.errors import HubError
from hub.full_disk import is_disk_full
from hub.http.middleware import DATABASE_DOWN, SAFE_METHODS, answer, full_answer, is_browser, page_of
from hub.plain_text import one_line

PATH_MAX_CHARACTERS = 200
REST_API = "/api/v1/"


def misdirected(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a bad request (400), which is mostly one with an unknown Host header."""
    if isinstance(exception, DisallowedHost):
        host = request.META.get("HTTP_HOST", "")[:100]
        return _sentence(
            f"This hub does not answer for '{host}'. Set HUB_PUBLIC_URL, or add it to HUB_ALLOWED_HOSTS.", 400
        )
    return _sentence("The request can't be understood.", 400)


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an action that the user may not take (403), with the exception's text as the reason."""
    if is_browser(request):
        return render(request, "403.html", {"reason": str(exception)}, status=403)
    return _sentence(str(exception) or "That is not allowed.", 403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form with a missing, wrong or old CSRF token. A client gets the correct upload address instead."""
    if not misplaced.is_from_page(request):
        return answer(misplaced.refusal(request))
    response = render(request, "site/csrf_failed.html", {"way_in": lost_forms.sign_in_url(request)}, status=403)
    for name, value in {"X-Error-Code": "not_from_here", "Cache-Control": "no-store"}.items():
        response.headers[name] = value
    return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown address (404): a page for browsers, else a sentence, or JSON if requested (RFC 9457)."""
    if request.method not in SAFE_METHODS and not misplaced.is_from_page(request):
        return answer(misplaced.refusal(request, is_there=False))
    if is_browser(request):
        return render(request, "404.html", status=404)
    sentence = (
        f"There is no page, file or endpoint at {request.path[:PATH_MAX_CHARACTERS]}.{_for_clients(request.path)}"
    )
    if "json" not in request.headers.get("Accept", "") and not request.path.startswith(REST_API):
        return _sentence(sentence, 404)
    problem = {"type": "about:blank", "title": "Not Found", "status": 404, "code": "not_found", "detail": sentence}
    headers = {"X-Error-Code": "not_found"}
    return JsonResponse(problem, status=404, content_type="application/problem+json", headers=headers)


def _for_clients(path: str) -> str:
    """Return a hint with the channel's address, for a client that requests an address of its page."""
    match path.split("/")[1:]:
        case ["channels", name, part, *_] if CHANNEL.match(name) and (is_subdir(part) or part == "channeldata.json"):
            channel = f"{settings.HUB_PUBLIC_URL}/{name[:CHANNEL_MAX_CHARACTERS]}"
            return f" Clients find the channel at {channel}, without /channels."
    return ""


def too_many(request: HttpRequest, error: HubError) -> HttpResponse:
    """Answer 429 of rate_limits.counters, which tells how long to wait."""
    if not is_browser(request):
        return answer(error)
    match = request.resolver_match
    template = "account/tried_often.html" if match and match.view_name == "account_login" else "429.html"
    page = render(request, template, {"reason": error.detail}, status=error.status)
    for name, value in (error.headers | {"Cache-Control": "no-store"}).items():
        page.headers[name] = value
    return page


def failed(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected error. The template gets no request context, which may itself be the cause."""
    error = sys.exception()
    if is_disk_full(error):
        return full_answer(request)
    if isinstance(error, (OperationalError, InterfaceError)):
        down = DATABASE_DOWN
        return page_of("503.html", down, status=down.status) if is_browser(request) else answer(down)
    if is_browser(request):
        return HttpResponse(render_to_string("500.html"), status=500)
    return _sentence("The hub failed to answer. The reason is in its log; try again, or tell an administrator.", 500)


def _sentence(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{one_line(text)}\n", status=status, content_type="text/plain; charset=utf-8")
