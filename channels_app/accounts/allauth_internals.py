"""allauth's internal names, behind functions of the hub. tests/hub/test_library_internals.py fails if one changes."""

from dataclasses import dataclass
from typing import Any

from allauth.account.internal.flows.email_verification_by_code import EMAIL_VERIFICATION_CODE_SESSION_KEY
from allauth.account.internal.flows.reauthentication import suspend_request
from allauth.account.internal.stagekit import LOGIN_SESSION_KEY
from allauth.account.utils import url_str_to_user_pk
from allauth.core.internal.httpkit import extract_basic_auth
from allauth.idp.oidc.internal.oauthlib import device_codes
from allauth.idp.oidc.views import AuthorizationView
from allauth.mfa.totp.internal.auth import validate_totp_code
from django.core.cache import cache
from django.http import HttpRequest

from channels_app.models import User


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A validated request of an application for a user's consent."""

    client_id: str
    redirect_uri: str
    scopes: list[str]


def authorization_request(view: AuthorizationView) -> AuthorizationRequest:
    """Return the request that allauth's consent page has validated."""
    fields = view._request_info
    return AuthorizationRequest(fields["client_id"], fields["redirect_uri"], view._scopes)


def basic_auth(request: HttpRequest) -> tuple[str | None, str | None]:
    """Return the user name and password of basic authentication; None for both if one is missing."""
    name, password = extract_basic_auth(request.headers)
    return name, password


def device_scopes(device_code: str) -> list[str]:
    """Return the scopes that a device requested; empty if it named none."""
    cached = cache.get(device_codes.cache_device_code_key(device_code)) or {}
    return cached.get("scope") or []


def answer_device(device_code: str, user: User, *, is_confirmed: bool) -> None:
    """Record the user's answer, which the device asks for."""
    device_codes.confirm_or_deny_device_code(user, device_code, confirm=is_confirmed)


def keep_form(request: HttpRequest, url: str) -> None:
    """Store a posted form in the session. allauth resumes it after the re-authentication at `url`."""
    suspend_request(request, url)


def is_totp_code(secret: str, code: str) -> bool:
    """Tell whether the authenticator app with this secret shows the code now. The code stays unused."""
    return bool(validate_totp_code(secret, code))


def unverified_address(request: HttpRequest) -> dict[str, Any]:
    """Return the session's state of an address that waits for its code; empty if there is none."""
    state: dict[str, Any] = request.session.get(EMAIL_VERIFICATION_CODE_SESSION_KEY) or {}
    return state


def unfinished_sign_in(request: HttpRequest) -> int | None:
    """Return the id of the user whose password was right and whose second factor is missing."""
    login: dict[str, Any] = request.session.get(LOGIN_SESSION_KEY) or {}
    # allauth writes ids in base 36: 10 is "a".
    return url_str_to_user_pk(login["user_pk"]) if login.get("user_pk") else None
