"""Failed sign-ins of one account: how they are counted, exceptions from the limit, and the mail to the owner.

Names with and without an account cost the same work and get the same response.
"""

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from channels_app.access.actions import Action
from channels_app.access.mail_addresses import account_named, normalize
from channels_app.access.permissions import Actor
from channels_app.accounts import devices
from channels_app.accounts.allauth_internals import is_totp_code, unfinished_sign_in
from channels_app.audit import log, notifications, outbox
from channels_app.models import User
from channels_app.rate_limits import counters

TELL = "channels_app.tasks.tell_of_tries"
NO_SECRET = "A" * 32  # a secret of no authenticator app
NO_USER = 0


def attempt_counter(request: HttpRequest) -> str:
    """Return the counter of a sign-in attempt: the account, or one of its known devices.

    User name and e-mail address of an account share one counter.
    """
    name = request.POST.get("login", "")
    user = account_named(name)
    return _of(request, user) if user else normalize(name)


def second_factor_counter(request: HttpRequest) -> str:
    """Return the counter of a second factor: the account with the right password, else the client's address."""
    user = _user_before_factor(request)
    return _of(request, user) if user else counters.address(request)


def recipient(request: HttpRequest, email: str) -> str:
    """Return the counter of mails to the address. A known device of its account has a counter of its own.

    Otherwise anybody could use up the ten mails an hour and keep the owner from a new password.
    """
    address = normalize(email)
    user = account_named(address)
    device = devices.known_device_id(request, user) if user else ""
    return f"{address} device {device}" if device else address


def visitor_mail_counter(request: HttpRequest, email: str) -> str:
    """Return the shared counter of mails requested by visitors; empty for users and known devices.

    Otherwise one visitor could use up the limit and keep everybody from a new password.
    """
    if request.user.is_authenticated:
        return ""
    user = account_named(email)
    return "" if user and devices.known_device_id(request, user) else "visitors"


def has_right_code(request: HttpRequest) -> bool:
    """Tell whether the form has a valid code of the account's app. It stays unused, since the next page asks for it.

    Recovery codes are not accepted here: they are valid for years, so they could be guessed.
    """
    user = account_named(request.POST.get("login", ""))
    factor = Authenticator.objects.filter(user=user.pk if user else NO_USER, type=Authenticator.Type.TOTP).first()
    encrypted = factor.data["secret"] if factor else get_adapter().encrypt(NO_SECRET)
    is_right = is_totp_code(get_adapter().decrypt(encrypted), request.POST.get("code", "")[:20])
    return bool(factor and is_right)


def too_many(request: HttpRequest) -> None:
    """Notify the account's owner, at most once a day."""
    user = account_named(request.POST.get("login", ""))
    _warn(user, normalize(request.POST.get("login", "")))


def too_many_proofs(request: HttpRequest) -> None:
    """Notify the session's user of too many failed re-authentications; the session may be stolen."""
    if request.user.is_authenticated:
        _warn(request.user)


def too_many_factors(request: HttpRequest) -> None:
    """Notify the account's owner of too many wrong second factors; the password is known to an attacker."""
    if user := _user_before_factor(request):
        _warn(user)


def notify_owner(user_id: int) -> None:
    """Record too many failed sign-ins; the event is sent by mail."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user:
        log.record(Action.ACCOUNT_TRIED_OFTEN, by=Actor(user=user), target=user.username)


def _user_before_factor(request: HttpRequest) -> User | None:
    return User.objects.filter(pk=unfinished_sign_in(request) or NO_USER).first()


def _warn(user: User | None, name: str = "") -> None:
    if counters.count("warning-by-account", f"user {user.pk}" if user else name) == 1:
        outbox.put(TELL, user.pk if user else NO_USER, lane=notifications.EVENTS)


def _of(request: HttpRequest, user: User) -> str:
    device = devices.known_device_id(request, user)
    return f"user {user.pk} device {device}" if device else f"user {user.pk}"
