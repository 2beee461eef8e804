"""The outermost middleware: request ids, request metrics and the access log, for every response."""

import logging
import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hub.http.middleware import GetResponse
from hub.observability import metrics, request_ids

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# The caller, as text for the log; channels_app.authentication.actors sets it. No header can set this name in META.
LOG_ACTOR = "channelhub.who"

logger = logging.getLogger("hub.access")


def request_metrics(get_response: GetResponse) -> GetResponse:
    """Measure and log requests. An incoming request id is accepted only from a configured proxy."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        offered = request.headers.get(request_ids.HEADER) if settings.HUB_PROXIES else None
        request_id = request_ids.begin(offered)
        response = get_response(request)
        response.headers[request_ids.HEADER] = request_id
        seconds = time.perf_counter() - began
        route, method = _route(request), request.method if request.method in METHODS else "other"
        metrics.REQUESTS.labels(route, method, response.status_code).inc()
        metrics.REQUEST_SECONDS.labels(route, method).observe(seconds)
        if settings.HUB_ACCESS_LOG:
            _log(request, response, route, seconds)
        return response

    return middleware


def _route(request: HttpRequest) -> str:
    """Return the name of the route, not the path: channel and package names would make unbounded labels."""
    match = request.resolver_match
    return match.view_name or match.route if match else "none"


def _log(request: HttpRequest, response: HttpResponseBase, route: str, seconds: float) -> None:
    # Keys have been removed from the path. The query is not logged: it can hold codes, states and searches.
    found: dict[str, Any] = {
        "method": request.method,
        "path": request.path,
        "route": route,
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        "bytes": int(response.headers.get("Content-Length") or 0),
        "client": request.META.get("REMOTE_ADDR"),
        "who": request.META.get(LOG_ACTOR, "-"),
    }
    logger.info(
        "%(method)s %(path)s %(status)s %(ms)s ms %(bytes)s bytes from %(client)s by %(who)s", found, extra=found
    )
