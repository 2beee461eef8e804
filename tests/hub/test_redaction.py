"""Tests of redaction: texts that a log line must hide, and those that it must keep."""

import logging
from base64 import b64encode
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from hub.observability.logs import TextFormatter
from hub.observability.redaction import redacted
from hub.server.gunicorn_conf import logger_class
from tests.builders import NO_KEY
from tests.id_tokens.builders import github_claims, signed

JWT = signed(github_claims())


TOKEN = "5w64hkHBK3ggGQ8F2kQ0CGGWYX9mbfU2wprmU3rGOzujcuLpbMCOHKNsMJbMAsoJ8z1h_FiI2y3kXWIlwZ0TJA"


@pytest.mark.parametrize(
    ("before", "secret", "after"),
    [
        ("the key ", NO_KEY, " is wrong"),
        ("key=", NO_KEY[:-4], ""),
        ("GET /search/x-", NO_KEY, " HTTP/1.1"),
        ("GET /demo/", NO_KEY.replace("-", "%2D"), "/x HTTP/1.1"),
        ("GET /demo/", NO_KEY.replace("-", "%252d"), "/x HTTP/1.1"),
        ("GET /demo?x=", "".join(f"%{ord(each):02X}" for each in NO_KEY), "&y=1 HTTP/1.1"),
        ("the key ", NO_KEY.title(), " is wrong"),
        ("GET /t\\", TOKEN, "/demo HTTP/1.1"),
        ("Authorization: ", TOKEN, ""),
        ('{"access_token": "', TOKEN, '"}'),
        ("Token ", TOKEN, " was sent"),
        ('{"token": "', JWT, '"}'),
        ("Authorization: Bearer ", "abcdefgh12345678", " was sent"),
        ("authorization: basic ", "dXNlcjpwYXNzd29yZA==", ""),
        ("X-API-Key: ", "abcdefgh12345678", " was sent"),
        ("{'HTTP_X_JFROG_ART_API': '", "abcdefgh12345678", "'}"),
        ("GET /t/", "anything", "/demo/noarch/repodata.json HTTP/1.1"),
        ("GET //t/", "anything", "/demo HTTP/1.1"),
        ("GET /t//", "anything", "/demo HTTP/1.1"),
        ("GET /T/", "anything", "/demo HTTP/1.1"),
        ("GET /./t/", "anything", "/demo HTTP/1.1"),
        ("GET /x/../t/", "anything", "/demo HTTP/1.1"),
        ("GET %2Ft%2F", "anything", "%2Fdemo HTTP/1.1"),
        ("GET /%74/", "anything", "/demo HTTP/1.1"),
        ("GET /%54%2f", "anything", "/demo HTTP/1.1"),
        ("GET /%2574%252F", "anything", "%252Fdemo HTTP/1.1"),
        ("GET /t/", "anything", ""),
        ("GET /t/", "anything", "?x=1"),
        ("Referer: https://hub.example.org/t/", "anything", "/demo"),
        ("GET %2Finvitations%2F", "Ab1_-cdef", " HTTP/1.1"),
        ("GET /Invitations//", "Ab1_-cdef", " HTTP/1.1"),
        ("Internal Server Error: /invitations/", "Ab1_-cdef", ""),
        ("GET /invitations/", "Ab1_-cdef", "?next=/ HTTP/1.1"),
        ("GET /accounts/password/reset/key/", "3-c8k2dz-0a1b2c3d", "/ HTTP/1.1"),
        ("GET /accounts/confirm-email/", "MQ:1vLx:abc", "/ HTTP/1.1"),
        ("GET /accounts/github/login/callback/?code=", "0123456789", "&scope=x HTTP/1.1"),
        ("GET /callback?scope=x&state=", "0123456789", " HTTP/1.1"),
        ("GET /identity/o/device?user_code=", "ABCD-EFGH", " HTTP/1.1"),
        ("POST /anaconda/data/demo?grant=", "WyJkZW1vIiwi:1v:aB-c_D", " HTTP/1.1"),
        ("grant_type=refresh_token&refresh_token=", "0123456789", "&client_id=rattler"),
        ("Cookie: sessionid=", "abcdefghijklmnop", "; theme=dark"),
        ("could not read https://", "user:word", "@host.example.org/demo"),
        ("could not read https://", "opaque-token", "@host.example.org/demo"),
    ],
)
def test_secret_in_text_is_redacted(before: str, secret: str, after: str) -> None:
    assert redacted(f"{before}{secret}{after}") == f"{before}[hidden]{after}"


@pytest.mark.parametrize(
    "text",
    [
        "GET /channels/demo/settings/danger HTTP/1.1",
        "could not enqueue channels_app.tasks.tell(3,), the schedule will: no route",
        "GET /demo/noarch/chub-1.0-0.conda HTTP/1.1",
        "sha512 " + "0123456789abcdef" * 8,
        f"GET /demo/noarch/{'a-long-name-2-' * 8}.conda HTTP/1.1",
        "HTTP code=404 is no secret? It is hidden only as a parameter".replace("code=404", "code 404"),
        "/search?q=token&page=2",
        "/demo/noarch/eyJ.conda",
        "https://host.example.org/demo?mail=a@b.example",
        "accounts/confirm-email/ was asked for",
    ],
)
def test_text_without_secrets_stays_unchanged(text: str) -> None:
    assert redacted(text) == text


def test_secret_in_a_traceback_is_redacted() -> None:
    try:
        raise ValueError(f"a bad key: {NO_KEY}")
    except ValueError as error:
        trace = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("hub", logging.ERROR, __file__, 1, "failed for %s", (NO_KEY,), trace)
    line = TextFormatter().format(record)
    assert "]: failed for [hidden]\n  Traceback" in line
    assert NO_KEY not in line


def test_an_access_log_hides_them() -> None:
    """Check gunicorn's own access log, which is off by default."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/invitations/Ab1_-cdef?code=0123",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/invitations/Ab1_-cdef",
        "QUERY_STRING": "code=0123",
        "HTTP_AUTHORIZATION": "Basic " + b64encode(b"opaque-token-as-the-user:").decode(),
        "HTTP_REFERER": "https://hub.example.org/accounts/password/reset/key/3-c8k2dz-0a/",
    }
    response = SimpleNamespace(status="200 OK", sent=1, headers=[("Set-Cookie", "sessionid=abcdefgh; Path=/")])
    request = SimpleNamespace(headers=[("AUTHORIZATION", f"Bearer {NO_KEY}"), ("COOKIE", "sessionid=abcdefgh")])
    time = SimpleNamespace(seconds=0, microseconds=5)
    atoms = logger_class(Config()).atoms(response, request, environ, time)
    for secret in ("Ab1_-cdef", "0123", "c8k2dz", "abcdefgh", NO_KEY, "opaque-token"):
        assert secret not in str(atoms)
    assert (atoms["s"], atoms["D"]) == ("200", 5)
