"""Forms sent after the session ended: a message says that the input was lost, and how to sign in."""

import re
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.urls import reverse

from hub.http.middleware import GetResponse

NOTHING_SAVED = "You are signed out. Nothing was saved: sign in, then send the form again."
# Forms for visitors who are not signed in.
FOR_VISITORS = re.compile(r"/accounts/(?:(?:.+/)?(?:login|signup)/|password/reset/|confirm-email/|2fa/authenticate/)")


def warn_of_lost_form(get_response: GetResponse) -> GetResponse:
    """Show a message on the sign-in page if a form led there, since its input is lost."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method == "POST" and _leads_in_and_back(request, response) and request.user.is_anonymous:
            messages.warning(request, NOTHING_SAVED)
        return response

    return middleware


def sign_in_url(request: HttpRequest) -> str:
    """Return the sign-in URL that leads back to this page; empty if signed in, or on a page for visitors."""
    if request.user.is_authenticated or FOR_VISITORS.match(request.path):
        return ""
    return redirect_to_login(request.get_full_path()).url


def _leads_in_and_back(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Tell whether the response redirects to sign-in and back to this page. The steps of signing in never do."""
    target = urlsplit(response.headers.get("Location", ""))
    is_sign_in = target.path in (reverse("account_login"), reverse("admin:login"))
    return is_sign_in and QueryDict(target.query).get("next") == request.get_full_path()
