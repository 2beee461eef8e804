"""Receivers of allauth's signals, which record account events in the audit log.

audit/notifications.py sends mails about them; audit/descriptions.py words them for the account's activity.
"""

from hashlib import sha256
from typing import Any

from allauth.account import signals as account
from allauth.account.models import EmailAddress
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.socialaccount import signals as social
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.contrib.auth.signals import user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from channels_app.access.actions import Action
from channels_app.access.mail_addresses import account_named
from channels_app.access.permissions import Actor
from channels_app.accounts import browsers, devices
from channels_app.audit import log
from channels_app.models import AuditEvent, User
from channels_app.rate_limits import counters

SIGN_IN = Action.ACCOUNT_SIGN_IN
NEW_DEVICE = Action.ACCOUNT_NEW_DEVICE
FACTORS = {"totp": "an authenticator app", "webauthn": "a passkey", "recovery_codes": "recovery codes"}


@receiver(account.user_logged_in)
def signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Record a sign-in, as a new device if its browser or network is new. The first sign-in of all is no new device."""
    agent, network = browsers.device(request)
    digest = sha256(f"{agent} {network}".encode()).hexdigest()[:16]
    before = AuditEvent.objects.filter(actor=user, action__in=(SIGN_IN, NEW_DEVICE))
    is_new = before.exists() and not before.filter(detail__device=digest).exists()
    record(NEW_DEVICE if is_new else SIGN_IN, user, device=digest, agent=agent, network=network)
    devices.remember_device(request, user)


@receiver(user_login_failed)
def sign_in_failed(request: HttpRequest | None, credentials: dict[str, Any], **_: Any) -> None:
    """Record a failed sign-in of an account that exists. Any other name may be a mistyped password and is not recorded.

    rate_limits/counters.py limits the number of attempts. One row is written in any case, so that the response time
    doesn't reveal accounts.
    """
    name = str(credentials.get("username") or credentials.get("email") or "")
    user = account_named(name)
    if user and request:
        agent, network = browsers.device(request)
        record(Action.ACCOUNT_SIGN_IN_FAILED, user, agent=agent, network=network)
    else:
        counters.count("sign-in-by-account", f"nobody {name}")


@receiver(account.email_changed)
def email_changed(
    user: User, from_email_address: EmailAddress | None, to_email_address: EmailAddress, **_: Any
) -> None:
    before = from_email_address.email if from_email_address else ""
    record(Action.ACCOUNT_EMAIL, user, to_email_address.email, before=before)


@receiver([account.password_set, account.password_changed, account.password_reset])
def password_changed(request: HttpRequest, user: User, **_: Any) -> None:
    record(Action.ACCOUNT_PASSWORD, user)
    devices.remember_device(request, user)


@receiver(mfa.authenticator_added)
def factor_added(user: User, authenticator: Authenticator, **_: Any) -> None:
    record(Action.ACCOUNT_FACTOR_ADD, user, FACTORS[authenticator.type])


@receiver(mfa.authenticator_removed)
def factor_removed(user: User, authenticator: Authenticator, **_: Any) -> None:
    record(Action.ACCOUNT_FACTOR_REMOVE, user, FACTORS[authenticator.type])


@receiver(mfa.authenticator_reset)
def factor_reset(user: User, authenticator: Authenticator, **_: Any) -> None:
    record(Action.ACCOUNT_FACTOR_RESET, user, FACTORS[authenticator.type])


@receiver(mfa.authenticator_used)
def recovery_code_used(user: User, authenticator: Authenticator, **_: Any) -> None:
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        record(Action.ACCOUNT_RECOVERY_CODE, user)


@receiver(social.social_account_added)
def connected(sociallogin: SocialLogin, **_: Any) -> None:
    record(Action.ACCOUNT_CONNECT, sociallogin.user, str(sociallogin.account.get_provider().name))


@receiver(social.social_account_removed)
def disconnected(socialaccount: SocialAccount, **_: Any) -> None:
    record(Action.ACCOUNT_DISCONNECT, socialaccount.user, str(socialaccount.get_provider().name))


def record(action: Action, user: User, target: str = "", **detail: str) -> None:
    log.record(action, by=Actor(user=user), target=target or user.username, detail=detail)
