"""Tests of “Use this channel” for public and private channels, over http and https: clients accept its commands."""

import re
from html import unescape

import pytest
from django.conf import LazySettings
from django.template import Context, Template
from django.utils.html import strip_tags

from channels_app.models import Channel, ChannelKind
from tests.client_commands import PROGRAMS, looked_up_host, parse, stored_host

ADDRESSES = ["http://127.0.0.1:8000", "https://hub.example.com", "https://hub.example.com:8443"]
LINES = re.compile(r"<code>(.*?)</code>|<pre tabindex=\"0\">(.*?)</pre>", re.DOTALL)
COMMAND = re.compile(rf"(?:^|- run: |- )((?:{'|'.join(PROGRAMS)}) \w.*)", re.MULTILINE)


def shown(address: str, settings: LazySettings, *, is_private: bool) -> str:
    settings.HUB_PUBLIC_URL = address
    channel = Channel(name="geo-tools", is_private=is_private)
    return Template("{% load hub %}{% use_channel channel %}").render(Context({"channel": channel}))


def commands(page: str) -> list[str]:
    texts = [unescape(strip_tags(code or pre)) for code, pre in LINES.findall(page)]
    return [command for text in texts for command in COMMAND.findall(text) if "…" not in command]


@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_command_is_one_that_its_client_accepts(settings: LazySettings, address: str, is_private: bool) -> None:
    found = commands(shown(address, settings, is_private=is_private))

    assert len(found) >= 12
    assert {parse(command).name[0] for command in found} == {"pixi", "conda", "mamba", "rattler-build"}


@pytest.mark.parametrize("address", ADDRESSES)
def test_login_commands_store_the_key_for_the_host(settings: LazySettings, address: str) -> None:
    page = shown(address, settings, is_private=True)
    logins = [parse(command).arguments[0] for command in commands(page) if " auth login " in command]
    [in_github] = re.findall("auth-host: (.*)", page)

    assert {stored_host(host) for host in [*logins, in_github]} == {looked_up_host(address)}


def test_a_port_is_explained_where_there_is_one(settings: LazySettings) -> None:
    assert "without the port" in shown("https://hub.example.com:8443", settings, is_private=True)
    assert "without the port" not in shown("https://hub.example.com", settings, is_private=True)


def test_over_https_pixi_publishes_at_once_over_http_in_two_steps(settings: LazySettings) -> None:
    https = commands(shown("https://hub.example.com", settings, is_private=True))
    http = commands(shown("http://127.0.0.1:8000", settings, is_private=True))

    assert "pixi publish --to prefix://hub.example.com/geo-tools" in https
    assert not any("prefix://" in command for command in http)
    assert "pixi upload prefix --url http://127.0.0.1:8000 --channel geo-tools dist/FILE.conda" in http


def test_a_public_channel_is_read_without_a_key(settings: LazySettings) -> None:
    public = commands(shown("https://hub.example.com", settings, is_private=False))
    private = commands(shown("https://hub.example.com", settings, is_private=True))

    assert "conda install --channel https://hub.example.com/geo-tools PACKAGE" in public
    assert "mamba auth login https://hub.example.com --bearer KEY" not in public
    assert "conda install --channel https://hub.example.com/t/KEY/geo-tools PACKAGE" in private
    assert "pixi auth login https://hub.example.com --oauth" in private
    assert "mamba auth login https://hub.example.com --bearer KEY" in private


def test_commands_without_a_key_on_disk_come_before_keys_in_addresses(settings: LazySettings) -> None:
    page = shown("https://hub.example.com", settings, is_private=True)
    assert page.index("~/.netrc") < page.index("/t/<var>KEY</var>/") < page.index("conda-meta/history")
    assert page.index("--oauth") < page.index("--token KEY")


def test_keys_in_addresses_are_shown_only_where_they_are_allowed(settings: LazySettings) -> None:
    settings.HUB_PATH_KEYS = False

    assert "/t/" not in shown("https://hub.example.com", settings, is_private=True)


def test_channel_without_own_packages_shows_no_uploads(settings: LazySettings) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.com"
    channel = Channel(name="all", is_private=False, kind=ChannelKind.VIRTUAL)
    page = Template("{% load hub %}{% use_channel channel %}").render(Context({"channel": channel}))

    assert not re.search("publish|upload", page, re.IGNORECASE)
    assert {parse(command).name[0] for command in commands(page)} == {"pixi", "conda", "mamba", "rattler-build"}
