"""Invisible characters in pages and feeds are shown as numbers, so that names and texts read as they are.

It changes the whole response, so that no template can forget it. Values of form fields keep their characters: otherwise
the form would submit the numbers.
"""

import re

from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from hub.http.middleware import GetResponse
from hub.plain_text import CONTROL_BYTES, UNSEEN, visible

TYPES = ("text/html", "application/atom+xml")
LAST_CONTROL = 0x9F
# The value of a field as Django renders it: `"` and `<` are escaped in it.
FIELD = re.compile(r'(<textarea\b[^>]*>[^<]*|<input\b[^>]*\bvalue="[^"]*")')


def show_invisible_characters(get_response: GetResponse) -> GetResponse:
    """Replace invisible characters of pages with their numbers, such as `[U+202E]`."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and response.headers.get("Content-Type", "").startswith(TYPES):
            _make_visible(response)
        return response

    return middleware


def _make_visible(response: HttpResponse) -> None:
    if not _is_plain(response.content):
        response.content = shown(response.content.decode()).encode()


def shown(page: str) -> str:
    """Return `page` with invisible characters as numbers; as character references in values of fields."""
    parts = enumerate(FIELD.split(page))
    return "".join(UNSEEN.sub(_as_reference, part) if number % 2 else visible(part) for number, part in parts)


def _as_reference(found: re.Match[str]) -> str:
    """Return a character reference; a number for control characters, which HTML can't reference."""
    code = ord(found[0])
    return f"&#x{code:X};" if code > LAST_CONTROL else visible(found[0])


def _is_plain(content: bytes) -> bool:
    return content.isascii() and len(content.translate(None, CONTROL_BYTES)) == len(content)
