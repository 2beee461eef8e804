"""What every request passes through: keys out of paths first, errors into sentences last."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from hub.errors import HubError, unavailable
from hub.storage import StoreError

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# In META because Django's error reports blank every entry whose name contains KEY; no header can set it.
PATH_KEY = "channelhub.path_key"
PATH_KEY_PREFIX = "/t/"

logger = logging.getLogger(__name__)


def path_key(get_response: GetResponse) -> GetResponse:
    """Take the key out of `/t/<key>/…` before anything logs the path; conda and mamba send keys in that way."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(PATH_KEY_PREFIX):
            key, _, rest = request.path_info.removeprefix(PATH_KEY_PREFIX).partition("/")
            path = f"/{rest}"
            request.META[PATH_KEY] = key
            # RAW_URI is what gunicorn's access log shows.
            request.META["PATH_INFO"] = request.META["RAW_URI"] = path
            request.path = request.path_info = path
        return get_response(request)

    return middleware


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


def plain_errors(get_response: GetResponse) -> GetResponse:
    """Answer every HubError as one plain sentence: clients show the first 512 characters of it to people."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
            return answer(exception)

    return Middleware()


def answer(exception: Exception) -> HttpResponse | None:
    """The plain-text answer to an error that the hub knows, None for any other."""
    if isinstance(exception, StoreError):
        logger.error("%s", exception)
        exception = unavailable(
            "store_unavailable", "The package store does not answer. Nothing was changed; try again."
        )
    if not isinstance(exception, HubError):
        return None
    return HttpResponse(
        f"{exception.detail}\n",
        status=exception.status,
        content_type="text/plain; charset=utf-8",
        headers=exception.headers | {"X-Error-Code": exception.code, "Cache-Control": "no-store"},
    )
