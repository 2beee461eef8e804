"""Tests of forms sent after the session has ended: the page says that no data was saved, and links the sign-in."""

import re
from html import unescape

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client

from channels_app.accounts.lost_forms import NOTHING_SAVED
from channels_app.models import Channel, User
from tests.accounts import totp
from tests.builders import make_artifact, make_user
from tests.pages import Response, messages, signed_in, text

pytestmark = pytest.mark.django_db

PASSWORD = "tungsten-Lantern-7"
LOGIN, SECOND = "/accounts/login/", "/accounts/2fa/authenticate/"
HTML = {"Accept": "text/html"}
REMOVE = "/channels/{}/artifacts/noarch/demo-1.0-0.conda/remove?action=yank"
OWN_PAGES = [
    "/account/keys",
    "/account/applications",
    "/accounts/2fa/totp/activate/",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/sessions/",
    "/channels/new",
    "/channels/new/publisher?provider=github",
    "/identity/o/device?code=BCDF-GHJK",
    "/teams",
    REMOVE.format("demo"),
]
VISITORS = [
    "/accounts/2fa/authenticate/",
    "/accounts/2fa/webauthn/login/",
    "/accounts/3rdparty/signup/",
    "/accounts/confirm-email/",
    "/accounts/login/?next=/channels/new",
    "/accounts/password/reset/",
    "/accounts/signup/",
]


@pytest.fixture
def mara() -> User:
    return make_user("mara", password=PASSWORD)


def sign_in_targets(page: Response) -> set[str]:
    """List the targets of the sign-in links in a page's main part."""
    main = page.text.partition("<main")[2]
    return {unescape(href) for href in re.findall(rf'href="({LOGIN}[^"]*)"', main)}


@pytest.mark.parametrize("page", [*OWN_PAGES, "/admin/auth/group/add/"])
def test_form_sent_signed_out_shows_a_warning_once_at_sign_in(page: str) -> None:
    client = Client()
    answer = client.post(page, {"name": "demo"}, headers=HTML, follow=True)
    assert answer.redirect_chain[-1][0].startswith(LOGIN)
    assert text(answer).count(NOTHING_SAVED) == 1
    assert NOTHING_SAVED not in text(client.get(LOGIN))


@pytest.mark.parametrize("page", OWN_PAGES)
def test_page_opened_signed_out_leads_to_a_sign_in_without_it(page: str) -> None:
    answer = Client().get(page, headers=HTML, follow=True)
    assert answer.redirect_chain[-1][0].startswith(LOGIN)
    assert NOTHING_SAVED not in text(answer)


def test_form_for_a_private_and_for_a_missing_file_get_equal_responses(channel: Channel) -> None:
    make_artifact(channel)
    for name in ("demo", "void"):
        answer = Client().post(REMOVE.format(name), headers=HTML)
        assert answer.headers["Location"].startswith(f"{LOGIN}?next=/channels/{name}/artifacts/")
        assert messages(answer) == [NOTHING_SAVED]


def test_steps_of_signing_in_show_no_warning_of_a_lost_form(client: Client, mara: User) -> None:
    TOTP.activate(mara, "JBSWY3DPEHPK3PXP")
    for target in ("/channels/new", LOGIN, SECOND):
        form = {"login": "mara", "password": "wrong", "next": target}
        assert NOTHING_SAVED not in text(client.post(LOGIN, form))
        answer = client.post(LOGIN, form | {"password": PASSWORD})
        assert (answer.headers["Location"].partition("?")[0], messages(answer)) == (SECOND, [])
    answer = client.post(SECOND, {"code": totp.code("JBSWY3DPEHPK3PXP")})
    assert NOTHING_SAVED not in messages(answer)


def test_form_sent_signed_in_shows_no_warning(mara: User) -> None:
    for page in OWN_PAGES:
        assert NOTHING_SAVED not in text(signed_in(mara).post(page, {"name": "x"}, headers=HTML, follow=True))


@pytest.mark.parametrize("page", OWN_PAGES)
def test_form_with_a_wrong_token_sent_signed_out_offers_the_way_in_and_back(page: str, mara: User) -> None:
    answer = Client(enforce_csrf_checks=True).post(page, {"name": "demo"}, headers=HTML)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "not_from_here")
    assert "You are signed out" in text(answer)
    [way_in] = sign_in_targets(answer)
    assert Client().post(way_in, {"login": "mara", "password": PASSWORD}).headers["Location"] == page


@pytest.mark.parametrize("page", VISITORS)
def test_visitors_form_with_a_wrong_token_offers_the_page_again(page: str) -> None:
    answer = Client(enforce_csrf_checks=True).post(page, {"login": "mara"}, headers=HTML)
    assert (answer.status_code, "You are signed out" in text(answer)) == (403, False)
    assert f'href="{page}"' in answer.text


def test_form_with_a_wrong_token_sent_signed_in_offers_the_page_again(mara: User) -> None:
    browser = signed_in(mara)
    browser.handler.enforce_csrf_checks = True
    answer = browser.post("/channels/new", {"name": "demo"}, headers=HTML)
    assert (answer.status_code, sign_in_targets(answer)) == (403, set())
    assert 'href="/channels/new"' in answer.text
