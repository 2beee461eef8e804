"""Tests of sign-in by password: by name or address, error messages, and unverified addresses."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.accounts import browsers
from channels_app.models import User
from tests.builders import make_address, make_user
from tests.mailbox import arrived, mailed_code
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

PASSWORD = "tungsten-Lantern-7"
WRONG = "Wrong user name or password. Passwords are case-sensitive."
LOGIN, VERIFY = "/accounts/login/", "/accounts/confirm-email/"


@pytest.fixture
def mara(db: None) -> User:
    """Return a user as administrators create them, with an unverified address."""
    return make_user("Mara", password=PASSWORD, email="mara@example.org")


def sign_in(client: Client, login: str = "Mara", password: str = PASSWORD) -> str:
    """Send the form. Return the page it led to, or the form with its errors."""
    answer = client.post(LOGIN, {"login": login, "password": password})
    return str(answer.headers["Location"]) if answer.status_code == 302 else text(answer)


def signed_in_name(client: Client) -> str:
    return get_user(client).get_username()


@pytest.mark.parametrize("login", ["Mara", "mara", "mara@example.org", "MARA@example.org", " Mara "])
def test_by_name_or_address_in_any_capitals(client: Client, mara: User, login: str) -> None:
    assert sign_in(client, login) == "/"
    assert signed_in_name(client) == "Mara"


@pytest.mark.parametrize(
    ("login", "password"),
    [("Mara", PASSWORD.lower()), ("nobody", PASSWORD), ("nobody@example.org", PASSWORD), ("mara@example.org", "x")],
)
def test_wrong_name_and_wrong_password_get_the_same_message(
    client: Client, mara: User, login: str, password: str
) -> None:
    assert WRONG in sign_in(client, login, password)
    assert signed_in_name(client) == ""


def test_deactivated_account_is_disclosed_only_with_its_password(client: Client, mara: User) -> None:
    User.objects.update(is_active=False)
    assert WRONG in sign_in(client, password="wrong")
    assert sign_in(client) == "/accounts/inactive/"
    assert "An administrator deactivated this account." in text(client.get("/accounts/inactive/"))


def test_accounts_of_an_administrators_making_need_no_address(client: Client) -> None:
    make_user("root", password=PASSWORD, is_superuser=True)
    assert sign_in(client, "root") == "/"


def test_sign_in_with_an_unverified_address_requires_its_verification(client: Client, mara: User) -> None:
    address = make_address(mara, "mara@example.org", verified=False)
    assert sign_in(client) == VERIFY
    assert signed_in_name(client) == ""

    code = mailed_code()
    assert arrived()[-1].to == ["mara@example.org"]
    assert client.post(VERIFY, {"code": code}).headers["Location"] == "/"

    address.refresh_from_db()
    assert (signed_in_name(client), address.verified) == ("Mara", True)


def test_earlier_account_with_an_unverified_address_signs_in(client: Client, mara: User) -> None:
    make_address(mara, "mara@example.org", verified=False)
    User.objects.update(last_login=timezone.now())
    assert sign_in(client) == "/"


def test_names_differ_by_more_than_capitals(mara: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_user("mara")


def test_the_page_says_how_to_get_an_account(client: Client, settings: Settings) -> None:
    page = text(client.get(LOGIN))
    assert "No account yet? Ask an administrator, or ask an owner of a channel for an invitation." in page
    settings.HUB_SIGN_UP = "open"
    assert 'No account yet? <a href="/accounts/signup/">Sign up</a>' in text(client.get(LOGIN))


def test_administration_is_entered_by_the_same_page(client: Client, mara: User) -> None:
    """Use the hub's sign-in page: Django's own form would ask for no second factor."""
    answer = client.post("/admin/login/", {"username": "Mara", "password": PASSWORD})
    assert answer.headers["Location"] == "/accounts/login/?next=%2Fadmin%2Flogin%2F"
    assert client.get("/admin/").status_code == 302
    assert signed_in(mara).get("/admin/", follow=True).status_code == 403


def test_a_changed_password_ends_every_other_session(mara: User) -> None:
    here, there = signed_in(mara), signed_in(mara)
    form = {"oldpassword": PASSWORD, "password1": "granite-Window-9", "password2": "granite-Window-9"}
    page = here.post("/accounts/password/change/", form, follow=True)
    assert "The password is changed; every other session has ended." in text(page)
    assert (signed_in_name(here), signed_in_name(there)) == ("Mara", "")


def test_every_other_session_can_be_ended(mara: User) -> None:
    here, there = Client(headers={"User-Agent": FIREFOX}), Client()
    for browser in (here, there):
        sign_in(browser)
    assert "Firefox on Linux" in text(here.get("/accounts/sessions/"))
    page = here.post("/accounts/sessions/", follow=True)
    assert "All other sessions were signed out." in text(page)
    assert (signed_in_name(here), signed_in_name(there)) == ("Mara", "")


def test_a_forgotten_password_is_replaced_by_a_code(client: Client, mara: User) -> None:
    old = signed_in(mara)
    client.post("/accounts/password/reset/", {"email": "mara@example.org"})
    code = mailed_code()
    assert arrived()[-1].subject == f"{code} is your code for Channelhub"
    client.post("/accounts/password/reset/confirm/", {"code": code})
    new = {"password1": "granite-Window-9", "password2": "granite-Window-9"}
    page = client.post("/accounts/password/reset/complete/", new, follow=True)
    assert "All sessions were signed out." in text(page)
    assert (signed_in_name(old), sign_in(client, password="granite-Window-9")) == ("", "/")


def test_requesting_a_code_discloses_no_account(mara: User) -> None:
    pages = []
    for email in ("mara@example.org", "none@example.org"):
        answer = Client().post("/accounts/password/reset/", {"email": email}, follow=True)
        pages.append(re.sub(r'value="\w{64}"', "", text(answer)).replace(email, "ADDRESS"))
    assert pages[0] == pages[1]
    assert [message.to for message in arrived()] == [["mara@example.org"]]


def test_another_address_takes_the_place_of_the_present_one_with_its_code(mara: User) -> None:
    make_address(mara, "mara@example.org")
    client = Client()
    sign_in(client)
    client.post("/accounts/email/", {"email": "new@example.org", "action_add": ""})
    assert EmailAddress.objects.get().email == "mara@example.org"
    code = mailed_code()
    client.post(VERIFY, {"code": code})
    mara.refresh_from_db()
    assert ([a.email for a in EmailAddress.objects.all()], mara.email) == (["new@example.org"], "new@example.org")


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        (f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/26 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) CriOS/140 Safari/605", "Chrome on iPhone"),
        ("curl/8.17", "curl/8.17"),
        ("", "An unknown browser"),
    ],
)
def test_browser_of_a_user_agent_is_named(user_agent: str, words: str) -> None:
    assert browsers.in_words(user_agent) == words
