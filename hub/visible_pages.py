"""Pages and feeds show what is unseen: a name, a README or a path that turns writing round reads as what it is.

Done to the whole answer, so that no template can forget it. What a form holds is shown in the same way.
"""

from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from hub.middleware import GetResponse
from hub.plain_text import CONTROL_BYTES, visible

TYPES = ("text/html", "application/atom+xml")


def made_visible(get_response: GetResponse) -> GetResponse:
    """Write every unseen character of a page as its number, such as `[U+202E]`."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and response.headers.get("Content-Type", "").startswith(TYPES):
            _make_visible(response)
        return response

    return middleware


def _make_visible(response: HttpResponse) -> None:
    if not _is_plain(response.content):
        response.content = visible(response.content.decode()).encode()


def _is_plain(content: bytes) -> bool:
    return content.isascii() and len(content.translate(None, CONTROL_BYTES)) == len(content)
