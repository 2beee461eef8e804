"""The REST API v1: authentication, and errors as problem details (RFC 9457).

A router of a room is added in hub/urls.py. Its views take the actor from `request.auth`.
"""

import re
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, reverse
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI, Router, Schema
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.authentication import actors
from channels_app.models import User
from channels_app.rest import idempotency
from channels_app.rest.conditional import RENDERER, answer_if_changed
from hub.errors import HubError, bad_request, forbidden, not_found, unauthenticated, unprocessable
from hub.http.middleware import SAFE_METHODS
from hub.http.request_body import json_object

DESCRIPTION = """\
What the pages do for channels, packages, members and teams. Send an API key as a bearer token.

Lists have at most 100 entries a page; `next` is the URL of the next page, or null.
Errors are problem details (RFC 9457): `code` is for programs, `detail` is a sentence for people.
"""


WITHOUT_CSRF = (
    "Nothing was changed: a change by a session needs its CSRF token. "
    "Send the value of the cookie 'csrftoken' as X-CSRFToken."
)
# An escaped backslash before `u0000` is the text of the escape, and no NUL.
NUL_IN_JSON = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Problem(Schema):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str


class Request(HttpRequest):
    """A request of the API. `auth` is its actor."""

    auth: Actor


# The extra of an operation that an API key or an application can't do.
SESSION_ONLY = {"x-session-only": True}


def user_of(request: Request) -> User:
    """Return the signed-in user. Raise HubError 403 for keys and tokens, whose effect must not outlast them."""
    actor = request.auth
    if actor.key or actor.token:
        raise forbidden("person_needed", "API keys and applications can't do this. Sign in and use the hub's pages.")
    if actor.user is None:
        raise unauthenticated("credential_needed", "Sign in first.")
    return actor.user


class Credential:
    """The credential of a request: an API key or an application's token, else a session."""

    def __call__(self, request: HttpRequest) -> Actor:
        """Return the actor. Raise HubError 401 for an invalid key.

        A session may change something if the request has the CSRF token and the sign-in is recent, as on the pages.
        """
        if actors.credential(request) is not None:
            return actors.key_actor(request)
        if request.method in SAFE_METHODS:
            return actors.actor(request)
        if not request.user.is_authenticated:
            return ANONYMOUS
        csrf_token = request.headers.get("X-CSRFToken", "")
        refusal = actors.NOT_FROM_HERE if csrf_token else WITHOUT_CSRF
        actor = actors.session_actor(request, csrf_token, refusal=refusal)
        if not actors.is_fresh(request):
            raise forbidden(
                "reauthentication_needed",
                "A change needs a sign-in of the last 15 minutes. Confirm your identity at "
                f"{settings.HUB_PUBLIC_URL}{reverse('account_reauthenticate')}, or sign in again.",
            )
        return actor


class ObjectParser(Parser):
    """The parser of bodies. An array or a text would pass as an object whose members are all left out."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Return the object. Raise ValueError for another value."""
        body = json_object(request.body)  # json.loads() reads UTF-16, too, where a NUL character looks different
        if body is None:
            raise ValueError("no JSON object")  # django-ninja answers each exception with 400
        return body


CREDENTIAL = Credential()
api = NinjaAPI(
    title="Channelhub",
    version="1",
    description=DESCRIPTION,
    docs_url=None,
    openapi_url=None,
    urls_namespace="rest",
    auth=CREDENTIAL,
    renderer=RENDERER,
    parser=ObjectParser(),
)
tags: dict[str, list[str]] = {}  # tag → first lines of the modules that have it


def urls() -> list[URLPattern]:
    """Return the URLs of all routers. Call it after the last router was added."""
    found: dict[str, URLPattern] = {}
    for pattern in api.urls[0]:
        # django-ninja repeats a path for each name of its operations, and adds a root without an answer.
        if isinstance(pattern, URLPattern) and pattern.name != "api-root" and str(pattern.pattern) not in found:
            pattern.callback = _completed(pattern.callback)
            found[str(pattern.pattern)] = pattern
    return list(found.values())


def _completed(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Add to a view of django-ninja: HEAD, ETags of reads, `Idempotency-Key`, and problem details for 405."""

    @csrf_exempt  # Credential checks the token of a session
    @wraps(view)
    def completed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if _has_nul(request):
            return problem(request, bad_request("nul", "A value contains a NUL character; expected text without any."))
        method, request.method = request.method, "GET" if request.method == "HEAD" else request.method
        try:
            response = _answer_once(request, kwargs.get("channel"), lambda: view(request, *args, **kwargs))
        finally:
            request.method = method
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = {"Allow": response.headers["Allow"]}
            return problem(request, HubError(405, "wrong_method", f"Use {allowed['Allow']} here.", allowed))
        is_read = request.method in SAFE_METHODS and response.status_code == HTTPStatus.OK and not response.streaming
        return answer_if_changed(request, response) if is_read else response

    return completed


def _has_nul(request: HttpRequest) -> bool:
    """Tell whether the query or the JSON holds a NUL character, which PostgreSQL rejects in every text."""
    return "%00" in request.META.get("QUERY_STRING", "") or NUL_IN_JSON.search(request.body) is not None


def _answer_once(request: HttpRequest, channel: str | None, run: Callable[[], HttpResponse]) -> HttpResponse:
    if request.method != "POST" or "Idempotency-Key" not in request.headers:
        return run()
    try:
        actor = CREDENTIAL(request)
        return run() if actor == ANONYMOUS else idempotency.answer_once(request, actor, channel, run)
    except HubError as error:
        return problem(request, error)


def add_router(name: str) -> None:
    """Add the router with this import path. Its module's first line describes its tag in the OpenAPI document."""
    router: Router = import_string(name)
    api.add_router("", router)
    summary = (import_module(name.rpartition(".")[0]).__doc__ or "").partition("\n")[0]
    for tag in router.tags or []:
        tags.setdefault(tag, []).append(summary)


def problem(request: HttpRequest, error: HubError) -> HttpResponse:
    """Return the error as problem details."""
    details = Problem(title=error.code.replace("_", " "), status=error.status, code=error.code, detail=error.detail)
    response = api.create_response(request, details.model_dump(), status=error.status)
    response.headers["Content-Type"] = "application/problem+json"
    headers = error.headers | {"X-Error-Code": error.code, "Cache-Control": "no-store"}
    for name, value in headers.items():
        response.headers[name] = value
    return response


@api.exception_handler(HubError)
def _refused(request: HttpRequest, error: HubError) -> HttpResponse:
    return problem(request, error)


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(request, not_found("not_found", "There is nothing at this URL, or you can't see it."))


@api.exception_handler(PermissionDenied)
def _denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(request, forbidden("no_permission", str(error) or "You can't do this."))


@api.exception_handler(HttpError)
def _unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer a body that django-ninja can't parse."""
    return problem(request, bad_request("bad_json", "The body is not a JSON object."))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Name the first invalid value: 400 if the query or the JSON is malformed, else 422."""
    first: dict[str, Any] = error.errors[0]
    sentence = f"{_place(first['loc'])}: {first['msg'].removeprefix('Value error, ')}."
    is_query = first["loc"][0] in ("query", "path")
    return problem(request, (bad_request if is_query else unprocessable)("invalid_value", sentence))


def _place(location: tuple[str | int, ...]) -> str:
    """Return the path of an invalid value in the request, without the name of the view's argument that takes it."""
    source, inner = location[0], location[2:]
    has_argument = source == "body" or (bool(inner) and isinstance(inner[0], str))
    return ".".join(str(part) for part in ((source, *inner) if has_argument else location))
