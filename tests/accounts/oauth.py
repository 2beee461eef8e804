"""An OAuth client for tests: Authlib, which calls the hub within this process."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.conf import settings
from django.test import Client

from channels_app.models import Channel, User
from tests.pages import Response, signed_in

AUTHORIZE = "/identity/o/authorize"
DEVICE = "/identity/o/device"
DEVICE_CODE = "/identity/o/api/device/code"
TOKEN = "/identity/o/api/token"
REVOKE = "/identity/o/api/revoke"
USERINFO = "/identity/o/api/userinfo"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

# The scopes that rattler requests from an unknown host; its library adds openid a second time.
SCOPES = "openid offline_access profile openid"
ALL_SCOPES = {"openid", "profile", "offline_access", "channel:read", "channel:upload"}
REDIRECT = "http://127.0.0.1:51423"
VERIFIER = "a-verifier-of-forty-three-characters-at-least-0"


class _InProcess(httpx2.BaseTransport):
    """A transport that uses Django's test client, which keeps the test's database connection open."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = dict(request.headers)
        answer = Client(headers=headers).generic(
            request.method, request.url.raw_path.decode(), request.read(), headers.get("content-type", "")
        )
        return httpx2.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


def client(redirect_uri: str = REDIRECT, scope: str = SCOPES) -> OAuth2Client:
    """Return a client without a secret, as pixi and rattler are registered."""
    return OAuth2Client(
        "rattler",
        token_endpoint_auth_method="none",
        scope=scope,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        transport=_InProcess(),
        base_url=settings.HUB_PUBLIC_URL,
    )


def send(path: str, form: dict[str, str], headers: dict[str, str] | None = None) -> Response:
    """Send a POST like every OAuth client."""
    return Client(headers=headers).post(path, urlencode(form), content_type="application/x-www-form-urlencoded")


def url(path: str) -> str:
    return f"{settings.HUB_PUBLIC_URL}{path}"


def consent_path(application: OAuth2Client, **more: str) -> str:
    """Return the path to which the application sends its user's browser."""
    address, _ = application.create_authorization_url(url(AUTHORIZE), code_verifier=VERIFIER, state="state-1", **more)
    return str(address).removeprefix(settings.HUB_PUBLIC_URL)


def authorization_path(**query: str) -> str:
    """Return the same path with any query, for requests that no library would send."""
    asked = {
        "response_type": "code",
        "client_id": "rattler",
        "redirect_uri": REDIRECT,
        "scope": SCOPES,
        "state": "state-1",
        "code_challenge": create_s256_code_challenge(VERIFIER),
        "code_challenge_method": "S256",
    } | query
    return f"{AUTHORIZE}?{urlencode({name: value for name, value in asked.items() if value})}"


def answer_consent(browser: Client, page: Response, action: str = "grant") -> Response:
    """Send the form of a consent page unchanged."""
    fields = re.findall(r'<input type="hidden" name="(request|scopes)" value="([^"]*)"', page.content.decode())
    form: dict[str, Any] = {"action": action}
    for name, value in fields:
        form.setdefault(name, []).append(value)
    return browser.post(AUTHORIZE, form)


def redirected(response: Response) -> dict[str, str]:
    """Return the parameters of the redirect to the application."""
    assert response.status_code == 302, response.content
    return dict(parse_qsl(urlsplit(response.headers["Location"]).query))


def code_form(user: User) -> dict[str, str]:
    """Return the application's form that exchanges the code of the user's consent."""
    browser = signed_in(user)
    return {
        "grant_type": "authorization_code",
        "code": redirected(answer_consent(browser, browser.get(consent_path(client()))))["code"],
        "client_id": "rattler",
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }


def sign_in(user: User, application: OAuth2Client | None = None) -> dict[str, Any]:
    """Return the application's tokens after the user's consent."""
    application = application or client()
    browser = signed_in(user)
    answer = answer_consent(browser, browser.get(consent_path(application)))
    location = answer.headers["Location"]
    token: dict[str, Any] = application.fetch_token(
        url(TOKEN), authorization_response=location, code_verifier=VERIFIER, state="state-1"
    )
    return token


def refresh(token: dict[str, Any], **form: str) -> Response:
    """Refresh the token as rattler does (conda/rattler, crates/rattler_networking/src/oauth_refresh.rs)."""
    sent = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], "client_id": "rattler"}
    return send(TOKEN, sent | form)


def read(token: Any, channel: Channel) -> Response:
    path = f"/{channel}/noarch/repodata.json"
    return Client(headers={"authorization": f"Bearer {token['access_token']}"}).get(path)
