"""Tests of authenticator apps and recovery codes. tests/browser/test_accounts.py tests passkeys."""

import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth import get_user
from django.test import Client

from channels_app.models import User
from tests.accounts import totp
from tests.builders import make_user
from tests.pages import text

pytestmark = pytest.mark.django_db

PASSWORD = "tungsten-Lantern-7"
SECRET = "JBSWY3DPEHPK3PXP"
LOGIN, SECOND, INDEX = "/accounts/login/", "/accounts/2fa/authenticate/", "/accounts/2fa/"
SET_UP, TURN_OFF = "/accounts/2fa/totp/activate/", "/accounts/2fa/totp/deactivate/"
CODES = "/accounts/2fa/recovery-codes/"


@pytest.fixture
def mara(db: None) -> User:
    return make_user("mara", password=PASSWORD, email="mara@example.org")


@pytest.fixture
def with_app(mara: User) -> User:
    """Return Mara, with an authenticator app for SECRET and with recovery codes."""
    TOTP.activate(mara, SECRET)
    RecoveryCodes.activate(mara)
    return mara


def by_password(client: Client) -> str:
    return str(client.post(LOGIN, {"login": "mara", "password": PASSWORD}).headers["Location"])


def signed_in_name(client: Client) -> str:
    return get_user(client).get_username()


def test_an_app_is_set_up(client: Client, mara: User) -> None:
    by_password(client)
    page = client.get(SET_UP).content.decode()
    assert "<svg" in page
    assert not re.search(r"data:|\sstyle=|<style|<\?xml", page)
    secret = re.findall(r'id="secret" class="mono" value="([A-Z2-7]+)"', page)[0]

    wrong = client.post(SET_UP, {"code": "000000"})
    assert "Wrong code" in text(wrong)
    done = client.post(SET_UP, {"code": totp.code(secret)}, follow=True)
    assert "Recovery codes" in text(done)
    assert len(re.findall(r"<pre[^>]*>([\d\s]+)</pre>", done.content.decode())[0].split()) == 10
    assert "10 left. Each is valid for one sign-in" in text(client.get(INDEX))


def test_password_without_the_second_factor_gives_no_session(client: Client, with_app: User) -> None:
    assert by_password(client) == SECOND
    assert client.get("/account").status_code == 302
    assert "Wrong code" in text(client.post(SECOND, {"code": "000000"}))
    assert signed_in_name(client) == ""

    assert client.post(SECOND, {"code": totp.code(SECRET)}).headers["Location"] == "/"
    assert signed_in_name(client) == "mara"


def test_a_code_is_good_once(with_app: User) -> None:
    code = totp.code(SECRET)
    for expected in ("mara", ""):
        client = Client()
        by_password(client)
        client.post(SECOND, {"code": code})
        assert signed_in_name(client) == expected


@pytest.mark.parametrize("later_s", [-90, 90])
def test_codes_of_another_time_are_none(client: Client, with_app: User, later_s: int) -> None:
    by_password(client)
    client.post(SECOND, {"code": totp.code(SECRET, later_s=later_s)})
    assert signed_in_name(client) == ""


def test_a_recovery_code_signs_in_once(with_app: User) -> None:
    code = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()[0]
    for expected in ("mara", ""):
        client = Client()
        by_password(client)
        client.post(SECOND, {"code": code})
        assert signed_in_name(client) == expected


def test_new_recovery_codes_end_the_old(client: Client, with_app: User) -> None:
    by_password(client)
    client.post(SECOND, {"code": totp.code(SECRET)})
    old = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()
    assert "The 10 remaining codes stop working." in text(client.get(f"{CODES}generate/"))
    page = client.post(f"{CODES}generate/", follow=True)
    new = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()
    assert not set(old) & set(new)
    assert new[0] in text(page)
    download = client.get(f"{CODES}download/")
    assert download.headers["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'


def test_an_app_is_turned_off(client: Client, with_app: User) -> None:
    by_password(client)
    client.post(SECOND, {"code": totp.code(SECRET)})
    assert "The authenticator app is turned off." in text(client.post(TURN_OFF, follow=True))
    assert by_password(Client()) == "/"


def test_cancelling_leads_back_to_signing_in(client: Client, with_app: User) -> None:
    by_password(client)
    assert client.post("/accounts/logout/", {"next": LOGIN}).headers["Location"] == LOGIN
    assert client.get(SECOND).headers["Location"] == LOGIN
