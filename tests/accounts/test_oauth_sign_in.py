"""Tests of the authorization code flow with PKCE: tokens, the consent page, and refusals."""

import jwt
import pytest
from authlib.oauth2.rfc6749.errors import MismatchingStateException
from django.conf import settings
from django.core import mail
from django.test import Client, override_settings

from channels_app.accounts.oauth.consent import form_action
from channels_app.apps import check_oidc_key
from channels_app.audit import notifications
from channels_app.models import AuditEvent, User
from tests.accounts.oauth import (
    ALL_SCOPES,
    AUTHORIZE,
    DEVICE,
    DEVICE_CODE,
    REDIRECT,
    REVOKE,
    TOKEN,
    USERINFO,
    VERIFIER,
    answer_consent,
    authorization_path,
    client,
    code_form,
    consent_path,
    redirected,
    send,
    sign_in,
    url,
)
from tests.pages import events, signed_in, text

pytestmark = pytest.mark.django_db


def test_discovery_names_the_public_url_for_every_host() -> None:
    answer = Client().get("/.well-known/openid-configuration", headers={"host": "localhost:9"})
    found = answer.json()
    assert found["issuer"] == settings.HUB_PUBLIC_URL
    assert not found["issuer"].endswith("/")
    assert {name for name, value in found.items() if name.endswith(("_endpoint", "_uri"))} == {
        "authorization_endpoint",
        "token_endpoint",
        "device_authorization_endpoint",
        "revocation_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
    }
    places = [value for name, value in found.items() if name.endswith(("_endpoint", "_uri"))]
    assert all(place.startswith(f"{settings.HUB_PUBLIC_URL}/") for place in places)
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert set(found["scopes_supported"]) == ALL_SCOPES | {"email"}


def test_application_with_rattlers_scopes_gets_tokens_for_channels(max_: User) -> None:
    token = sign_in(max_)
    assert set(token["scope"].split()) == ALL_SCOPES
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
    assert token["access_token"] != token["refresh_token"]


def test_identity_token_is_signed_for_the_application(max_: User) -> None:
    token = sign_in(max_)
    keys = jwt.PyJWKSet.from_dict(Client().get("/.well-known/jwks.json").json())
    kid = jwt.get_unverified_header(token["id_token"])["kid"]
    claims = jwt.decode(token["id_token"], keys[kid].key, ["RS256"], audience="rattler", issuer=settings.HUB_PUBLIC_URL)
    assert (claims["sub"], claims["preferred_username"]) == (str(max_.pk), "max")


def test_userinfo_names_the_user(max_: User) -> None:
    application = client()
    sign_in(max_, application)
    assert application.get(url(USERINFO)).json() == {"sub": str(max_.pk), "preferred_username": "max"}


@pytest.mark.parametrize("redirect", ["http://127.0.0.1:1", "http://127.0.0.1:65535", "http://[::1]:40000"])
def test_any_port_of_a_loopback_address(max_: User, redirect: str) -> None:
    assert sign_in(max_, client(redirect))["access_token"]


@pytest.mark.parametrize(
    "redirect",
    [
        "http://localhost:51423",
        "http://127.0.0.1:51423/callback",
        "http://127.0.0.1:51423/",
        "http://127.0.0.2:51423",
        "https://127.0.0.1:51423",
        "http://evil.example:51423",
        "http://127.0.0.1.evil.example:51423",
        "javascript:alert(1)",
        "",
    ],
)
def test_wrong_redirect_is_never_followed(max_: User, redirect: str) -> None:
    page = signed_in(max_).get(authorization_path(redirect_uri=redirect))
    assert page.status_code == 200
    assert "Invalid sign-in request" in text(page)


@pytest.mark.parametrize(
    ("query", "error", "description"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request", "Transform algorithm not supported."),
        ({"code_challenge_method": ""}, "invalid_request", "Transform algorithm not supported."),
        ({"code_challenge": ""}, "invalid_request", "Code challenge required."),
        ({"scope": "openid channel:delete"}, "invalid_scope", None),
        ({"response_type": "token"}, "unauthorized_client", None),
    ],
)
def test_application_with_a_bad_request_is_refused(
    max_: User, query: dict[str, str], error: str, description: str | None
) -> None:
    said = redirected(signed_in(max_).get(authorization_path(**query)))
    assert (said["error"], said["state"]) == (error, "state-1")
    assert said.get("error_description") == description


def test_authorization_by_an_unknown_application_is_refused(max_: User) -> None:
    page = signed_in(max_).get(authorization_path(client_id="unknown"))
    assert "Invalid client_id parameter value." in text(page)


def test_consent_page_names_application_scopes_and_user(max_: User) -> None:
    page = signed_in(max_).get(consent_path(client()))
    assert "Sign in pixi / rattler?" in text(page)
    assert "As <strong>max</strong>, pixi / rattler will be able to:" in text(page)
    assert "Install from every channel that you can see, private ones included" in text(page)
    assert "Upload packages to every channel that you may upload to" in text(page)
    assert "no-store" in page.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("openid profile offline_access", ALL_SCOPES),
        ("openid openid offline_access profile", ALL_SCOPES),
        ("openid", {"openid"}),
        ("openid profile", {"openid", "profile"}),
        ("openid offline_access channel:read", {"openid", "offline_access", "channel:read"}),
        ("openid profile offline_access channel:upload", ALL_SCOPES - {"channel:read"}),
    ],
)
def test_implied_scopes_are_granted_to_clients_of_any_host(max_: User, asked: str, granted: set[str]) -> None:
    assert set(sign_in(max_, client(scope=asked))["scope"].split()) == granted


def test_cancelled_consent_redirects_with_access_denied(max_: User) -> None:
    browser = signed_in(max_)
    said = redirected(answer_consent(browser, browser.get(consent_path(client())), "cancel"))
    assert said == {"error": "access_denied", "state": "state-1"}
    assert events() == []


def test_consent_without_a_session_leads_to_sign_in(max_: User) -> None:
    answer = Client().get(consent_path(client()))
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login/?next=/identity/o/authorize")


def test_consent_page_is_shown_at_every_authorization(max_: User) -> None:
    sign_in(max_)
    page = signed_in(max_).get(consent_path(client(), prompt="none"))
    assert "Sign in pixi / rattler?" in text(page)


def test_consent_needs_the_csrf_token(max_: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(max_)
    assert answer_consent(browser, browser.get(consent_path(client()))).status_code == 403


def test_consent_form_with_changed_scopes_is_refused(max_: User) -> None:
    browser = signed_in(max_)
    page = browser.get(consent_path(client(scope="openid")))
    request = page.context["form"]["request"].value()
    answer = browser.post(AUTHORIZE, {"action": "grant", "request": request, "scopes": ["openid", "channel:read"]})
    assert answer.status_code == 200
    assert browser.post(AUTHORIZE, {"action": "grant", "request": f"{request}x"}).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "another-verifier-of-forty-three-characters-0000"},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:51424"},
        {"client_id": "unknown"},
        {"code": "unknown"},
    ],
)
def test_code_with_a_changed_request_is_refused(max_: User, change: dict[str, str]) -> None:
    form = code_form(max_)
    answer = send(TOKEN, form | change)
    assert answer.status_code in (400, 401)
    assert "access_token" not in answer.json()


def test_code_is_accepted_once(max_: User) -> None:
    form = code_form(max_)
    assert send(TOKEN, form).status_code == 200
    again = send(TOKEN, form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_wrong_state_is_the_applications_to_refuse(max_: User) -> None:
    browser, application = signed_in(max_), client()
    answer = answer_consent(browser, browser.get(consent_path(application)))
    with pytest.raises(MismatchingStateException):
        application.fetch_token(
            url(TOKEN), authorization_response=answer.headers["Location"], code_verifier=VERIFIER, state="another"
        )


@pytest.mark.parametrize(
    ("redirect", "source"),
    [
        ("http://127.0.0.1:51423", "http://127.0.0.1:51423"),
        ("https://app.example/back?x=1", "https://app.example"),
        ("http://a;script-src *@127.0.0.1:5", "http://127.0.0.1:5"),
        ("http://[::1]:51423", "http:"),
        ("org.example.app:/back", "org.example.app:"),
    ],
)
def test_form_may_lead_to_the_application_alone(redirect: str, source: str) -> None:
    assert form_action(redirect) == source


def test_policy_of_the_consent_page(max_: User) -> None:
    policy = signed_in(max_).get(consent_path(client())).headers["Content-Security-Policy"]
    assert f"form-action 'self' {REDIRECT};" in f"{policy};"
    assert REDIRECT not in signed_in(max_).get("/").headers["Content-Security-Policy"]


def test_authorization_is_recorded_and_mailed_the_first_time(max_: User) -> None:
    User.objects.filter(pk=max_.pk).update(email="max@example.org")
    sign_in(max_)
    sign_in(max_)
    first, second = AuditEvent.objects.filter(action="oauth.grant").order_by("pk")
    assert (first.target, first.actor, set(first.detail["scopes"])) == ("pixi / rattler", max_, ALL_SCOPES)
    assert (notifications.recipients(first.pk), notifications.recipients(second.pk)) == ([max_.pk], [])
    notifications.send(first.pk, max_.pk)
    [told] = mail.outbox
    assert told.subject == "pixi / rattler can now use your account"
    assert f"{settings.HUB_PUBLIC_URL}/account/applications" in told.body


def test_oidc_key_that_is_unreadable_gives_a_check_error() -> None:
    with override_settings(IDP_OIDC_PRIVATE_KEY="not a key"):
        [error] = check_oidc_key()
    assert error.msg == (
        "HUB_OIDC_PRIVATE_KEY is not a readable private key; expected an RSA key in PEM format without a password."
    )


@pytest.mark.parametrize("path", [AUTHORIZE, DEVICE, DEVICE_CODE, TOKEN, REVOKE])
def test_nul_is_refused_before_the_database_sees_it(max_: User, path: str) -> None:
    answer = signed_in(max_).post(f"{path}?client_id=a%00b", {"client_id": "rattler"})
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (400, "nul")
