"""Pages, feeds and JSON in gzip for whoever takes that: a third of the bytes for 0.2 ms.

Channel files have encodings of their own (publishing/downloads/encodings.py), static files are compressed by nginx.
"""

from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from hub.http.middleware import GetResponse

TYPES = ("text/html", "application/json", "application/atom+xml")


def compress(get_response: GetResponse) -> GetResponse:
    """Compress answers of TYPES. Django adds bytes of random length, so that no secret is guessed by sizes (BREACH)."""
    gzip = GZipMiddleware(get_response)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and response.headers.get("Content-Type", "").startswith(TYPES):
            return gzip.process_response(request, response)
        return response

    return middleware
