"""Too many wrong passwords for one account: who passes all the same, and how its owner is told.

Accounts that exist and names of none cost the same work, and are answered alike.
"""

from typing import Any

from allauth.account.utils import url_str_to_user_pk
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import validate_totp_code
from django.http import HttpRequest

from channels_app.access.actions import Action
from channels_app.access.mail_addresses import account_named, plain
from channels_app.access.permissions import Actor
from channels_app.accounts import devices
from channels_app.audit import log, notifications, outbox
from channels_app.models import User
from channels_app.rate_limits import counters

TELL = "channels_app.tasks.tell_of_tries"
NO_SECRET = "A" * 32  # of nobody's app
NOBODY = 0


def counted(request: HttpRequest) -> str:
    """Against whom a try counts: the account, the same by name and by address; a device that it knows, by itself."""
    name = request.POST.get("login", "")
    user = account_named(name)
    return _of(request, user) if user else plain(name)


def half_signed_in(request: HttpRequest) -> str:
    """The same of a second factor: the account whose password was right; where there is none, the address."""
    user = _half(request)
    return _of(request, user) if user else counters.address(request)


def recipient(request: HttpRequest, email: str) -> str:
    """By what mails to the address count: those that its own account's device asks for, by themselves.

    Else whoever has ten sent there each hour keeps its owner from a new password.
    """
    address = plain(email)
    user = account_named(address)
    device = devices.known(request, user) if user else ""
    return f"{address} device {device}" if device else address


def visitors(request: HttpRequest, email: str) -> str:
    """By what mails count that visitors ask for, all of them together; empty in a browser that the account knows.

    Else whoever uses up the share of all visitors keeps everybody from a new password.
    """
    if request.user.is_authenticated:
        return ""
    user = account_named(email)
    return "" if user and devices.known(request, user) else "visitors"


def has_right_code(request: HttpRequest) -> bool:
    """Tell whether the form has a code of the account's app. It is not used up: the next page asks for it.

    Recovery codes are not taken here: they hold for years, so they could be found by trying.
    """
    user = account_named(request.POST.get("login", ""))
    factor = Authenticator.objects.filter(user=user.pk if user else NOBODY, type=Authenticator.Type.TOTP).first()
    encrypted = factor.data["secret"] if factor else get_adapter().encrypt(NO_SECRET)
    is_right = validate_totp_code(get_adapter().decrypt(encrypted), request.POST.get("code", "")[:20])
    return bool(factor and is_right)


def too_many(request: HttpRequest) -> None:
    """Have the account's owner told, once a day."""
    user = account_named(request.POST.get("login", ""))
    _warn(user, plain(request.POST.get("login", "")))


def too_many_proofs(request: HttpRequest) -> None:
    """The same where the tries were in a session: somebody may have found it, and guesses the password."""
    if request.user.is_authenticated:
        _warn(request.user)


def too_many_factors(request: HttpRequest) -> None:
    """The same where a password was right already: it is known to somebody who lacks the second factor."""
    if user := _half(request):
        _warn(user)


def notify_owner(user_id: int) -> None:
    """Record that too many passwords were tried; the event is told by mail."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user:
        log.record(Action.ACCOUNT_TRIED_OFTEN, by=Actor(user=user), target=user.username)


def _half(request: HttpRequest) -> User | None:
    # By allauth.account.internal.stagekit, which keeps there what it has so far.
    login: dict[str, Any] = request.session.get("account_login") or {}
    # Keys to the base of 36, as allauth writes them: that of 10 is "a".
    user_id = url_str_to_user_pk(login["user_pk"]) if login.get("user_pk") else NOBODY
    return User.objects.filter(pk=user_id).first()


def _warn(user: User | None, name: str = "") -> None:
    if counters.count("warning-by-account", f"user {user.pk}" if user else name) == 1:
        outbox.put(TELL, user.pk if user else NOBODY, lane=notifications.EVENTS)


def _of(request: HttpRequest, user: User) -> str:
    device = devices.known(request, user)
    return f"user {user.pk} device {device}" if device else f"user {user.pk}"
