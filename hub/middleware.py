"""What every request passes through: keys out of paths first, errors into sentences last."""

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

# In META because Django's error reports blank every entry whose name contains KEY; no header can set it.
PATH_KEY = "channelhub.path_key"
PATH_KEY_PREFIX = "/t/"

# The same for the secret of an invitation's link.
INVITATION_KEY = "channelhub.invitation_key"
INVITATION_PREFIX = "/invitations/"

NO_PAGE = not_found("no_page", "There are no pages below /t/<key>/, only the files of channels.")
# Of digits in a row: Python turns no text of more than 4,300 into a number, and no name here has more than 300 letters.
DIGITS_MAX = 300
LONG_NUMBER = re.compile(rf"(?:\d_?){{{DIGITS_MAX + 1}}}")
NUMBER_TOO_LONG = bad_request("number_too_long", f"A number has more than {DIGITS_MAX} digits; expected a shorter one.")
NUL = bad_request("nul", "The address holds a NUL character, which no name here has.")
STORE_DOWN = unavailable("store_unavailable", "The package store does not answer. Nothing was changed; try again.")
DATABASE_DOWN = unavailable("database_unavailable", "The database does not answer just now; try again in a moment.")
NO_LENGTH = HubError(411, "length_missing", "The body is chunked; it is taken here with a Content-Length alone.")
TOO_LARGE = too_large("body_too_large", "The body is larger than anything that is sent here: at most 1 MiB is taken.")
HTTPS_NEEDED = bad_request(
    "https_needed", f"This came by http, and nothing was changed. Use the hub's address: {settings.HUB_PUBLIC_URL}"
)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

NO_PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in ("camera", "display-capture", "geolocation", "microphone", "payment", "serial", "usb")
)

# The routes whose views read their body themselves, with bounds of their own, or read none.
OWN_BOUNDS = {"upload", "channel-upload", "mint-token", "channel-file", "channel-address", "nowhere"}

logger = logging.getLogger(__name__)


def path_key(get_response: GetResponse) -> GetResponse:
    """Take the key out of `/t/<key>/…` before anything logs the path; conda and mamba send keys in that way.

    No page is shown there: its links, and what it embeds, would carry the key on.
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
    """Take the secret out of `/invitations/<secret>`, as path_key does with keys."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(INVITATION_PREFIX):
            request.META[INVITATION_KEY] = request.path_info.removeprefix(INVITATION_PREFIX)
            _show_path(request, INVITATION_PREFIX.rstrip("/"))
        return get_response(request)

    return middleware


def client_address(get_response: GetResponse) -> GetResponse:
    """REMOTE_ADDR as the outermost of our own proxies saw it; what stands before that, the client may have made up."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        seen = request.headers.get("X-Forwarded-For", "").split(",")
        if 0 < settings.HUB_PROXIES <= len(seen):
            with suppress(ValueError):
                request.META["REMOTE_ADDR"] = str(ip_address(seen[-settings.HUB_PROXIES].strip()))
        return get_response(request)

    return middleware


def no_nul(get_response: GetResponse) -> GetResponse:
    """Refuse a NUL in a path: nothing is named so, and PostgreSQL fails on a text that holds one."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return answer(NUL) if "\x00" in request.path_info else get_response(request)

    return middleware


def bounded_numbers(get_response: GetResponse) -> GetResponse:
    """Refuse an address with a number of hundreds of digits: whatever reads it as a number would fail."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        query: str = request.META.get("QUERY_STRING", "")
        if len(query) > DIGITS_MAX:
            # In WSGI's form: each character is a byte.
            query = unquote_plus(query.encode("latin-1", "replace").decode("utf-8", "replace"))
        if _has_long_number(request.path_info) or _has_long_number(query):
            return answer(NUMBER_TOO_LONG)
        return get_response(request)

    return middleware


def _has_long_number(text: str) -> bool:
    return len(text) > DIGITS_MAX and LONG_NUMBER.search(text) is not None


def head_as_get(get_response: GetResponse) -> GetResponse:
    """Answer HEAD with the status and headers of GET, Content-Length among them, and without its body."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method == "HEAD" and isinstance(response, StreamingHttpResponse):
            response.streaming_content = ()
        elif request.method == "HEAD" and isinstance(response, HttpResponse):
            response.content = b""
        return response

    return middleware


def few_permissions(get_response: GetResponse) -> GetResponse:
    """No page asks for what browsers can give; passkeys alone are needed, and are the hub's own by default."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers["Permissions-Policy"] = NO_PERMISSIONS
        return response

    return middleware


def https_for_changes(get_response: GetResponse) -> GetResponse:
    """Refuse what changes something and came by http, where the hub has https.

    Clients would follow Django's redirect by GET and without the body.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        is_plain = settings.SECURE_SSL_REDIRECT and not request.is_secure()
        return answer(HTTPS_NEEDED) if is_plain and request.method not in SAFE_METHODS else get_response(request)

    return middleware


def bounded_body(get_response: GetResponse) -> GetResponse:
    """Refuse what no form of ours can be, before anything reads it: Django's parser would spool files of any size.

    A form that is small enough is read, and refused where it holds a number of hundreds of digits.
    """

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
            match = request.resolver_match
            if match is None or match.view_name in OWN_BOUNDS:
                return None
            if "Transfer-Encoding" in request.headers:
                return answer(NO_LENGTH)
            length = request.META.get("CONTENT_LENGTH") or "0"
            if not is_number_up_to(length, settings.DATA_UPLOAD_MAX_MEMORY_SIZE):
                return answer(TOO_LARGE)
            return answer(NUMBER_TOO_LONG) if _has_long_number_in_form(request) else None

    return Middleware()


def is_number_up_to(digits: str, most: int) -> bool:
    """Tell whether a header such as Content-Length is a whole number of at most `most`, however long it is."""
    return digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX and int(digits) <= most


def _has_long_number_in_form(request: HttpRequest) -> bool:
    if request.method != "POST" or request.content_type not in FORMS:
        return False
    try:
        # Whole, and before its fields: what they were read from could not be read again by the view.
        _ = request.body
        return any(_has_long_number(value) for _, values in request.POST.lists() for value in values)
    except UnreadablePostError:  # the client has gone
        return False


def kept_private(get_response: GetResponse) -> GetResponse:
    """What somebody is answered who said who they are is kept by nobody, unless its view says otherwise."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        is_known = request.user.is_authenticated or "Authorization" in request.headers or PATH_KEY in request.META
        if is_known and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "private, no-store"
        return response

    return middleware


def plain_errors(get_response: GetResponse) -> GetResponse:
    """Answer every HubError as one plain sentence: clients show the first 512 characters of it to people."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
            return plain_answer(request, exception)

    return Middleware()


def plain_answer(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """What is answered to an exception of the hub's own, or of a disk that is full."""
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
    """What is answered where a disk is full: a page to browsers."""
    error = disk_full(is_upload=has_body(request))
    return page_of("507.html", error, status=507) if is_browser(request) else answer(error)


def is_browser(request: HttpRequest) -> bool:
    """Tell whether the request asks for a page."""
    return "text/html" in request.headers.get("Accept", "")


def page_of(template: str, error: HubError, *, status: int) -> HttpResponse:
    """The error as a page, which needs neither the database nor the request's context: those may be what failed."""
    headers = error.headers | {"X-Error-Code": error.code, "Cache-Control": "no-store"}
    return HttpResponse(render_to_string(template), status=status, headers=headers)


def answer(error: HubError) -> HttpResponse:
    """The error as plain text, which clients print to terminals."""
    return HttpResponse(
        f"{one_line(error.detail)}\n",
        status=error.status,
        content_type="text/plain; charset=utf-8",
        headers=error.headers | {"X-Error-Code": error.code, "Cache-Control": "no-store"},
    )


def _show_path(request: HttpRequest, path: str) -> None:
    """Make `path` the request's; RAW_URI is what gunicorn's access log shows."""
    request.META["PATH_INFO"] = request.META["RAW_URI"] = request.path = request.path_info = path
