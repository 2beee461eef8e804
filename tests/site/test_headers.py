"""Tests of security and cache headers of every kind of response."""

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import User
from channels_app.site import views
from tests.builders import make_key
from tests.callers import make_world
from tests.pages import Response, signed_in

pytestmark = pytest.mark.django_db

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}
# A path of every kind, with the caller and the status.
ANSWERS = [
    ("anon", "/", 200),
    ("anon", "/accounts/login/", 200),
    ("anon", "/channels/open", 200),
    ("anon", "/channels/demo", 404),
    ("anon", "/channels/open/feed", 200),
    ("anon", "/open/noarch/repodata.json", 200),
    ("anon", "/demo/noarch/repodata.json", 401),
    ("anon", "/api/v1/whoami", 200),
    ("anon", "/api/v1/upload/demo", 405),
    ("anon", "/admin/", 302),
    ("anon", "/docs", 200),
    ("anon", "/healthz", 200),
    ("anon", "/readyz", 200),
    ("anon", "/metrics", 404),
    ("anon", "/static/css/base.css", 200),
    ("anon", "/static/nothing.css", 404),
    ("anon", "/nowhere", 404),
    ("anon", "/channels", 200),
    ("anon", "/search", 200),
    ("anon", "/open/noarch/missing-1-0.conda", 404),
    ("anon", "/t/nonsense/open/noarch/repodata.json", 401),
    ("anon", "/account/keys", 302),
    ("anon", "/api/oidc/mint_token", 405),
    ("anon", "/.well-known/openid-configuration", 200),
    ("anon", "/.well-known/nothing", 404),
    ("anon", "/robots.txt", 200),
    ("anon", "/favicon.ico", 200),
    ("owner", "/", 200),
    ("owner", "/account/keys", 200),
    ("owner", "/account/activity", 200),
    ("owner", "/channels/demo", 200),
    ("owner", "/channels/demo/settings/members", 200),
    ("owner", "/channels/demo/feed", 200),
    ("owner", "/demo/noarch/repodata.json", 200),
    ("key", "/demo/noarch/repodata.json", 200),
    ("key", "/api/v1/whoami", 200),
    ("admin", "/admin/", 200),
]


@pytest.fixture(scope="module", autouse=True)
def world(rows_of_module: None) -> None:
    make_world()


def asked(who: str, path: str) -> Response:
    if who == "anon":
        return Client().get(path)
    owner = User.objects.get(username="owner")
    if who != "key":
        return signed_in(User.objects.get(username=who)).get(path)
    return Client(headers={"Authorization": f"Bearer {make_key(owner)}"}).get(path)


@pytest.mark.parametrize(("who", "path", "status"), ANSWERS)
def test_pages_have_the_security_headers(who: str, path: str, status: int) -> None:
    answer = asked(who, path)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert set(answer.headers["Content-Security-Policy"].split("; ")) == POLICY
    if answer.headers.get("Content-Type", "").startswith("text/html") and status < 300:
        assert "camera=()" in answer.headers["Permissions-Policy"]


def test_so_are_answers_to_requests_that_went_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(views, "visible_channels", fail)
    client = Client(raise_request_exception=False)
    failed, misdirected = client.get("/"), client.get("/docs", headers={"host": "elsewhere.example.org"})
    assert (failed.status_code, misdirected.status_code) == (500, 400)
    for answer in (failed, misdirected):
        assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE


def test_http_request_is_redirected_without_content(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().get("/docs")
    assert (answer.status_code, answer.headers["Location"], answer.content) == (301, "https://testserver/docs", b"")
    assert Client().get("/healthz").status_code == 200


@pytest.mark.parametrize(("who", "path", "status"), [row for row in ANSWERS if row[0] != "anon"])
def test_private_responses_are_not_cached(who: str, path: str, status: int) -> None:
    answer = asked(who, path)
    control = {part.strip() for part in answer.headers["Cache-Control"].split(",")}
    assert control & {"private", "no-store"}, control
    assert "public" not in control


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "X-JFrog-Art-Api"])
def test_response_to_a_key_in_any_header_is_not_stored(name: str, olga: User) -> None:
    key = make_key(olga)
    answer = Client().get("/channels", headers={name: f"Bearer {key}" if name == "Authorization" else key})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "private, no-store")


@pytest.mark.parametrize(("is_https", "found"), [(True, "max-age=31536000"), (False, None)])
def test_transport_is_strict_behind_tls(settings: Settings, is_https: bool, found: str | None) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    assert Client().get("/", secure=is_https).headers.get("Strict-Transport-Security") == found
