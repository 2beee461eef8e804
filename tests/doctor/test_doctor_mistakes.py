"""Tests of the connection doctor with common mistakes of new users."""

import pytest
from pytest_django import Settings

from channels_app.access.permissions import ANONYMOUS
from channels_app.doctor import addresses
from channels_app.doctor.findings import Finding
from channels_app.doctor.views import examine
from channels_app.models import Channel, User
from tests.builders import NO_KEY, make_channel, make_key

pytestmark = pytest.mark.django_db

HUB = "https://hub.example.org"
UPLOAD = "rattler-build upload prefix"


@pytest.fixture(autouse=True)
def address(settings: Settings) -> None:
    settings.HUB_PUBLIC_URL, settings.PUBLIC_HOST = HUB, "hub.example.org"


def fixes(found: list[Finding], severity: str = "error") -> str:
    return " ".join(each.fix for each in found if each.severity == severity)


@pytest.mark.parametrize("url", ["https://[::", "https://[x]/y", "https://a\uff0fb/x"])
def test_examine_url_option_that_is_no_url_finds_no_path(url: str) -> None:
    assert HUB not in fixes(addresses.examine(addresses.read(f"{UPLOAD} --url {url} a.conda")))


@pytest.mark.parametrize(
    "text",
    [
        f"{UPLOAD} --url {HUB}/demo --api-key {NO_KEY} a.conda",
        f"{UPLOAD} --url {HUB}/demo/ --channel demo a.conda",
        f"{UPLOAD} --url={HUB}/api/v1/upload/demo a.conda",
        f"pixi upload prefix --url {HUB}/Demo a.conda",
        f"{UPLOAD} --url {HUB}/other/path --channel demo a.conda",
    ],
)
def test_examine_url_option_with_a_path_gives_the_address_alone(text: str) -> None:
    found = addresses.examine(addresses.read(text))
    assert len(found) == 1
    assert f"--url {HUB} --channel demo" in fixes(found)


@pytest.mark.parametrize("text", [f"{UPLOAD} --url {HUB} -c demo a.conda", f"{UPLOAD} --url {HUB}/ -c demo a.conda"])
def test_examine_url_option_without_a_path_is_right(text: str) -> None:
    assert addresses.examine(addresses.read(text)) == []


def test_examine_page_address_alone_gives_that_of_clients() -> None:
    [found] = addresses.examine(addresses.read(f"{HUB}/channels/demo"))
    assert (found.severity, found.fix.split()[-1]) == ("info", f"{HUB}/demo")


def test_examine_bearer_twice_is_an_error() -> None:
    text = f'curl -H "Authorization: Bearer {{}}{NO_KEY}" {HUB}/demo'
    assert addresses.examine(addresses.read(text.format(""))) == []
    assert "Bearer KEY" in fixes(addresses.examine(addresses.read(text.format("bearer "))))


@pytest.mark.parametrize("form", ["{}", f"{HUB}/{{}}/noarch/repodata.json", f"{UPLOAD} --url {HUB} --channel {{}} a"])
def test_examine_channel_in_capitals_suggests_lower_case_for_any_channel(olga: User, form: str) -> None:
    make_channel("closed", owner=olga)
    told = []
    for name in ("closed", "absent"):
        typed = name.title() if form == "{}" else ""
        found = examine(form.format(name.title()), typed, ANONYMOUS)
        assert f"Is it {name}?" in fixes(found)
        told.append([(each.severity, each.found.replace(name, "X").replace(name.title(), "X")) for each in found])
        assert "Is it" not in fixes(examine(form.format(name), name, ANONYMOUS))
    assert told[0] == told[1]


def test_examine_channel_in_capitals_lists_permissions_for_lower_case(olga: User, channel: Channel) -> None:
    found = examine(f"{UPLOAD} --url {HUB} --channel DEMO --api-key {make_key(olga)} a.conda", "", ANONYMOUS)
    assert [each.severity for each in found] == ["success", "error", "success"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("HTTP 401 Unauthorized", "401"),
        ("401", "401"),
        ("Error: Unauthorized", "401"),
        ("HTTP status client error (403 Forbidden) for url", "403"),
        ("UnavailableInvalidChannel: HTTP 404 NOT FOUND", "404"),
        ("it says 422.", "422"),
        ("it does not work, please help me", ""),
        ("version 1.401.2 of 403-b", ""),
    ],
)
def test_examine_prose_explains_the_status_code(text: str, status: str) -> None:
    read = addresses.read(text)
    assert (read.is_prose(), read.status) == (True, status)
    found = examine(text, "", ANONYMOUS)
    assert [each.severity for each in found] == ["info"] * (2 if status else 1)
    assert found[-1].found.startswith(status)


@pytest.mark.parametrize("text", [f"{HUB}:404/demo", f"conda install -c {HUB}/demo a", NO_KEY, "pixi install", "--x"])
def test_read_key_address_or_command_is_no_prose(text: str) -> None:
    assert not addresses.read(text).is_prose()
    assert addresses.read(text).status == ""
