"""Tests of short-lived tokens of a disabled issuer: they find no private channel in lists, search or feeds."""

from collections.abc import Callable

import pytest
from django.test import Client

from channels_app.access.permissions import Actor, visible_channels
from channels_app.authentication import api_keys
from channels_app.channels.queries import channel_cards, recent_packages
from channels_app.models import Channel
from channels_app.search.queries import find_channels, find_packages
from publishing.models import Issuer
from tests.builders import make_package, make_publisher, make_short_lived_token

READS: dict[str, Callable[[Actor], list[str]]] = {
    "visible channels": lambda actor: [str(channel) for channel in visible_channels(actor)],
    "list of channels": lambda actor: [card.name for card in channel_cards(actor)],
    "recent packages": lambda actor: [str(package.channel) for package in recent_packages(actor, 5)],
    "search for channels": lambda actor: [channel.name for channel in find_channels(actor, "demo")],
    "search for packages": lambda actor: [str(package.channel) for package in find_packages(actor, "tiles")],
}


@pytest.fixture
def token(channel: Channel) -> str:
    make_package(channel, "tiles", "Tiles of maps", updated_at="2026-01-01T00:00Z")
    return make_short_lived_token(make_publisher(channel, may_read=True))[1]


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reads_by_a_token_of_a_disabled_issuer_find_no_channel(token: str, read: Callable[[Actor], list[str]]) -> None:
    actor = Actor(key=api_keys.look_up(token))
    assert read(actor) == ["demo"]
    Issuer.objects.update(is_enabled=False)
    assert read(actor) == []


def test_feed_by_a_token_of_a_disabled_issuer_is_missing(token: str, client: Client) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/channels/demo/feed", headers=headers).status_code == 200
    Issuer.objects.update(is_enabled=False)
    assert client.get("/channels/demo/feed", headers=headers).status_code == 404
