"""Tests of the limit of wrong passwords: strangers are locked out, the owner is not, and is notified."""

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth import get_user
from django.core import signing
from django.test import Client
from pytest_django import Settings

from channels_app.accounts import devices
from channels_app.models import AuditEvent, User
from channels_app.rate_limits import counters
from tests.accounts import totp
from tests.builders import make_address, make_user
from tests.mailbox import arrived, mailed_code
from tests.pages import Response, signed_in, text

pytestmark = pytest.mark.django_db

PASSWORD = "tungsten-Lantern-7"
NEW = "granite-Window-9"
SECRET = "JBSWY3DPEHPK3PXP"
LOGIN, SECOND = "/accounts/login/", "/accounts/2fa/authenticate/"
RESET = "/accounts/password/reset/"


@pytest.fixture
def mara(db: None) -> User:
    mara = make_user("mara", password=PASSWORD, email="mara@example.org")
    make_address(mara, "mara@example.org")
    return mara


@pytest.fixture(autouse=True)
def low_limits(settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"sign-in-by-account": 2, "second-factor-by-account": 2}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stop the clock of the rate limits."""
    clock = SimpleNamespace(now=1_799_964_000 + 20)
    clock.time = lambda: clock.now
    monkeypatch.setattr(counters, "time", clock)
    return clock


def sign_in(client: Client, password: str = PASSWORD, login: str = "mara", **form: str) -> Response:
    values = {"login": login, "password": password, **form}
    return client.post(LOGIN, values, headers={"Accept": "text/html"})


def lock(login: str = "mara", times: int = 3) -> Response:
    """Send wrong passwords from another browser and return the last response."""
    return [sign_in(Client(), "wrong", login) for _ in range(times)][-1]


def known_browser() -> Client:
    """Return a browser in which Mara has signed in and out."""
    client = Client()
    assert sign_in(client).status_code == 302
    client.post("/accounts/logout/")
    assert get_user(client).is_anonymous
    return client


def unlock(clock: SimpleNamespace) -> None:
    clock.now += 300


def test_a_known_browser_passes_and_an_unknown_one_does_not(mara: User) -> None:
    client = known_browser()
    assert lock().status_code == 429
    assert sign_in(Client()).status_code == 429
    assert sign_in(client, login="MARA@example.org").status_code == 302
    assert get_user(client) == mara


def test_a_known_browser_has_a_share_of_its_own(mara: User) -> None:
    """Check a stolen cookie: it does not sign in, and its tries are limited as well."""
    client, other = known_browser(), known_browser()
    assert [sign_in(client, "wrong").status_code for _ in range(4)] == [200, 200, 429, 429]
    assert sign_in(client).status_code == 429
    assert sign_in(other).status_code == 302


FORGERIES: dict[str, Callable[[object], str]] = {
    "empty": lambda value: "",
    "no cookie": lambda value: "x",
    "another salt": lambda value: signing.dumps(value, salt="another"),
    "another key": lambda value: signing.dumps(value, key="another", salt=devices.SALT),
    "another password": lambda value: signing.dumps(value, salt=devices.SALT),
}


@pytest.mark.parametrize("forged", FORGERIES)
def test_forged_device_cookie_is_ignored(mara: User, forged: str) -> None:
    lock()
    client = Client()
    client.cookies[devices.COOKIE] = FORGERIES[forged]({str(mara.pk): ["a", "b"]})
    assert sign_in(client).status_code == 429


def test_the_cookie_is_of_one_account(mara: User) -> None:
    make_user("nora", password=PASSWORD)
    client = Client()
    sign_in(client, login="nora")
    client.post("/accounts/logout/")
    lock()
    assert sign_in(client).status_code == 429


def test_one_browser_is_known_to_several_people(mara: User, clock: SimpleNamespace) -> None:
    client = known_browser()
    make_user("nora", password=PASSWORD)
    sign_in(client, login="nora")
    client.post("/accounts/logout/")
    for name in ("mara", "nora"):
        lock(name)
        assert sign_in(client, login=name).status_code == 302
        client.post("/accounts/logout/")


def test_the_cookie_ends_with_the_password_but_not_where_it_was_changed(mara: User, clock: SimpleNamespace) -> None:
    elsewhere, here = known_browser(), known_browser()
    unlock(clock)
    sign_in(here)
    change = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    here.post("/accounts/password/change/", change)
    here.post("/accounts/logout/")
    lock()
    assert sign_in(elsewhere, NEW).status_code == 429
    assert sign_in(here, NEW).status_code == 302


def test_password_reset_by_mail_unlocks_sign_in(mara: User) -> None:
    lock()
    client = Client()
    client.post(RESET, {"email": "mara@example.org"})
    client.post(f"{RESET}confirm/", {"code": mailed_code()})
    client.post(f"{RESET}complete/", {"password1": NEW, "password2": NEW})
    assert sign_in(client, NEW).status_code == 302


def test_a_password_alone_makes_no_known_browser_where_there_is_a_second_factor(mara: User) -> None:
    TOTP.activate(mara, SECRET)
    client = Client()
    assert sign_in(client).headers["Location"] == SECOND
    assert devices.COOKIE not in client.cookies


def test_the_cookie_is_for_signing_in_alone(mara: User, settings: Settings) -> None:
    settings.SESSION_COOKIE_SECURE = True
    client = Client()
    cookie = sign_in(client).cookies[devices.COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["secure"], cookie["samesite"]) == (
        "/accounts/",
        True,
        True,
        "Lax",
    )
    assert devices.COOKIE not in signed_in(mara).get("/account").cookies


def test_the_code_of_an_app_passes_with_the_password(mara: User) -> None:
    TOTP.activate(mara, SECRET)
    lock()
    client, code = Client(), totp.code(SECRET)
    assert sign_in(client, code="000000").status_code == 429
    assert sign_in(client, "wrong", code=code).status_code == 200
    assert sign_in(client, code=code).headers["Location"] == SECOND
    assert client.post(SECOND, {"code": code}).headers["Location"] == "/"
    assert get_user(client) == mara


@pytest.mark.parametrize("login", ["mara", "nobody", "nobody@example.org"])
def test_code_of_a_user_without_an_app_unlocks_no_sign_in(mara: User, login: str) -> None:
    lock(login)
    for secret in ("A" * 32, SECRET):
        assert sign_in(Client(), login=login, code=totp.code(secret)).status_code == 429


def test_guesses_by_strangers_with_the_password_lock_no_second_factor(mara: User) -> None:
    TOTP.activate(mara, SECRET)
    client = Client()
    sign_in(client)
    client.post(SECOND, {"code": totp.code(SECRET)})
    client.post("/accounts/logout/")
    thief = Client()
    sign_in(thief)
    assert [thief.post(SECOND, {"code": "000000"}).status_code for _ in range(2)] == [200, 429]
    sign_in(client)
    assert client.post(SECOND, {"code": "000000"}).status_code == 200


@pytest.mark.parametrize("pk", [9, 10, 35, 36, 1_000_000])
def test_second_factors_of_every_account_are_counted(pk: int) -> None:
    """allauth encodes primary keys to the base of 36."""
    make_user("late", pk=pk, password=PASSWORD)
    TOTP.activate(User.objects.get(pk=pk), SECRET)
    client = Client()
    sign_in(client, login="late")
    assert [client.post(SECOND, {"code": "000000"}).status_code for _ in range(3)] == [200, 200, 429]
    sign_in(client, login="late")
    assert client.post(SECOND, {"code": "000000"}).status_code == 429


def test_the_page_tells_the_ways_and_not_whether_there_is_an_account(mara: User) -> None:
    TOTP.activate(mara, SECRET)
    pages = [re.sub(r'value="(\w{64}|mara|nobody)"', "", text(lock(name))) for name in ("mara", "nobody")]
    assert pages[0] == pages[1]
    assert "in a browser that you have signed in with before" in pages[0]
    assert 'name="code"' in pages[0]


def test_owner_is_mailed_about_guesses_once_a_day(mara: User, clock: SimpleNamespace) -> None:
    lock(times=6)
    lock("MARA@example.org")
    unlock(clock)
    lock(times=4)
    [mail] = arrived()
    assert (mail.to, mail.subject) == (["mara@example.org"], "Repeated wrong passwords for your account")
    assert "None of these attempts succeeded." in mail.body
    assert "Repeated wrong passwords" not in text(signed_in(mara).get("/account/activity"))
    assert "was notified of repeated wrong passwords" in text(signed_in(mara).get("/account/activity"))
    clock.now += 24 * 3600
    lock()
    assert len(arrived()) == 2


def test_guesses_of_an_unknown_name_send_no_mail(mara: User) -> None:
    lock("nobody")
    User.objects.update(is_active=False)
    lock("mara")
    assert arrived() == []
    assert not AuditEvent.objects.filter(action="account.tried_often").exists()


def test_guesses_within_a_session_are_mailed_to_the_owner(mara: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"confirm-by-account": 2}
    thief = signed_in(mara, is_fresh=False)
    tried = [thief.post("/accounts/reauthenticate/", {"password": "wrong"}).status_code for _ in range(5)]
    assert tried == [200, 200, 429, 429, 429]
    assert [str(sent.subject) for sent in arrived()] == ["Repeated wrong passwords for your account"]


def test_guesses_of_the_second_factor_are_mailed_to_the_owner(mara: User) -> None:
    TOTP.activate(mara, SECRET)
    stranger = Client()
    assert sign_in(stranger).headers["Location"] == SECOND
    assert [stranger.post(SECOND, {"code": "000000"}).status_code for _ in range(4)] == [200, 200, 429, 429]
    subjects = [str(sent.subject) for sent in arrived()]
    assert subjects.count("Repeated wrong passwords for your account") == 1


def test_mails_requested_by_strangers_block_no_password_reset(mara: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"mail-by-recipient": 2}
    client = known_browser()
    asked = {"email": "mara@example.org"}
    assert [Client().post(RESET, asked).status_code for _ in range(3)] == [302, 302, 429]
    assert client.post(RESET, asked).status_code == 302
    assert [client.post(RESET, {"email": "Mara@Example.org "}).status_code for _ in range(2)] == [302, 429]
    other = make_user("nora", password=PASSWORD, email="nora@example.org")
    make_address(other, "nora@example.org")
    nora = Client()
    sign_in(nora, login="nora")
    nora.post("/accounts/logout/")
    # Another user's device does not count for this account.
    assert nora.post(RESET, asked).status_code == 429


def test_mails_requested_by_all_visitors_block_no_password_reset(mara: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"mail-by-visitors": 2}
    client = known_browser()
    asked = {"email": "mara@example.org"}
    others = [Client().post(RESET, {"email": f"{n}@example.org"}).status_code for n in range(3)]
    assert others == [302, 302, 429]
    assert Client().post(RESET, asked).status_code == 429
    assert client.post(RESET, asked).status_code == 302
    # The browser is known for one account only.
    assert client.post(RESET, {"email": "other@example.org"}).status_code == 429


def test_notices_hold_back_no_code(mara: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"delivery-by-recipient": 1, "delivery-by-hub": 1}
    for _ in range(2):
        counters.count("delivery-by-recipient", "mara@example.org")
        counters.count("delivery-by-hub", "")
    Client().post(RESET, {"email": "mara@example.org"})
    assert [sent.to for sent in arrived()] == [["mara@example.org"]]
