"""Pages and feeds show what is unseen: a name, a README or a path that turns writing round reads as what it is.

Done to the whole answer, so that no template can forget it. What a form holds for its user to change is kept as it is:
else the numbers would be stored.
"""

import re

from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from hub.http.middleware import GetResponse
from hub.plain_text import CONTROL_BYTES, UNSEEN, visible

TYPES = ("text/html", "application/atom+xml")
LAST_CONTROL = 0x9F
# The text of a field, as Django writes it: `"` and `<` are escaped in it.
FIELD = re.compile(r'(<textarea\b[^>]*>[^<]*|<input\b[^>]*\bvalue="[^"]*")')


def show_invisible_characters(get_response: GetResponse) -> GetResponse:
    """Write every unseen character of a page as its number, such as `[U+202E]`."""

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
    """`page` with its unseen characters as numbers, and in the text of fields as references, which browsers undo."""
    parts = enumerate(FIELD.split(page))
    return "".join(UNSEEN.sub(_as_reference, part) if number % 2 else visible(part) for number, part in parts)


def _as_reference(found: re.Match[str]) -> str:
    """A reference, but for controls: HTML has none of them."""
    code = ord(found[0])
    return f"&#x{code:X};" if code > LAST_CONTROL else visible(found[0])


def _is_plain(content: bytes) -> bool:
    return content.isascii() and len(content.translate(None, CONTROL_BYTES)) == len(content)
