"""Tests of account events, of the mails about them, and of the page that shows them."""

import re
from html import unescape
from typing import Any

import pytest
from allauth.account import signals as account
from allauth.account.models import EmailAddress
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.socialaccount import signals as social
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from channels_app import tasks
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import AuditEvent, User
from tests.builders import make_user
from tests.pages import events, signed_in, text

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
ACTIVITY = "/account/activity"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


@pytest.fixture(autouse=True)
def hub(settings: Settings) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [{"client_id": "id", "secret": "x"}]}}


@pytest.fixture
def pat(db: None) -> User:
    return make_user("pat", password=PASSWORD, email="pat@example.org")


def sign_in(password: str = PASSWORD, *, name: str = "pat", agent: str = FIREFOX, address: str = "192.0.2.7") -> None:
    Client(REMOTE_ADDR=address, headers={"User-Agent": agent}).post(
        reverse("account_login"), {"login": name, "password": password}
    )


def actions() -> list[str]:
    return [action for action, _, _ in events()]


def sent_mails(sent_jobs: list[tuple[object, ...]]) -> list[Any]:
    """Return the mails of the enqueued jobs."""
    for job, *arguments in sent_jobs:
        getattr(tasks, str(job).rpartition(".")[2])(*arguments)
    return mail.outbox


def test_the_first_sign_in_is_no_news(pat: User, sent_jobs: list[tuple[object, ...]]) -> None:
    sign_in()
    assert [(action, detail["agent"], detail["network"]) for action, _, detail in events()] == [
        ("account.sign_in", "Firefox on Linux", "192.0.2.0/24")
    ]
    assert sent_mails(sent_jobs) == []


@pytest.mark.parametrize(
    ("other", "action"),
    [
        ({}, "account.sign_in"),
        ({"agent": FIREFOX.replace("145", "146")}, "account.sign_in"),
        ({"address": "192.0.2.250"}, "account.sign_in"),
        ({"address": "198.51.100.7"}, "account.new_device"),
        ({"address": "2001:db8::1"}, "account.new_device"),
        ({"agent": "curl/8.5.0"}, "account.new_device"),
        ({"agent": ""}, "account.new_device"),
    ],
)
def test_a_device_is_its_browser_and_its_network(pat: User, other: dict[str, str], action: str) -> None:
    sign_in()
    sign_in(**other)
    sign_in(**other)
    assert actions() == ["account.sign_in", action, "account.sign_in"]


def test_new_device_is_mailed_to_the_user(
    pat: User, sent_jobs: list[tuple[object, ...]], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        sign_in()
        sign_in(address="198.51.100.7")
    (message,) = sent_mails(sent_jobs)
    assert (message.to, message.subject) == (["pat@example.org"], "A sign-in from a new device")
    assert "    198.51.100.0/24\n" in message.body
    assert "https://hub.example.org/accounts/password/change/" in message.body


def test_failed_sign_ins_are_recorded_for_accounts_that_exist(pat: User) -> None:
    sign_in("wrong horse battery")
    sign_in("wrong horse battery", name="pat@example.org")
    sign_in("wrong horse battery", name="my password, by mistake")
    assert [(action, target) for action, target, _ in events()] == [("account.sign_in_failed", "pat")] * 2
    assert "my password" not in str(events())


def authenticator(user: User, kind: str) -> Authenticator:
    return Authenticator(user=user, type=kind, data={})


def trigger(user: User, what: str) -> None:
    """Send the signal that allauth sends after the action."""
    request = RequestFactory().get("/")
    factors = {"added": mfa.authenticator_added, "removed": mfa.authenticator_removed, "reset": mfa.authenticator_reset}
    github = SocialAccount(user=user, provider="github", uid="1")
    verb, _, kind = what.partition(" ")
    match verb:
        case "password":
            account.password_reset.send(User, request=request, user=user)
        case "email":
            old, new = EmailAddress(email="pat@example.org"), EmailAddress(email="new@example.org")
            User.objects.filter(pk=user.pk).update(email="new@example.org")
            account.email_changed.send(User, request=request, user=user, from_email_address=old, to_email_address=new)
        case "used":
            mfa.authenticator_used.send(
                Authenticator,
                request=request,
                user=user,
                authenticator=authenticator(user, kind),
                reauthenticated=False,
                passwordless=False,
            )
        case "connected":
            social.social_account_added.send(
                SocialLogin, request=request, sociallogin=SocialLogin(user=user, account=github)
            )
        case "disconnected":
            social.social_account_removed.send(SocialAccount, request=request, socialaccount=github)
        case _:
            factors[verb].send(Authenticator, request=request, user=user, authenticator=authenticator(user, kind))


@pytest.mark.parametrize(
    ("what", "action", "subject", "sentence"),
    [
        ("password", "account.password", "Your password was changed", "pat changed the password"),
        (
            "email",
            "account.email",
            "Your e-mail address was changed",
            "pat changed the e-mail address to new@example.org Before: pat@example.org",
        ),
        (
            "added totp",
            "account.factor_add",
            "You can now sign in with an authenticator app",
            "pat added an authenticator app as a second factor",
        ),
        (
            "removed webauthn",
            "account.factor_remove",
            "You can no longer sign in with a passkey",
            "pat removed a passkey as a second factor",
        ),
        (
            "reset recovery_codes",
            "account.factor_reset",
            "Your recovery codes were replaced",
            "pat generated new recovery codes",
        ),
        (
            "used recovery_codes",
            "account.recovery_code",
            "A recovery code was used",
            "pat signed in with a recovery code",
        ),
        ("connected", "account.connect", "You can now sign in with GitHub", "pat connected an account of GitHub"),
        (
            "disconnected",
            "account.disconnect",
            "You can no longer sign in with GitHub",
            "pat disconnected the account of GitHub",
        ),
    ],
)
def test_account_events_are_recorded_mailed_and_shown(
    pat: User,
    sent_jobs: list[tuple[object, ...]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    what: str,
    action: str,
    subject: str,
    sentence: str,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        trigger(pat, what)
    assert actions() == [action]
    (message,) = sent_mails(sent_jobs)
    assert (message.to, message.subject) == (["pat@example.org"], subject)
    assert message.body.startswith(f"{subject}. This happened to the account pat on https://hub.example.org:\n")
    assert "https://hub.example.org/account/activity" in message.body
    assert sentence in plain(text(signed_in(pat).get(ACTIVITY)))


def plain(page: str) -> str:
    """Return the page without tags, and with one space between words."""
    return " ".join(unescape(re.sub("<[^>]+>", " ", page)).split())


def test_other_factors_that_are_used_are_no_news(pat: User) -> None:
    trigger(pat, "used totp")
    assert events() == []


def test_a_recovery_code_that_signs_in_is_recorded(pat: User) -> None:
    Authenticator.objects.create(user=pat, type=Authenticator.Type.TOTP, data={"secret": "JBSWY3DPEHPK3PXP"})
    codes = RecoveryCodes.activate(pat)
    browser = Client()
    browser.post(reverse("account_login"), {"login": "pat", "password": PASSWORD})
    browser.post(reverse("mfa_authenticate"), {"code": codes.get_unused_codes()[0]})
    assert actions() == ["account.recovery_code", "account.sign_in"]


def test_a_password_that_is_changed_is_recorded(pat: User) -> None:
    browser = signed_in(pat)
    new = "another horse battery"
    browser.post(reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert actions() == ["account.password"]


def test_a_first_password_is_recorded(sam: User) -> None:
    sam.set_unusable_password()
    sam.save()
    signed_in(sam).post(reverse("account_set_password"), {"password1": PASSWORD, "password2": PASSWORD})
    assert actions() == ["account.password"]


def test_the_page_is_ones_own(pat: User, sam: User) -> None:
    log.record(Action.ACCOUNT_PASSWORD, by=Actor(user=sam), target="sam")
    assert "No activity yet" in text(signed_in(pat).get(ACTIVITY))
    assert Client().get(ACTIVITY).headers["Location"] == f"/accounts/login/?next={ACTIVITY}"
    assert signed_in(pat).post(ACTIVITY).status_code == 405


def test_queries_do_not_grow(pat: User, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(60):
        log.record(Action.ACCOUNT_PASSWORD, by=Actor(user=pat), target="pat")
    assert AuditEvent.objects.count() == 60
    browser = signed_in(pat)
    with django_assert_max_num_queries(8):
        page = text(browser.get(ACTIVITY))
    assert page.count("changed the password") == 50
    assert "?page=2" in page
