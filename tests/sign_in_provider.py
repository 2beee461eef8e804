"""An OpenID Connect provider for sign-in tests, over HTTP: its page, tokens, keys and userinfo."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.id_tokens.builders import key_set, signed
from tests.oidc import respond

CLIENT_ID, CLIENT_SECRET = "channelhub", "the-secret-of-channelhub"
MARA = {
    "sub": "mara-1",
    "preferred_username": "mara@acme.example",
    "email": "mara@acme.example",
    "email_verified": True,
}

Answer = tuple[int, bytes, dict[str, str]]


class SignInProvider:
    """A provider with a page of one click, which signs in `person`. Tests change that while it runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.person: dict[str, Any] = dict(MARA)
        self.requests: list[dict[str, str]] = []  # authorization requests
        self.codes: dict[str, dict[str, str]] = {}  # code → its authorization request

    def settings(self, name: str = "acme", **more: str) -> dict[str, str]:
        """Return the hub's variables for this provider."""
        own = {"URL": self.url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "TITLE": "Acme", **more}
        return {"HUB_OIDC_PROVIDERS": name} | {f"HUB_OIDC_{name.upper()}_{key}": value for key, value in own.items()}

    def app(self, name: str = "acme", **settings: Any) -> dict[str, Any]:
        """Return this provider as an entry of SOCIALACCOUNT_PROVIDERS."""
        known = {"server_url": self.url, "groups_claim": "groups", "sign_up": True} | settings
        return {
            "provider_id": name,
            "name": "Acme",
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": known,
        }

    def answer(self, path: str, sent: dict[str, str]) -> Answer:
        match path:
            case "/.well-known/openid-configuration":
                ends = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
                return as_json({"issuer": self.url} | {end: f"{self.url}/{end}" for end in ends})
            case "/authorization_endpoint":
                return self._page(sent)
            case "/token_endpoint":
                return self._tokens(sent)
            case "/userinfo_endpoint":
                return as_json(self.person)
            case "/jwks_uri":
                return as_json(key_set("A"))
        return 404, b"", {}

    def back(self, request: dict[str, str]) -> str:
        """Return the redirect after consent to `request`."""
        code = secrets.token_hex(8)
        self.codes[code] = request
        return f"{request['redirect_uri']}?{urlencode({'code': code, 'state': request['state']})}"

    def _page(self, request: dict[str, str]) -> Answer:
        self.requests.append(request)
        html = f'<!doctype html><title>Acme</title><a href="{self.back(request)}">I am {self.person["sub"]}</a>'
        return 200, html.encode(), {"Content-Type": "text/html"}

    def _tokens(self, sent: dict[str, str]) -> Answer:
        request = self.codes.pop(sent.get("code", ""), None)
        if request is None or sent.get("client_secret") != CLIENT_SECRET or not sent.get("code_verifier"):
            return as_json({"error": "invalid_grant"}, status=400)
        id_token = signed(self.person | {"iss": self.url, "aud": CLIENT_ID, "exp": 4102444800, "iat": 1700000000})
        return as_json({"access_token": secrets.token_hex(8), "token_type": "Bearer", "id_token": id_token})


@contextmanager
def sign_in_provider() -> Iterator[SignInProvider]:
    """Start a provider and yield it."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.provider = SignInProvider(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.provider
        finally:
            server.shutdown()
            thread.join()


def as_json(document: object, *, status: int = 200) -> Answer:
    return status, json.dumps(document).encode(), {"Content-Type": "application/json"}


class _Server(ThreadingHTTPServer):
    provider: SignInProvider


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _answer(self, form: str) -> None:
        status, body, headers = self.server.provider.answer(urlsplit(self.path).path, dict(parse_qsl(form)))
        respond(self, status, body, headers)

    def log_message(self, *_: object) -> None:
        pass
