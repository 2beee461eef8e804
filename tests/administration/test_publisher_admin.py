"""Tests of the administration of issuers and trusted publishers."""

import json

import pytest
from django.test import Client
from django.utils.html import escape

from channels_app.models import Channel, User
from hub import fetching
from publishing.models import Issuer
from tests.builders import make_issuer, make_publisher
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

ISSUERS, PUBLISHERS = "/admin/publishing/issuer/", "/admin/publishing/trustedpublisher/"
OWN, GITLAB = "https://gitlab.example.org", "https://gitlab.com"
FORM = {"url": OWN, "provider": "gitlab", "is_enabled": "on", "key_hosts": "[]"}


@pytest.fixture
def admin_client(admin_user: User) -> Client:
    """Return the browser of an administrator with a recent confirmation."""
    return signed_in(admin_user)


def discovery(monkeypatch: pytest.MonkeyPatch, **document: str) -> list[str]:
    """Replace the discovery documents of all issuers. Return the requested URLs."""
    asked: list[str] = []

    def answer(url: str) -> bytes:
        asked.append(url)
        return json.dumps({"issuer": OWN, "jwks_uri": f"{OWN}/keys"} | document).encode()

    monkeypatch.setattr(fetching, "get", answer)
    return asked


def test_issuers_are_for_administrators(client: Client, sam: User) -> None:
    for path in (ISSUERS, f"{ISSUERS}add/", PUBLISHERS):
        assert client.get(path).status_code == signed_in(sam).get(path).status_code == 302


def test_an_issuer_is_added_after_a_look_at_its_discovery(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = discovery(monkeypatch)
    assert admin_client.post(f"{ISSUERS}add/", FORM).status_code == 302
    issuer = Issuer.objects.get(url=OWN)
    assert (issuer.provider, issuer.is_enabled, issuer.key_hosts) == ("gitlab", True, [])
    assert asked == [f"{OWN}/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    ("form", "document", "sentence"),
    [
        ({}, {"issuer": f"{OWN}/"}, f"The discovery document is of the issuer '{OWN}/'; expected {OWN}."),
        ({"url": f"{OWN}/"}, {}, f"The discovery document is of the issuer '{OWN}'; expected {OWN}/."),
        ({}, {"jwks_uri": "https://elsewhere.example.org/keys"}, "expected it on gitlab.example.org."),
        ({"url": GITLAB}, {"issuer": GITLAB, "jwks_uri": f"{GITLAB}/keys"}, "Issuer with this Url already exists."),
        ({"provider": "travis"}, {}, "Select a valid choice. travis is not one of the available choices."),
        ({"key_hosts": '{"a": 1}'}, {}, 'Expected a list of hosts, such as ["www.googleapis.com"].'),
        ({"key_hosts": "[7]"}, {}, 'Expected a list of hosts, such as ["www.googleapis.com"].'),
    ],
)
def test_an_issuer_that_is_not_right_is_refused(
    admin_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    form: dict[str, str],
    document: dict[str, str],
    sentence: str,
) -> None:
    discovery(monkeypatch, **document)
    before = Issuer.objects.count()
    assert escape(sentence) in text(admin_client.post(f"{ISSUERS}add/", FORM | form))
    assert Issuer.objects.count() == before


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "http://gitlab.example.org",
            "http://gitlab.example.org/.well-known/openid-configuration is not an https URL. For a server",
        ),
        ("gitlab.example.org", "gitlab.example.org/.well-known/openid-configuration is not an https URL."),
        (OWN, "gitlab.example.org is not asked by tests."),
        (
            "https://127.0.0.1",
            "127.0.0.1 has the private address 127.0.0.1. For a server",
        ),
    ],
)
def test_an_issuer_that_can_not_be_asked_is_refused(admin_client: Client, url: str, sentence: str) -> None:
    assert sentence in text(admin_client.post(f"{ISSUERS}add/", FORM | {"url": url}))
    assert not Issuer.objects.filter(url=url).exists()


def test_an_issuer_is_switched_off_without_asking_it(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = discovery(monkeypatch)
    issuer = make_issuer()
    path = f"{ISSUERS}{issuer.pk}/change/"
    page = text(admin_client.get(path))
    assert "1, fetched 0 minutes ago" in page
    assert 'name="url"' not in page
    assert 'name="provider"' not in page
    assert admin_client.post(path, {"key_hosts": "[]", "url": "https://evil.example.org"}).status_code == 302
    issuer.refresh_from_db()
    assert (issuer.url, issuer.is_enabled) == ("https://token.actions.githubusercontent.com", False)
    assert asked == []
    assert admin_client.post(f"{ISSUERS}{issuer.pk}/delete/", {"post": "yes"}).status_code == 403


def test_issuers_are_listed_with_their_trouble(admin_client: Client) -> None:
    Issuer.objects.filter(provider="gitlab").update(failure="https://gitlab.com/keys answers 500; expected 200.")
    page = text(admin_client.get(ISSUERS))
    assert "https://gitlab.com/keys answers 500; expected 200." in page
    assert "none yet" in page


def test_publishers_are_read_only_in_the_administration(admin_client: Client, channel: Channel) -> None:
    publisher = make_publisher(channel)
    assert "octo-org/sample" in text(admin_client.get(PUBLISHERS))
    path = f"{PUBLISHERS}{publisher.pk}/"
    assert "release.yml" in text(admin_client.get(f"{path}change/"))
    assert admin_client.post(f"{path}change/", {"subject": "x"}).status_code == 403
    assert admin_client.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{PUBLISHERS}add/").status_code == 403
