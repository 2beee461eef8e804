"""Tests of the device flow: responses to the device, the user's consent page, and other users' attempts."""

from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from channels_app.models import User
from tests.accounts.oauth import ALL_SCOPES, DEVICE, DEVICE_CODE, DEVICE_GRANT, SCOPES, TOKEN, send
from tests.pages import Response, events, signed_in, text

pytestmark = pytest.mark.django_db

CONFIRM, DENY = {"action": "confirm"}, {"action": "deny"}


def begin(scope: str = SCOPES, **headers: str) -> dict[str, Any]:
    """Return the response to a device that requests a code."""
    answer = send(DEVICE_CODE, {"client_id": "rattler", "scope": scope}, headers)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def poll(device: dict[str, Any]) -> Response:
    """Poll as the device does, without its pauses."""
    key = f"allauth.idp.oidc.device_code[{device['device_code']}]"
    state = cache.get(key)
    if state:
        cache.set(key, state | {"last_poll_at": 0})
    form = {"grant_type": DEVICE_GRANT, "device_code": device["device_code"], "client_id": "rattler"}
    return send(TOKEN, form)


def page_of(device: dict[str, Any]) -> str:
    return f"{DEVICE}?code={device['user_code']}"


def test_device_gets_the_public_url_for_every_host() -> None:
    device = begin(host="localhost:9")
    assert device["verification_uri"] == f"{settings.HUB_PUBLIC_URL}{DEVICE}"
    assert device["verification_uri_complete"] == f"{settings.HUB_PUBLIC_URL}{page_of(device)}"
    assert (device["expires_in"], device["interval"]) == (900, 5)


def test_device_waits_until_it_is_confirmed(max_: User) -> None:
    device, browser = begin(), signed_in(max_)
    assert poll(device).json()["error"] == "authorization_pending"
    assert "pixi / rattler is signed in" in text(browser.post(page_of(device), CONFIRM))
    answer = poll(device)
    assert set(answer.json()["scope"].split()) == ALL_SCOPES
    assert {"access_token", "refresh_token", "expires_in"} <= set(answer.json())
    assert "no-store" in answer.headers["Cache-Control"]
    assert [(action, target) for action, target, _ in events()] == [("oauth.grant", "pixi / rattler")]


def test_page_shows_the_code_and_the_scopes(max_: User) -> None:
    device = begin()
    page = signed_in(max_).get(page_of(device))
    assert f'<h2 class="mono">{device["user_code"]}</h2>' in text(page)
    assert "Install from every channel that you can see" in text(page)
    assert "As <strong>max</strong>, pixi / rattler will be able to:" in text(page)
    assert "If somebody sent you the code or a link to this page, they would get access to your account." in text(page)


def test_fewer_scopes_are_shown_and_granted(max_: User) -> None:
    device, browser = begin("openid offline_access channel:read"), signed_in(max_)
    assert "Upload packages" not in text(browser.get(page_of(device)))
    browser.post(page_of(device), CONFIRM)
    assert set(poll(device).json()["scope"].split()) == {"openid", "offline_access", "channel:read"}


def test_device_after_denial_gets_access_denied(max_: User) -> None:
    device = begin()
    assert "Sign-in cancelled" in text(signed_in(max_).post(page_of(device), DENY))
    assert poll(device).json()["error"] == "access_denied"
    assert events() == []


def test_code_is_typed_as_people_type(max_: User) -> None:
    device, browser = begin(), signed_in(max_)
    typed = device["user_code"].replace("-", " ").lower()
    assert device["user_code"] in text(browser.get(DEVICE, {"code": f" {typed} "}))


@pytest.mark.parametrize("code", ["", "BCDF-GHJK", "BCDF", "€€€€-€€€€", "x" * 5000])
def test_wrong_device_code_is_refused_on_the_page(max_: User, code: str) -> None:
    page = signed_in(max_).get(DEVICE, {"code": code})
    assert "The code is wrong or has expired." in text(page)


def test_page_without_a_code_asks_for_it(max_: User) -> None:
    page = text(signed_in(max_).get(DEVICE))
    assert "The code that your device shows" in page
    assert 'role="alert"' not in page


def test_confirming_needs_the_csrf_token(max_: User) -> None:
    device, browser = begin(), Client(enforce_csrf_checks=True)
    browser.force_login(max_)
    assert browser.get(page_of(device)).status_code == 200
    assert browser.post(page_of(device), CONFIRM).status_code == 403
    assert poll(device).json()["error"] == "authorization_pending"
    token = browser.cookies["csrftoken"].value
    assert browser.post(page_of(device), CONFIRM | {"csrfmiddlewaretoken": token}).status_code == 200


def test_device_page_without_a_session_leads_to_sign_in() -> None:
    device = begin()
    answer = Client().post(page_of(device), CONFIRM)
    assert answer.headers["Location"].startswith("/accounts/login/?next=/identity/o/device")
    assert poll(device).json()["error"] == "authorization_pending"


def test_code_is_confirmed_once(max_: User, sam: User) -> None:
    device = begin()
    signed_in(max_).post(page_of(device), CONFIRM)
    assert "The code is wrong or has expired" in text(signed_in(sam).post(page_of(device), CONFIRM))
    assert poll(device).status_code == 200
    assert poll(device).json()["error"] == "invalid_grant"


def test_device_that_asks_too_often() -> None:
    device = begin()
    poll(device)
    form = {"grant_type": DEVICE_GRANT, "device_code": device["device_code"], "client_id": "rattler"}
    assert send(TOKEN, form).json()["error"] == "slow_down"


def test_device_of_a_deactivated_user_gets_no_token(max_: User) -> None:
    device = begin()
    signed_in(max_).post(page_of(device), CONFIRM)
    User.objects.filter(pk=max_.pk).update(is_active=False)
    assert poll(device).json()["error"] == "access_denied"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": "unknown", "scope": SCOPES}, "invalid_request"),
        ({"client_id": "", "scope": SCOPES}, "invalid_request"),
        ({"client_id": "rattler", "scope": "openid channel:delete"}, "invalid_scope"),
    ],
)
def test_device_with_a_bad_request_is_refused(form: dict[str, str], error: str) -> None:
    answer = send(DEVICE_CODE, form)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error


def test_code_is_asked_for_by_post_alone() -> None:
    assert Client().get(DEVICE_CODE).status_code == 405
