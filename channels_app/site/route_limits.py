"""Rate limits of routes: the counters of each, and their wording. The numbers are in rate_limits/counters.py.

allauth's own limits are off (hub/base_settings.py): they would be a second table, and answer without Retry-After.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from channels_app.accounts import attempts
from channels_app.rate_limits import counters
from channels_app.site import error_pages
from hub.errors import HubError
from hub.http.middleware import GetResponse


def user(request: HttpRequest) -> str:
    """Return the signed-in account, else the client's address."""
    return f"user {request.user.pk}" if request.user.is_authenticated else counters.address(request)


def recipient(request: HttpRequest) -> str:
    """Return the counter of mails to the form's e-mail address; empty if it has none."""
    email = request.POST.get("email", "")
    return attempts.recipient(request, email) if email else ""


def visitor_counter(request: HttpRequest) -> str:
    """Return the shared counter of visitors; empty for signed-in users and known devices."""
    return attempts.visitor_mail_counter(request, request.POST.get("email", ""))


def key_maker(request: HttpRequest) -> str:
    """Return the user for a new key; empty for a revocation, which is never limited."""
    return "" if "revoke" in request.POST else user(request)


@dataclass(frozen=True, slots=True)
class RouteLimit:
    """A limit of a route: its `name` in `counters.LIMITS`, the counter, and the wording of the message.

    Beyond the limit, `passes` exempts a request, and `then` is called for one that is refused. With `is_counted` False
    the limit is only checked here, and counted elsewhere.
    """

    name: str
    by: Callable[[HttpRequest], str]
    what: str
    passes: Callable[[HttpRequest], bool] = lambda _: False
    then: Callable[[HttpRequest], None] = lambda _: None
    is_counted: bool = True


SIGN_INS = RouteLimit("sign-in-by-address", counters.address, "tries to sign in from this address")
TRIES = RouteLimit(
    "sign-in-by-account",
    attempts.attempt_counter,
    "tries to sign in to this account",
    passes=attempts.has_right_code,
    then=attempts.too_many,
)
SECOND_FACTORS = RouteLimit(
    "second-factor-by-account",
    attempts.second_factor_counter,
    "tries of a second factor for this account",
    then=attempts.too_many_factors,
)
CODES = RouteLimit("code-by-address", counters.address, "tries of a code from this address")
CONFIRMATIONS = RouteLimit(
    "confirm-by-account", user, "tries to confirm that this is your account", then=attempts.too_many_proofs
)
SIGN_UPS = RouteLimit("sign-up-by-address", counters.address, "new accounts from this address")
RESETS = RouteLimit("password-reset-by-address", counters.address, "password resets from this address")
MAILS = RouteLimit("mail-by-recipient", recipient, "mails to this address", is_counted=False)
VISITORS_MAILS = RouteLimit("mail-by-visitors", visitor_counter, "mails that visitors ask for", is_counted=False)
EMAILS = RouteLimit("email-by-account", user, "changes of e-mail addresses")
DEVICES = RouteLimit("device-by-address", counters.address, "sign-ins of devices from this address")
DEVICE_CODES = RouteLimit("device-code-by-account", user, "tries of a device's code")
TOKENS = RouteLimit("token-by-address", counters.address, "requests about tokens from this address")
KEYS = RouteLimit("key-by-account", key_maker, "new keys of yours")
WRONG_KEYS = RouteLimit("wrong-key-by-address", counters.address, "wrong keys from this address")

ROUTES = {
    "account_login": (SIGN_INS, TRIES),
    "mfa_authenticate": (SIGN_INS, SECOND_FACTORS),
    "mfa_login_webauthn": (SIGN_INS,),
    "account_signup": (SIGN_UPS, MAILS, VISITORS_MAILS),
    "socialaccount_signup": (SIGN_UPS, MAILS, VISITORS_MAILS),
    "account_reset_password": (RESETS, MAILS, VISITORS_MAILS),
    "account_confirm_password_reset_code": (CODES,),
    "account_complete_password_reset": (CODES,),
    "account_email_verification_sent": (CODES, VISITORS_MAILS),
    "account_reauthenticate": (CONFIRMATIONS,),
    "mfa_reauthenticate": (CONFIRMATIONS,),
    "mfa_reauthenticate_webauthn": (CONFIRMATIONS,),
    "account_change_password": (CONFIRMATIONS,),
    "mfa_activate_totp": (CONFIRMATIONS,),
    "account_email": (EMAILS, MAILS),
    "account-keys": (KEYS,),
    "channel-robots": (KEYS,),
    "doctor": (WRONG_KEYS,),
    "idp:oidc:device_code": (DEVICES,),
    "idp:oidc:device_authorization": (DEVICE_CODES,),
    "idp:oidc:token": (TOKENS,),
    "idp:oidc:revoke": (TOKENS,),
    "idp:oidc:userinfo": (TOKENS,),
}
# Routes that check credentials: wrong ones are counted.
TRIALS = {"whoami", "key-current", "graphql", "quetz-me", "anaconda-user", "anaconda-authentications"}


def rate_limit(get_response: GetResponse) -> GetResponse:
    """Count the requests of ROUTES before their view runs. Answer 429 beyond a limit, with a page for browsers."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            response = get_response(request)
            match = request.resolver_match
            if response.headers.get("X-Error-Code") == "invalid_key" and match and match.view_name in TRIALS:
                return refusal(request, (WRONG_KEYS,)) or response
            return response

        def process_view(self, request: HttpRequest, *_: Any) -> HttpResponseBase | None:
            match = request.resolver_match
            # The device page also checks a code by GET.
            if match is None or not (request.method == "POST" or "code" in request.GET):
                return None
            return refusal(request, ROUTES.get(match.view_name, ()))

        def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
            if isinstance(exception, HubError) and exception.status == 429:
                return error_pages.too_many(request, exception)
            return None

    return Middleware()


def refusal(request: HttpRequest, by: tuple[RouteLimit, ...]) -> HttpResponse | None:
    """Count the request by each limit. Return 429 if one is exceeded."""
    for limit in by:
        if error := _exceeded(request, limit):
            return error_pages.too_many(request, error)
    return None


def _exceeded(request: HttpRequest, limit: RouteLimit) -> HubError | None:
    counter = limit.by(request)
    if not counter:
        return None
    try:
        (counters.hit if limit.is_counted else counters.check)(limit.name, counter, limit.what)
    except HubError as error:
        if limit.passes(request):
            return None
        limit.then(request)
        return error
    return None
