"""Tests of the confirmation of one's identity: the pages that need it, the ways, and the redirect afterwards."""

import time
from http import HTTPStatus

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from channels_app.access.acts import ACTS, ActRoute
from channels_app.models import AuditEvent, Channel, User
from tests.accounts.oauth import DEVICE, DEVICE_CODE, REDIRECT, SCOPES, answer_consent, client, consent_path, send
from tests.builders import make_channel
from tests.pages import confirm, signed_in, text

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
DANGER = "/channels/demo/settings/danger"
DELETION = {"action": "delete", "delete-confirm": "demo"}
PROOF = f"/accounts/reauthenticate/?next={DANGER.replace('/', '%2F')}"


@pytest.fixture
def pat(olga: User, channel: Channel) -> User:
    """Return Olga, with a password."""
    olga.set_password(PASSWORD)
    olga.save()
    return olga


def stale(user: User) -> Client:
    """Return the user's browser with an old sign-in."""
    browser = signed_in(user, is_fresh=False)
    confirm(browser, user, at=time.time() - django_settings.ACCOUNT_REAUTHENTICATION_TIMEOUT - 1)
    return browser


def is_deleted() -> bool:
    return Channel.objects.get(name="demo").deleted_at is not None


def test_recent_login_needs_no_reauthentication(pat: User) -> None:
    signed_in(pat).post(DANGER, DELETION)
    assert is_deleted()


def test_act_with_an_old_login_continues_after_the_password(pat: User) -> None:
    browser = stale(pat)
    answer = browser.post(DANGER, DELETION)
    assert (answer.status_code, answer.headers["Location"]) == (HTTPStatus.FOUND, PROOF)
    assert not is_deleted()
    assert browser.post(PROOF, {"password": "wrong"}).status_code == HTTPStatus.OK
    assert not is_deleted()
    browser.post(PROOF, {"password": PASSWORD})
    assert is_deleted()


def test_a_form_keeps_its_query(pat: User) -> None:
    browser = stale(pat)
    address = "/channels/demo/settings/publishers?provider=gitlab"
    proof = browser.post(address, {"namespace": "!"}).headers["Location"]
    page = browser.post(proof, {"password": PASSWORD})
    assert page.status_code == HTTPStatus.OK
    assert "GitLab" in text(page)
    # The page has the address of the proof, so its form is sent there.
    again = browser.post(proof, {"namespace": "!"})
    assert (again.status_code, again.headers["Location"]) == (HTTPStatus.TEMPORARY_REDIRECT, address)


@pytest.mark.parametrize("next_", ["https://evil.example/", "//evil.example/", ""])
def test_form_that_is_sent_to_the_proof_stays_on_the_hub(pat: User, next_: str) -> None:
    answer = signed_in(pat).post(f"/accounts/reauthenticate/?next={next_}", {"namespace": "!"})
    assert answer.status_code == HTTPStatus.OK


def test_viewing_a_page_needs_no_reauthentication(pat: User) -> None:
    assert stale(pat).get(DANGER).status_code == HTTPStatus.OK


def test_reauthentication_with_another_users_password_is_refused(pat: User, sam: User) -> None:
    browser = signed_in(pat, is_fresh=False)
    confirm(browser, sam)
    assert browser.post(DANGER, DELETION).headers["Location"] == PROOF


def test_reauthentication_without_a_password_takes_the_second_factor(olga: User, channel: Channel) -> None:
    olga.set_unusable_password()
    olga.save()
    Authenticator.objects.create(user=olga, type=Authenticator.Type.TOTP, data={"secret": "x"})
    answer = stale(olga).post(DANGER, DELETION)
    assert answer.headers["Location"].startswith("/accounts/2fa/reauthenticate/?next=")


def test_reauthentication_without_a_password_leads_to_the_provider(
    olga: User, channel: Channel, settings: Settings
) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [{"client_id": "id", "secret": "x"}]}}
    olga.set_unusable_password()
    olga.save()
    SocialAccount.objects.create(user=olga, provider="github", uid="1")
    browser = stale(olga)
    answer = browser.post(DANGER, DELETION)
    assert answer.headers["Location"] == f"/accounts/github/login/?process=login&next={DANGER.replace('/', '%2F')}"
    assert not is_deleted()
    assert browser.get(answer.headers["Location"]).status_code == HTTPStatus.OK


def test_user_without_any_proof_needs_no_reauthentication(olga: User, channel: Channel) -> None:
    olga.set_unusable_password()
    olga.save()
    stale(olga).post(DANGER, DELETION)
    assert is_deleted()


def test_letting_an_application_in_waits_for_the_password_and_goes_on(pat: User) -> None:
    browser = stale(pat)
    page = browser.get(consent_path(client()))
    answer = answer_consent(browser, page)
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/?next=")
    assert not AuditEvent.objects.filter(action="oauth.grant").exists()
    leaving = browser.post(answer.headers["Location"], {"password": PASSWORD})
    # Through a page in between: browsers apply the policy of the current page to a form's redirects.
    assert f"{REDIRECT}?" in text(leaving).replace("&amp;", "&")
    assert "code=" in text(leaving)
    assert AuditEvent.objects.filter(action="oauth.grant", actor=pat).exists()


def test_a_device_waits_for_the_password_and_goes_on(pat: User) -> None:
    device = send(DEVICE_CODE, {"client_id": "rattler", "scope": SCOPES}).json()
    page, browser = f"{DEVICE}?code={device['user_code']}", stale(pat)
    answer = browser.post(page, {"action": "confirm"})
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/?next=")
    assert not AuditEvent.objects.filter(action="oauth.grant").exists()
    assert "is signed in" in text(browser.post(answer.headers["Location"], {"password": PASSWORD}))


def test_cancelled_consent_needs_no_reauthentication(pat: User) -> None:
    browser = stale(pat)
    answer = answer_consent(browser, browser.get(consent_path(client())), action="cancel")
    assert answer.headers["Location"].startswith(REDIRECT)


def test_reauthentication_without_a_session_leads_to_sign_in(channel: Channel) -> None:
    assert Client().post(DANGER, DELETION).status_code in (HTTPStatus.FOUND, HTTPStatus.NOT_FOUND)
    assert not is_deleted()


PLACES = sorted({place for act in ACTS.values() if act.is_proved for place in act.places}, key=str)
ARGUMENTS: dict[str, list[str]] = {
    "channel-new-upstream": [],
    "mfa_remove_webauthn": ["1"],
    "team": ["mappers"],
    "artifact-remove": ["other", "noarch", "demo-1.0-0.conda"],
    "channel-webhook": ["other", "1"],
    "channel-promotion": ["other", "1"],
}


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_every_place_that_asks_exists_and_asks(pat: User, place: ActRoute) -> None:
    make_channel(owner=pat, name="other")
    arguments = ARGUMENTS.get(place.route, ["other"] if place.route.startswith("channel-") else [])
    posted = {place.field: (place.values or ("on",))[0]} if place.field else {}
    answer = stale(pat).post(reverse(place.route, args=arguments), posted)
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/?next=")
