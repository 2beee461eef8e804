"""Tests of files that browsers, crawlers and password managers request from any site."""

import re
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from PIL import Image
from pytest_django import Settings

from channels_app.models import User
from hub import variables
from tests.builders import make_user
from tests.hub.test_settings import check
from tests.pages import signed_in

REQUIRED = {"issuer", "authorization_endpoint", "token_endpoint", "response_types_supported"}  # RFC 8414
SECURITY = "/.well-known/security.txt"


def test_authorization_server_metadata_same_as_of_openid(client: Client, settings: Settings) -> None:
    answer = client.get("/.well-known/oauth-authorization-server")
    metadata = answer.json()
    assert metadata.keys() >= REQUIRED
    assert metadata == client.get("/.well-known/openid-configuration").json()
    assert metadata["issuer"] == settings.HUB_PUBLIC_URL
    assert "none" in metadata["token_endpoint_auth_methods_supported"]
    endpoints = [value for name, value in metadata.items() if name.endswith("_endpoint")]
    assert all(value.startswith(f"{settings.HUB_PUBLIC_URL}/") for value in endpoints)
    assert client.get(metadata["service_documentation"].removeprefix(settings.HUB_PUBLIC_URL)).status_code == 200


def test_security_txt_without_a_contact_is_404(client: Client) -> None:
    answer = client.get(SECURITY)
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "no_security_contact")
    assert "HUB_SECURITY_CONTACT" in answer.text


def test_security_txt_names_the_contact_and_has_not_expired(client: Client, settings: Settings) -> None:
    settings.HUB_SECURITY_CONTACT = "mailto:security@example.org"
    answer = client.get(SECURITY)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == "mailto:security@example.org"
    assert fields["Canonical"] == f"{settings.HUB_PUBLIC_URL}{SECURITY}"
    expires = datetime.fromisoformat(fields["Expires"])
    assert timedelta(days=30) < expires - datetime.now(UTC) < timedelta(days=365)


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ("security@example.org", "mailto:security@example.org"),
        ("mailto:security@example.org", "mailto:security@example.org"),
        ("https://example.org/report", "https://example.org/report"),
        ("tel:+49-30-1234", "tel:+49-30-1234"),
        ("http://example.org/report", None),
        ("the office", None),
        ("a@b\nContact: x", None),
    ],
)
def test_security_contact_is_a_uri_or_refused(monkeypatch: pytest.MonkeyPatch, value: str, uri: str | None) -> None:
    monkeypatch.setattr(variables, "SECTIONS", {"": []})
    monkeypatch.setenv("HUB_SECURITY_CONTACT", value)
    with nullcontext() if uri else pytest.raises(ImproperlyConfigured, match="HUB_SECURITY_CONTACT is"):
        assert variables.contact("HUB_SECURITY_CONTACT", "") == uri


def test_security_contact_that_is_none_stops_the_start(tmp_path: Path) -> None:
    found = check(tmp_path, HUB_SECURITY_CONTACT="the office")
    assert found.returncode != 0
    assert "HUB_SECURITY_CONTACT is" in found.stderr


@pytest.mark.django_db
def test_change_password_leads_to_the_form(client: Client) -> None:
    answer = client.get("/.well-known/change-password")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/change/")
    user: User = make_user("pat")
    assert signed_in(user).get("/.well-known/change-password", follow=True).status_code == 200


def test_robots_txt_allows_pages_and_no_packages(client: Client) -> None:
    answer = client.get("/robots.txt")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    rules = [line.split(": ", 1) for line in answer.text.splitlines()]
    assert rules[0] == ["User-agent", "*"]
    assert {name for name, _ in rules[1:]} == {"Disallow"}
    patterns = [re.escape(path).replace(r"\*", ".*").replace(r"\$", "$") for _, path in rules[1:]]

    def is_allowed(path: str) -> bool:
        return not any(re.match(pattern, path) for pattern in patterns)

    assert all(map(is_allowed, ("/", "/channels/open", "/channels/open/packages/demo", "/docs/first-steps")))
    assert not any(map(is_allowed, ("/open/noarch/a-1-0.conda", "/a/noarch/b-1-0.tar.bz2", "/api/v1/x", "/t/KEY/a/b")))


def test_favicon_is_an_icon_of_several_sizes(client: Client) -> None:
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/x-icon")
    assert "max-age" in answer["Cache-Control"]
    icon = Image.open(BytesIO(answer.content))
    assert icon.format == "ICO"
    assert {(16, 16), (32, 32), (48, 48)} == set(icon.info["sizes"])
