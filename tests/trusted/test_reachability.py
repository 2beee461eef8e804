"""The warning of the publishers' form about a hub that CI services can't reach."""

import pytest
from pytest_django import Settings

from channels_app.models import User
from publishing.trusted import reachability
from tests.builders import make_channel
from tests.pages import signed_in, text


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("http://127.0.0.1:8000", "can't reach"),
        ("https://localhost", "can't reach"),
        ("https://192.168.1.5", "can't reach"),
        ("https://[::1]:8000", "can't reach"),
        ("https://hub.local", "can't reach"),
        ("https://hub", "can't reach"),
        ("http://hub.example.org", "is not encrypted"),
        ("http://93.184.215.14", "is not encrypted"),
        ("https://hub.example.org", ""),
    ],
)
def test_warning_of_an_unreachable_hub_names_the_reason(address: str, part: str, settings: Settings) -> None:
    settings.HUB_PUBLIC_URL = address
    found = reachability.warning()
    assert part in found
    assert bool(part) == bool(found)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/channels/demo/settings/publishers", "/channels/new/publisher"])
def test_form_shows_the_warning(path: str, olga: User, settings: Settings) -> None:
    make_channel("demo", owner=olga)
    browser = signed_in(olga)
    settings.HUB_PUBLIC_URL = "http://127.0.0.1:8000"
    assert "CI services can" in text(browser.get(path))
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    assert "CI services can" not in text(browser.get(path))
