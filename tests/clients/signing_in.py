"""`pixi auth login --oauth` reimplemented over HTTP: conda/rattler, crates/rattler/src/cli/auth/oauth.rs.

pixi is not on PyPI. Its result, an entry of rattler's auth file, is used by the real py-rattler and py-rattler-build.
"""

import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client

CLIENT_ID = "rattler"
SCOPES = "openid profile offline_access openid"
ANSWER_S = 60
# With an icon in the page, the browser doesn't request one from the closed listener.
PAGE = b'<!doctype html><title>pixi</title><link rel="icon" href="data:,"><h1>Back at pixi</h1>'
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

# Opens a URL for the user, and returns when the user has answered there.
Browse = Callable[[str], object]


class SignInError(Exception):
    """The error that the hub returned instead of a code."""


class Listener(HTTPServer):
    """Server of the redirect URI, for one request on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Callback)
        self.timeout = ANSWER_S
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.came_back_to = ""


class _Callback(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.came_back_to = f"{self.server.url}{self.path}"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


def by_browser(url: str, browse: Browse) -> dict[str, Any]:
    """Sign in by authorization code with PKCE. Return the credential. Raise SignInError."""
    found = discovered(url)
    with Listener() as listener:
        client = OAuth2Client(
            CLIENT_ID,
            token_endpoint_auth_method="none",
            scope=SCOPES,
            redirect_uri=listener.url,
            code_challenge_method="S256",
            timeout=ANSWER_S,
        )
        verifier = generate_token(64)
        address, state = client.create_authorization_url(
            found["authorization_endpoint"], code_verifier=verifier, nonce=generate_token()
        )
        waiting = Thread(target=listener.handle_request)
        waiting.start()
        browse(address)
        waiting.join()
    said = dict(parse_qsl(urlsplit(listener.came_back_to).query))
    if "error" in said:
        raise SignInError(said["error"])
    answer = client.fetch_token(
        found["token_endpoint"], authorization_response=listener.came_back_to, code_verifier=verifier, state=state
    )
    return credential(found, answer)


def by_device(url: str, browse: Browse) -> dict[str, Any]:
    """Sign in by the device flow, which is rattler's default. Return the credential."""
    found = discovered(url)
    asked = {"client_id": CLIENT_ID, "scope": SCOPES}
    device = posted(found["device_authorization_endpoint"], asked).json()
    browse(device["verification_uri_complete"])
    form = {"grant_type": DEVICE_GRANT, "device_code": device["device_code"], "client_id": CLIENT_ID}
    return credential(found, posted(found["token_endpoint"], form).json())


def sign_out(entry: dict[str, Any]) -> None:
    """Revoke the refresh token and then the access token, as `pixi auth logout` does."""
    login = entry["OAuth"]
    for kind in ("refresh_token", "access_token"):
        form = {"token": login[kind], "token_type_hint": kind, "client_id": CLIENT_ID}
        posted(login["revocation_endpoint"], form)


def posted(url: str, form: dict[str, Any]) -> httpx2.Response:
    return httpx2.post(url, data=form, timeout=ANSWER_S).raise_for_status()


def discovered(url: str) -> dict[str, Any]:
    answer = httpx2.get(f"{url}/.well-known/openid-configuration", timeout=ANSWER_S).raise_for_status()
    found: dict[str, Any] = answer.json()
    assert found["issuer"] == url
    return found


def credential(found: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of rattler's auth file."""
    return {
        "OAuth": {
            "access_token": answer["access_token"],
            "refresh_token": answer["refresh_token"],
            "expires_at": int(time.time()) + answer["expires_in"],
            "token_endpoint": found["token_endpoint"],
            "revocation_endpoint": found["revocation_endpoint"],
            "client_id": CLIENT_ID,
        }
    }


def consenting(session_cookie: str) -> Browse:
    """Return a user without a browser, signed in to the hub, that accepts every consent page."""

    def browse(address: str) -> None:
        with httpx2.Client(cookies={"sessionid": session_cookie}, follow_redirects=True, timeout=ANSWER_S) as browser:
            page = browser.get(address).raise_for_status()
            form = _hidden(page.text)
            if "request" in form:
                browser.post(address.partition("?")[0], data=form | {"action": "grant"}).raise_for_status()
            else:
                browser.post(address, data=form | {"action": "confirm"}).raise_for_status()

    return browse


def _hidden(page: str) -> dict[str, list[str]]:
    """Return the hidden fields of the consent form."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.partition("<main")[2]):
        found.setdefault(name, []).append(value)
    return found
