"""Middleware for every request: secrets in paths, limits on requests, headers, errors as plain text."""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote_plus

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from hub.errors import HubError, bad_request, disk_full, not_found, too_large, unavailable
from hub.full_disk import is_disk_full
from hub.plain_text import one_line
from hub.storage import StoreError

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# META, because Django's error reports hide every entry whose name contains KEY. No header can set this name.
PATH_KEY = "channelhub.path_key"
PATH_KEY_PREFIX = "/t/"
# Headers that hold a key alone: of quetz and of Artifactory.
KEY_HEADERS = ("X-API-Key", "X-JFrog-Art-Api")
CREDENTIAL_HEADERS = ("Authorization", *KEY_HEADERS)

# The same, for the secret of an invitation link.
INVITATION_KEY = "channelhub.invitation_key"
INVITATION_PREFIX = "/invitations/"

NO_PAGE = not_found("no_page", "There are no pages below /t/<key>/, only the files of channels.")
# Maximum digits in a row: Python converts at most 4,300 digits to a number, and no name here has more than 300
# characters.
DIGITS_MAX = 300
LONG_NUMBER = re.compile(rf"(?:\d_?){{{DIGITS_MAX + 1}}}")
NUMBER_TOO_LONG = bad_request("number_too_long", f"A number has more than {DIGITS_MAX} digits; expected a shorter one.")
NUL = bad_request("nul", "The URL contains a NUL character, which no name here has.")
STORE_DOWN = unavailable("store_unavailable", "The package store does not answer. Nothing was changed; try again.")
DATABASE_DOWN = unavailable("database_unavailable", "The database does not answer just now; try again in a moment.")
NO_LENGTH = HubError(
    411, "length_missing", "The body is chunked; expected a Content-Length. Send the body with its length."
)
TOO_LARGE = too_large("body_too_large", "The body is too large; expected at most 1 MiB.")
HTTPS_NEEDED = bad_request(
    "https_needed", f"The request came over http, so nothing was changed. Use the hub's URL: {settings.HUB_PUBLIC_URL}"
)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

NO_PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in ("camera", "display-capture", "geolocation", "microphone", "payment", "serial", "usb")
)

logger = logging.getLogger(__name__)


def path_key(get_response: GetResponse) -> GetResponse:
    """Move the key of `/t/<key>/…`, where conda and mamba send it, to META before anything logs the path.

    HTML pages are refused there: their links and embedded files would contain the key.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not settings.HUB_PATH_KEYS or not request.path_info.startswith(PATH_KEY_PREFIX):
            return get_response(request)
        key, _, rest = request.path_info.removeprefix(PATH_KEY_PREFIX).partition("/")
        request.META[PATH_KEY] = key
        _show_path(request, f"/{rest}")
        response = get_response(request)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            return answer(NO_PAGE)
        return response

    return middleware


def invitation_key(get_response: GetResponse) -> GetResponse:
    """Move the secret of `/invitations/<secret>` to META, as path_key does with keys."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(INVITATION_PREFIX):
            request.META[INVITATION_KEY] = request.path_info.removeprefix(INVITATION_PREFIX)
            _show_path(request, INVITATION_PREFIX.rstrip("/"))
        return get_response(request)

    return middleware


def client_address(get_response: GetResponse) -> GetResponse:
    """Set REMOTE_ADDR to the address that our outermost proxy saw. Earlier entries can be forged by the client."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        seen = request.headers.get("X-Forwarded-For", "").split(",")
        if 0 < settings.HUB_PROXIES <= len(seen):
            with suppress(ValueError):
                request.META["REMOTE_ADDR"] = str(ip_address(seen[-settings.HUB_PROXIES].strip()))
        return get_response(request)

    return middleware


def reject_nul_bytes(get_response: GetResponse) -> GetResponse:
    """Refuse paths with a NUL character: no name has one, and PostgreSQL rejects it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return answer(NUL) if "\x00" in request.path_info else get_response(request)

    return middleware


def bounded_numbers(get_response: GetResponse) -> GetResponse:
    """Refuse URLs with a number of more than DIGITS_MAX digits, which int() could not convert."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        query: str = request.META.get("QUERY_STRING", "")
        if len(query) > DIGITS_MAX:
            # WSGI passes the query as Latin-1: each character is a byte.
            query = unquote_plus(query.encode("latin-1", "replace").decode("utf-8", "replace"))
        if _has_long_number(request.path_info) or _has_long_number(query):
            return answer(NUMBER_TOO_LONG)
        return get_response(request)

    return middleware


def _has_long_number(text: str) -> bool:
    return len(text) > DIGITS_MAX and LONG_NUMBER.search(text) is not None


def head_as_get(get_response: GetResponse) -> GetResponse:
    """Answer HEAD with the status and headers of GET, including Content-Length, and without its body."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method == "HEAD" and isinstance(response, StreamingHttpResponse):
            response.streaming_content = ()
        elif request.method == "HEAD" and isinstance(response, HttpResponse):
            response.content = b""
        return response

    return middleware


def permissions_policy(get_response: GetResponse) -> GetResponse:
    """Deny all browser features by Permissions-Policy. WebAuthn is allowed for the same origin by default."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers["Permissions-Policy"] = NO_PERMISSIONS
        return response

    return middleware


def https_for_changes(get_response: GetResponse) -> GetResponse:
    """Refuse changes over http if the hub has https.

    Clients would follow Django's redirect with GET and without the body.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        is_plain = settings.SECURE_SSL_REDIRECT and not request.is_secure()
        return answer(HTTPS_NEEDED) if is_plain and request.method not in SAFE_METHODS else get_response(request)

    return middleware


def bounded_body(get_response: GetResponse) -> GetResponse:
    """Refuse bodies larger than any form, before they are read: Django's parser would spool files of any size.

    Forms below the limit are read, and refused if they contain a number of too many digits.
    """

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
            match = request.resolver_match
            if match is None or getattr(match.func, "bounds_own_body", False):
                return None
            if "Transfer-Encoding" in request.headers:
                return answer(NO_LENGTH)
            length = request.META.get("CONTENT_LENGTH") or "0"
            if not is_number_up_to(length, settings.DATA_UPLOAD_MAX_MEMORY_SIZE):
                return answer(TOO_LARGE)
            return answer(NUMBER_TOO_LONG) if _has_long_number_in_form(request) else None

    return Middleware()


def is_number_up_to(digits: str, most: int) -> bool:
    """Tell whether a header such as Content-Length is a whole number of at most `most`. It may have any length."""
    return digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX and int(digits) <= most


def _has_long_number_in_form(request: HttpRequest) -> bool:
    if request.method != "POST" or request.content_type not in FORMS:
        return False
    try:
        # Whole, and before its fields: what they were read from could not be read again by the view.
        _ = request.body
        return any(_has_long_number(value) for _, values in request.POST.lists() for value in values)
    except UnreadablePostError:  # the client closed the connection
        return False


def no_store_for_authenticated(get_response: GetResponse) -> GetResponse:
    """Set `Cache-Control: private, no-store` on responses to authenticated requests, unless the view set the header."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if (request.user.is_authenticated or carries_key(request)) and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "private, no-store"
        return response

    return middleware


def carries_key(request: HttpRequest) -> bool:
    """Tell whether the request has a credential other than a session, valid or not."""
    return PATH_KEY in request.META or any(name in request.headers for name in CREDENTIAL_HEADERS)


def plain_errors(get_response: GetResponse) -> GetResponse:
    """Answer HubErrors as one plain sentence: clients show people the first 512 characters of it."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
            return plain_answer(request, exception)

    return Middleware()


def plain_answer(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Return the response to a HubError, a StoreError or a full disk; None for other exceptions."""
    if isinstance(exception, HubError):
        return answer(exception)
    is_full = is_disk_full(exception)
    if not is_full and not isinstance(exception, StoreError):
        return None
    logger.error("%s", exception)
    return full_answer(request) if is_full else answer(STORE_DOWN)


def has_body(request: HttpRequest) -> bool:
    return request.META.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in request.META


def full_answer(request: HttpRequest) -> HttpResponse:
    """Return the answer to a request that met a full disk: a page for browsers."""
    error = disk_full(is_upload=has_body(request))
    return page_of("507.html", error, status=507) if is_browser(request) else answer(error)


def is_browser(request: HttpRequest) -> bool:
    """Tell whether the request asks for a page."""
    return "text/html" in request.headers.get("Accept", "")


def page_of(template: str, error: HubError, *, status: int) -> HttpResponse:
    """Return the error as a page that needs neither the database nor the request's context: those may have failed."""
    headers = error.headers | {"X-Error-Code": error.code, "Cache-Control": "no-store"}
    return HttpResponse(render_to_string(template), status=status, headers=headers)


def answer(error: HubError) -> HttpResponse:
    """Return the error as a plain-text response, which clients print to terminals."""
    return HttpResponse(
        f"{one_line(error.detail)}\n",
        status=error.status,
        content_type="text/plain; charset=utf-8",
        headers=error.headers | {"X-Error-Code": error.code, "Cache-Control": "no-store"},
    )


def _show_path(request: HttpRequest, path: str) -> None:
    """Set the request's path, and RAW_URI, which gunicorn's access log shows."""
    request.META["PATH_INFO"] = request.META["RAW_URI"] = request.path = request.path_info = path
