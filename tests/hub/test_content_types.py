"""Tests of Content-Type: no value changes the response or fails in the WSGI application."""

import io
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from channels_app.models import User
from hub.wsgi import application
from tests.builders import make_channel

pytestmark = pytest.mark.django_db

# Codecs of bytes, codecs that fail on some text, other text codecs, and an unknown name.
CHARSETS = ("base64", "zlib", "rot13", "idna", "punycode", "undefined", "utf-16", "utf-7", "cp037", "nonsense")
SHAPES = (
    "text/html; charset={}",
    "text/html; x*={}''a%41",
    "text/html; x*0*={}''a; x*1=b",
    "text/html; charset*={}''x",
)
PLACES = ("/", "/search?q=a%00&page=%C3", "/open/noarch/repodata.json?x=1", "/t/chub-key/open/noarch/repodata.json?x=1")
PART = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nchub-\xff\r\n--x--\r\n'


@pytest.fixture(autouse=True)
def public(olga: User) -> None:
    make_channel("open", owner=olga, is_private=False)


@pytest.fixture(autouse=True)
def open_connection() -> Iterator[None]:
    """Keep the test's connection, as Django's own test client does; on PostgreSQL each request would close it."""
    signals = request_started, request_finished
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def ask(path: str, content_type: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
    """Return status and headers of the response."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "HTTP_HOST": "127.0.0.1:8000",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
    }
    began: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        began.update(status=int(status[:3]), headers=dict(headers))
        return bytes

    answer = application(environ, start)
    b"".join(answer)
    answer.close()
    return began["status"], began["headers"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("charset", CHARSETS)
def test_a_charset_changes_no_answer(shape: str, charset: str) -> None:
    for path in PLACES:
        status, headers = ask(path, f"text/html; {shape.format(charset)}")
        assert status == ask(path, "text/html")[0]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Request-ID" in headers


@pytest.mark.parametrize("path", ["/doctor", "/accounts/login/", "/identity/o/api/token", "/api/graphql"])
@pytest.mark.parametrize("charset", CHARSETS)
def test_a_form_is_read_as_utf_8(charset: str, path: str) -> None:
    plain = ask(path, "multipart/form-data; boundary=x", PART)[0]
    assert ask(path, f"multipart/form-data; boundary=x; charset={charset}", PART)[0] == plain
    assert ask(path, f"multipart/form-data; boundary*={charset}''x", PART)[0] < HTTPStatus.INTERNAL_SERVER_ERROR
