"""Redirects of forms to an identity provider, and the page for a provider that doesn't answer."""

import logging
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from requests import RequestException

from hub.http.middleware import GetResponse

logger = logging.getLogger(__name__)


def external_redirect(get_response: GetResponse) -> GetResponse:
    """Replace a redirect to another site, as the response to a form, by a page that redirects there.

    The Content-Security-Policy allows forms only to the hub, and browsers apply it to redirects after a form, too.
    Listing the provider in the policy is not enough: it may redirect to a third site, such as a company's sign-in.
    """

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            # Computed before the view: after re-authentication, allauth resumes a form under the form's own path.
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
