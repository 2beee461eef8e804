"""Browsers in which somebody has signed in before: what strangers try for the account counts against none of them.

Each has a signed cookie, which opens nothing. It names the account and ends with its password.
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
# Of several people at one browser, those who signed in last.
ACCOUNTS_MAX = 5
TO_REMEMBER = "channelhub.known_device"  # in META: whose device the answer makes it


def known(request: HttpRequest, user: User) -> str:
    """Which of the user's devices sends the request; empty where it is none."""
    device, password = _cookie(request).get(str(user.pk), ("", ""))
    return str(device) if device and password == _password(user) else ""


def remember(request: HttpRequest, user: User) -> None:
    """Have the answer to the request make its browser a known one: the user has just proved who it is."""
    request.META[TO_REMEMBER] = user.pk


def known_devices(get_response: GetResponse) -> GetResponse:
    """Set the cookie where it is due."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # As the database has it: a password that has just been replaced may be new there alone.
        user_id: int = request.META.get(TO_REMEMBER, 0)
        user = User.objects.filter(pk=user_id).first() if user_id else None
        if user:
            _set(request, response, user)
        return response

    return middleware


def _set(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    device = known(request, user) or secrets.token_hex(8)
    others = [each for each in _cookie(request).items() if each[0] != str(user.pk)]
    devices = dict([*others[-(ACCOUNTS_MAX - 1) :], (str(user.pk), (device, _password(user)))])
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


def _password(user: User) -> str:
    """A digest that changes with the password."""
    return user.get_session_auth_hash()[:16]
