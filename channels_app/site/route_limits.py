"""Which requests are counted, by what, and in which words they are refused; how many are allowed stands in limits.py.

allauth's own limits are off (hub/settings.py): they would be a second table, and answer without Retry-After.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from channels_app.accounts import tries
from channels_app.rate_limits import counters
from channels_app.site import error_pages
from hub.errors import HubError
from hub.http.middleware import GetResponse


def user(request: HttpRequest) -> str:
    """The account that is signed in, else the address."""
    return f"user {request.user.pk}" if request.user.is_authenticated else counters.address(request)


def recipient(request: HttpRequest) -> str:
    """Whom the request makes the hub send a mail to."""
    email = request.POST.get("email", "")
    return tries.recipient(request, email) if email else ""


def anybody(request: HttpRequest) -> str:
    """All visitors together; who is signed in, or in a browser that the account knows, is none."""
    return tries.visitors(request, request.POST.get("email", ""))


def key_maker(request: HttpRequest) -> str:
    """Who makes a key; revoking one is always possible."""
    return "" if "revoke" in request.POST else user(request)


@dataclass(frozen=True, slots=True)
class RouteLimit:
    """`name` of limits.LIMITS, what tells those who are counted apart, and what they do, for the message.

    Beyond it, `passes` says who may go on, and `then` is called for who may not. What is counted elsewhere, where it is
    done, is only looked up here.
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
    tries.counted,
    "tries to sign in to this account",
    passes=tries.has_right_code,
    then=tries.too_many,
)
SECOND_FACTORS = RouteLimit(
    "second-factor-by-account",
    tries.half_signed_in,
    "tries of a second factor for this account",
    then=tries.too_many_factors,
)
CODES = RouteLimit("code-by-address", counters.address, "tries of a code from this address")
CONFIRMATIONS = RouteLimit(
    "confirm-by-account", user, "tries to confirm that this is your account", then=tries.too_many_proofs
)
SIGN_UPS = RouteLimit("sign-up-by-address", counters.address, "new accounts from this address")
RESETS = RouteLimit("password-reset-by-address", counters.address, "password resets from this address")
MAILS = RouteLimit("mail-by-recipient", recipient, "mails to this address", is_counted=False)
VISITORS_MAILS = RouteLimit("mail-by-visitors", anybody, "mails that visitors ask for", is_counted=False)
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
# Where credentials are tried out: those that are wrong are counted.
TRIALS = {"whoami", "key-current", "graphql"}


def rate_limit(get_response: GetResponse) -> GetResponse:
    """Count what ROUTES names, before its view runs; whatever is too often is 429, for browsers as a page."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_view(self, request: HttpRequest, *_: Any) -> HttpResponseBase | None:
            match = request.resolver_match
            # A GET with a code tries it too: the device page does.
            if match is None or not (request.method == "POST" or "code" in request.GET):
                return None
            return refusal(request, ROUTES.get(match.view_name, ()))

        def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
            if not isinstance(exception, HubError):
                return None
            match = request.resolver_match
            if exception.code == "invalid_key" and match and match.view_name in TRIALS:
                return refusal(request, (WRONG_KEYS,))
            return error_pages.too_many(request, exception) if exception.status == 429 else None

    return Middleware()


def refusal(request: HttpRequest, by: tuple[RouteLimit, ...]) -> HttpResponse | None:
    """One more of everything that is counted here; 429 where that is too many."""
    for limit in by:
        if error := _exceeded(request, limit):
            return error_pages.too_many(request, error)
    return None


def _exceeded(request: HttpRequest, limit: RouteLimit) -> HubError | None:
    who = limit.by(request)
    if not who:
        return None
    try:
        (counters.hit if limit.is_counted else counters.check)(limit.name, who, limit.what)
    except HubError as error:
        if limit.passes(request):
            return None
        limit.then(request)
        return error
    return None
