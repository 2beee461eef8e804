"""Writing requests to an address that accepts none: the response names the correct address.

Clients upload to a channel's own address, to one with an extra slash, or with a path before `/api`.
"""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from channels_app.channels.channels import routed_words
from channels_app.identifiers import CHANNEL, EXTENSIONS, is_subdir
from hub import protocols
from hub.errors import HubError, not_found
from hub.http.middleware import FORMS, SAFE_METHODS, GetResponse, answer, carries_key, is_number_up_to
from hub.protocols import Upload

PATH_MAX_CHARACTERS = 60


def is_from_page(request: HttpRequest) -> bool:
    """Tell whether a browser's page sent this, with a session or as a form: without a key, and not to an API."""
    if carries_key(request) or _is_for_clients(request):
        return False
    is_form = request.content_type in FORMS and "text/html" in request.headers.get("Accept", "")
    return settings.SESSION_COOKIE_NAME in request.COOKIES or is_form


def refuse_large_bodies(get_response: GetResponse) -> GetResponse:
    """Answer a client's large upload to a page's address with the correct address, before its size is refused."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
            if request.method in SAFE_METHODS or getattr(view, "csrf_exempt", False) or is_from_page(request):
                return None
            length = request.META.get("CONTENT_LENGTH") or "0"
            is_small = is_number_up_to(length, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
            return None if is_small and "Transfer-Encoding" not in request.headers else answer(refusal(request))

    return Middleware()


def refusal(request: HttpRequest, *, is_there: bool = True) -> HubError:
    """Return the error for a writing request: 404 if no route matches, else 405.

    An upload always gets 404: rattler sends the whole file four times after 405.
    """
    path = _shown(request.path)
    allowed = {"Allow": "GET, HEAD, OPTIONS" if _is_for_clients(request) else "GET, HEAD"}
    parts = [part for part in request.path.split("/") if part]
    if request.method in ("POST", "PUT"):
        upload, start = _nearest(parts)
        cause = _cause(request.path, parts, upload, start)
        return not_found(
            "no_upload_here",
            f"{request.method} is not supported at {path}{cause}. "
            f"Upload packages by {upload.method}{_command(request, upload, _channel(parts, upload, start))}",
        )
    if request.method == "DELETE":
        named = parts[3:] if parts[:3] == ["api", "v1", "delete"] else parts
        place = "/".join(named) if len(named) == 3 and _is_channel(named[0]) else "CHANNEL/SUBDIR/FILE"
        where = f"Delete a package by DELETE at {settings.HUB_PUBLIC_URL}/api/v1/delete/{_shown(place)}."
        return HubError(
            405 if is_there else 404, "no_delete_here", f"DELETE is not supported at {path}. {where}", allowed
        )
    return HubError(405 if is_there else 404, "wrong_method", f"{request.method} is not supported at {path}.", allowed)


def _command(request: HttpRequest, upload: Upload, channel: str) -> str:
    """Return the rest of the sentence: the address and a command, of curl if the client is curl."""
    url = settings.HUB_PUBLIC_URL
    address = f"{url}{upload.address(channel)}"
    if upload.curl and request.headers.get("User-Agent", "").startswith("curl/"):
        return f": {upload.curl} {address}"
    return f" to {address}: {upload.command.format(url=url, channel=channel)}"


def _is_for_clients(request: HttpRequest) -> bool:
    """Tell whether the address is below `/api` or below a channel."""
    first, _, rest = request.path.lstrip("/").partition("/")
    return first == "api" or (bool(rest) and _is_channel(first))


def _cause(path: str, parts: list[str], upload: Upload, start: int | None) -> str:
    """Return the mistake in an address that is nearly correct; empty if it is not recognized."""
    if start is None:
        return ": the name of a package ends in .conda or .tar.bz2" if _is_other_file(parts) else ""
    if start:
        return f": the client's --url is {settings.HUB_PUBLIC_URL} alone, without {_shown('/'.join(parts[:start]))}"
    if "//" in path:
        return ": two slashes follow each other"
    if len(parts) == len(upload.endpoint):
        return ": the name of the channel is missing at its end"
    if upload.too_long and len(parts) > len(upload.route.split("/")):
        return f": {upload.too_long}"
    return ": there is a slash too many at its end" if path.endswith("/") else ""


def _channel(parts: list[str], upload: Upload, start: int | None) -> str:
    """Return the channel's name in the address, else the placeholder CHANNEL."""
    if start is not None:
        end = start + len(upload.endpoint)
        named = [*parts[end : end + 1], *parts[:start]]
    else:
        named = parts[parts.index("channels") + 1 :] if "channels" in parts else parts
    return next((name for name in named[:1] if _is_channel(name)), "CHANNEL")


def _is_other_file(parts: list[str]) -> bool:
    """Tell whether this is the path of a file in a subdir that is no package."""
    is_in_subdir = len(parts) == 3 and _is_channel(parts[0]) and is_subdir(parts[1])
    return is_in_subdir and not parts[2].endswith(EXTENSIONS)


def _is_channel(name: str) -> bool:
    """Tell whether a client that wrote this name meant a channel: curl appends the name of its file to the URL."""
    return name not in routed_words() and CHANNEL.match(name) is not None and not name.endswith(EXTENSIONS)


def _nearest(parts: list[str]) -> tuple[Upload, int | None]:
    """Return the upload whose endpoint is in the path, and the endpoint's index; else the first upload and None."""
    uploads = protocols.recommended_uploads()
    for upload in uploads:
        words = upload.endpoint
        for start in range(len(parts) - len(words) + 1):
            if words and parts[start : start + len(words)] == words:
                return upload, start
    return uploads[0], None


def _shown(text: str) -> str:
    return text if len(text) <= PATH_MAX_CHARACTERS else f"{text[:PATH_MAX_CHARACTERS]}…"
