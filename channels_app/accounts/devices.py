"""Known browsers: a user has signed in there before, so failed attempts from elsewhere don't block them.

Each has a signed cookie with the account's id. The cookie gives no access, and expires when the password changes.
"""

import secrets
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from channels_app.models import User
from hub.http.middleware import GetResponse

COOKIE = "known_device"
SALT = "known device"
PATH = "/accounts/"
LIFETIME_S = 365 * 24 * 3600
# A browser shared by several people keeps the accounts that signed in last.
ACCOUNTS_MAX = 5
TO_REMEMBER = "channelhub.known_device"  # in META: the id of the user to store in the cookie


def known_device_id(request: HttpRequest, user: User) -> str:
    """Return the id of the user's device that sends the request; empty if the browser is not known."""
    device, password = _cookie(request).get(str(user.pk), ("", ""))
    return str(device) if device and password == _password_digest(user) else ""


def remember_device(request: HttpRequest, user: User) -> None:
    """Have `known_devices` store the user in the browser's cookie. Call it after a successful sign-in."""
    request.META[TO_REMEMBER] = user.pk


def known_devices(get_response: GetResponse) -> GetResponse:
    """Set the cookie of known devices where `remember` was called."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # Read the user again: the request's copy may still have the old password.
        user_id: int = request.META.get(TO_REMEMBER, 0)
        user = User.objects.filter(pk=user_id).first() if user_id else None
        if user:
            _set(request, response, user)
        return response

    return middleware


def _set(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    device = known_device_id(request, user) or secrets.token_hex(8)
    others = [each for each in _cookie(request).items() if each[0] != str(user.pk)]
    devices = dict([*others[-(ACCOUNTS_MAX - 1) :], (str(user.pk), (device, _password_digest(user)))])
    response.set_cookie(
        COOKIE,
        signing.dumps(devices, salt=SALT),
        max_age=LIFETIME_S,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _cookie(request: HttpRequest) -> dict[str, Any]:
    try:
        devices: dict[str, Any] = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=LIFETIME_S)
    except signing.BadSignature:
        return {}
    return devices


def _password_digest(user: User) -> str:
    """Return a digest that changes with the password."""
    return user.get_session_auth_hash()[:16]
