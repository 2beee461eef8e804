"""Tests of the Atom feeds: their entries, access, and escaped content."""

import base64
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Channel, Removal, User
from tests.builders import make_artifact, make_channel, make_key
from tests.pages import Response, signed_in

pytestmark = pytest.mark.django_db

ATOM = "{http://www.w3.org/2005/Atom}"


def feed_in(response: Response) -> ElementTree.Element:
    assert response.status_code == 200
    return ElementTree.fromstring(response.content)  # noqa: S314  (written by the hub)


def entries(response: Response) -> list[ElementTree.Element]:
    return feed_in(response).findall(f"{ATOM}entry")


def titles(response: Response) -> list[str | None]:
    return [entry.findtext(f"{ATOM}title") for entry in entries(response)]


@pytest.fixture
def open_channel(db: None) -> Channel:
    channel = make_channel("open", is_private=False, description="All & everything")
    make_artifact(channel, "a", "1.0", indexed_timestamp=1_790_000_000_000)
    make_artifact(channel, "b", "2.0", subdir="linux-64", indexed_timestamp=1_790_000_001_000)
    make_artifact(channel, "a", "1.1", indexed_timestamp=1_790_000_002_000)
    return channel


def test_channel_feed_lists_the_latest_uploads_first(client: Client, open_channel: Channel) -> None:
    response = client.get("/channels/open/feed")

    assert titles(response) == ["a 1.1 (noarch)", "b 2.0 (linux-64)", "a 1.0 (noarch)"]
    assert response.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    assert response.headers["Cache-Control"] == "public, no-cache"
    feed = feed_in(response)
    assert feed.findtext(f"{ATOM}subtitle") == "All & everything"
    assert feed.findtext(f"{ATOM}updated") == "2026-09-21T14:13:22+00:00"


def test_every_link_is_absolute(client: Client, open_channel: Channel) -> None:
    feed = feed_in(client.get("/channels/open/feed"))

    links = {link.get("href", "") for link in feed.iter(f"{ATOM}link")}
    base = f"{settings.HUB_PUBLIC_URL}/channels/open"
    assert {base, f"{base}/feed", f"{base}/artifacts/linux-64/b-2.0-0.conda"} <= links
    assert all(link.startswith(settings.HUB_PUBLIC_URL) for link in links)


def test_the_feed_of_a_package_has_its_files_alone(client: Client, open_channel: Channel) -> None:
    assert titles(client.get("/channels/open/packages/a/feed")) == ["a 1.1 (noarch)", "a 1.0 (noarch)"]
    assert client.get("/channels/open/packages/nothing/feed").status_code == 404


def test_feed_omits_artifacts_out_of_the_index(client: Client, open_channel: Channel) -> None:
    make_artifact(open_channel, "c", removal=Removal.YANKED)
    make_artifact(open_channel, "d", removal=Removal.DELETED)
    make_artifact(open_channel, "e", quarantine_reason="unreadable")

    assert len(entries(client.get("/channels/open/feed"))) == 3


def test_other_bytes_under_an_old_name_are_a_new_entry(client: Client, open_channel: Channel) -> None:
    before = entries(client.get("/channels/open/feed"))[0].findtext(f"{ATOM}id")
    open_channel.artifacts.filter(version="1.1").update(sha256="0" * 64)

    assert entries(client.get("/channels/open/feed"))[0].findtext(f"{ATOM}id") != before


def test_a_feed_ends_after_50_entries_and_costs_as_much_for_3_as_for_50(
    client: Client, open_channel: Channel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        assert len(entries(client.get("/channels/open/feed"))) == 3
    for n in range(60):
        make_artifact(open_channel, f"more-{n}")
    with django_assert_num_queries(2):
        assert len(entries(client.get("/channels/open/feed"))) == 50


@pytest.mark.parametrize("path", ["feed", "packages/demo/feed"])
def test_feed_of_a_private_channel_requires_the_read_permission(
    channel: Channel, olga: User, sam: User, client: Client, path: str
) -> None:
    make_artifact(channel)
    url = f"/channels/demo/{path}"

    assert client.get(url).status_code == 404
    assert signed_in(sam).get(url).status_code == 404
    response = signed_in(olga).get(url)
    assert titles(response) == ["demo 1.0 (noarch)"]
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_feed_readers_may_use_a_key_in_any_way(client: Client, channel: Channel, olga: User) -> None:
    make_artifact(channel)
    key = make_key(olga, channels=[channel])
    basic = base64.b64encode(f"any:{key}".encode()).decode()

    for credential in (f"Bearer {key}", f"Basic {basic}"):
        assert len(entries(client.get("/channels/demo/feed", headers={"authorization": credential}))) == 1
    assert len(entries(client.get(f"/t/{key}/channels/demo/feed"))) == 1
    assert len(entries(client.get(f"/t/{key}/channels/demo/packages/demo/feed"))) == 1
    assert client.get("/channels/demo/feed", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_feed_is_only_read(client: Client, open_channel: Channel) -> None:
    assert client.post("/channels/open/feed").status_code == 405
    assert client.post("/channels/open/packages/a/feed").status_code == 405
    assert client.head("/channels/open/feed").status_code == 200


def test_feed_escapes_package_texts(client: Client, open_channel: Channel) -> None:
    evil = "<script>alert(1)</script> & \x08\x0b\ufffe ]]>"
    open_channel.packages.update(summary=evil)
    open_channel.description = evil
    open_channel.save()

    for path in ("feed", "packages/a/feed"):
        response = client.get(f"/channels/open/{path}")
        assert b"<script" not in response.content
        for entry in entries(response):
            # Feed readers parse it as HTML, and the result is text, too.
            assert (entry.findtext(f"{ATOM}summary") or "").startswith("&lt;script&gt;alert(1)&lt;/script&gt; &amp; ")


def test_an_empty_channel_has_an_empty_feed(client: Client) -> None:
    make_channel("open", is_private=False)

    assert entries(client.get("/channels/open/feed")) == []
