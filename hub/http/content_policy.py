"""The Content-Security-Policy of every response."""

from typing import Any

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# Attributes with which a view changes the policy; django-csp's decorators set them.
OWN_POLICY = ("_csp_update", "_csp_config", "_csp_replace", "_csp_exempt")


class ContentPolicy(CSPMiddleware):
    """django-csp's middleware, but the default policy is built once instead of for each response (25 µs).

    There are no nonces: no page has inline scripts or styles.
    """

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self._policy: str = build_policy()

    def process_request(self, request: HttpRequest) -> None:
        """Make no nonce."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if any(hasattr(response, name) for name in OWN_POLICY):
            answer: HttpResponseBase = super().process_response(request, response)
            return answer
        response.headers.setdefault(HEADER, self._policy)
        return response
