"""On to a provider, whose answer brings people back; and what is said where it gives none."""

import logging
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from requests import RequestException

from hub.http.middleware import GetResponse

logger = logging.getLogger(__name__)


def external_redirect(get_response: GetResponse) -> GetResponse:
    """Answer a form that leads to another site with a page that goes on there by itself.

    Forms may lead to the hub alone, and browsers hold the redirects that follow against that. To name the site in the
    policy would not be enough: it may lead on to any other, such as a company's own sign-in.
    """

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            # Before: a form that waited for a proof goes on under its own path.
            is_form = request.method == "POST" and request.path.startswith("/accounts/")
            response = get_response(request)
            target = response.headers.get("Location", "")
            if not is_form or not urlsplit(target).netloc:
                return response
            return render(request, "account/leaving.html", {"target": target, "host": urlsplit(target).netloc})

        def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
            if not isinstance(exception, RequestException):
                return None
            logger.error("%s could not go on: %s", request.path, exception)
            return render(request, "socialaccount/authentication_error.html", {"is_down": True}, status=502)

    return Middleware()
