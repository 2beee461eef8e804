"""The Content-Security-Policy of every response."""

from csp.constants import HEADER
from csp.utils import build_policy
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hub.http.middleware import GetResponse


def set_policy(get_response: GetResponse) -> GetResponse:
    """Set django-csp's policy, unless the view set its own.

    It is built once. django-csp's middleware builds it for each response (25 µs), with a nonce that no page needs.
    """
    policy = build_policy()

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault(HEADER, policy)
        return response

    return middleware


def allow_form_action(response: HttpResponseBase, source: str) -> None:
    """Set the policy, with `source` added to form-action."""
    response.headers[HEADER] = build_policy(update={"form-action": [source]})
