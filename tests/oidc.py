"""An issuer of identity tokens for tests, over HTTP on 127.0.0.1: discovery, keys, and tokens for jobs."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.id_tokens.builders import github_claims, key_set, signed

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"
TOKENS = "/tokens"
HELD_AT_MOST_S = 30

Claims = Callable[..., dict[str, Any]]
Answer = tuple[int, bytes, dict[str, str]]


class FakeIssuer:
    """An issuer that tests change while it runs. `claims` makes the claims of its tokens, like github_claims."""

    def __init__(self, port: int, claims: Claims) -> None:
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        self.claims = claims
        self.published = ["A"]  # ids of the published keys
        self.signs_with = "A"
        self.answers: dict[str, Answer] = {}  # path → a different response
        self.is_down = False
        self.may_answer = Event()
        self.may_answer.set()
        self.received: list[str] = []  # requested paths
        self.job_token = secrets.token_hex(16)
        self.job_claims: dict[str, Any] = {}  # claims of the job that replace those of `claims`
        self.audiences: list[str] = []  # audiences that jobs requested

    def token(self, audience: str = "127.0.0.1", **changes: Any) -> str:
        """Return a token for `audience`, signed with the current key."""
        return signed(self.claims(issuer=self.url, aud=audience, **changes), key_id=self.signs_with)

    def key_fetches(self) -> int:
        return self.received.count(KEYS)

    def answer(self, target: str, authorization: str) -> Answer:
        address = urlsplit(target)
        self.received.append(address.path)
        self.may_answer.wait(HELD_AT_MOST_S)
        if address.path in self.answers:
            return self.answers[address.path]
        if address.path == DISCOVERY:
            return as_json({"issuer": self.url, "jwks_uri": f"{self.url}{KEYS}"})
        if address.path == KEYS:
            return as_json(key_set(*self.published))
        if address.path == TOKENS and authorization == f"Bearer {self.job_token}":
            return self._token_for_job(parse_qs(address.query)["audience"][0])
        return 404, b"", {}

    def _token_for_job(self, audience: str) -> Answer:
        self.audiences.append(audience)
        return as_json({"value": self.token(audience, **self.job_claims)})


@contextmanager
def fake_issuer(claims: Claims = github_claims) -> Iterator[FakeIssuer]:
    """Start an issuer and yield it."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.issuer = issuer = FakeIssuer(server.server_port, claims)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            issuer.may_answer.set()
            server.shutdown()
            thread.join()


def as_json(document: object) -> Answer:
    return 200, json.dumps(document).encode(), {"Content-Type": "application/json"}


class _Server(ThreadingHTTPServer):
    issuer: FakeIssuer


def respond(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Send one response with a Content-Length, so that the connection can stay open."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # like real issuers: the connection stays open after the response
    server: _Server

    def do_GET(self) -> None:
        if self.server.issuer.is_down:
            self.close_connection = True
            return
        status, body, headers = self.server.issuer.answer(self.path, self.headers.get("Authorization", ""))
        respond(self, status, body, headers)

    def log_message(self, *_: object) -> None:
        pass
