"""Tests of the channel page, its logo, and access to package pages: contents and number of queries."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Artifact, Channel, Package, Removal, Role, User
from channels_app.packages import queries
from publishing.models import SubdirIndex
from tests.browsing import page, publish
from tests.builders import make_channel, make_member, picture
from tests.pages import signed_in

pytestmark = pytest.mark.django_db


NAMES = re.compile(r'<a class="name parts" href="/channels/[^/]+/packages/([^"]+)"')


@pytest.fixture
def open_channel(olga: User) -> Channel:
    return make_channel("open", owner=olga, is_private=False, description="For everyone")


@pytest.fixture
def member(channel: Channel, max_: User) -> Client:
    """Return the browser of Max, with read access only."""
    make_member(channel, max_, Role.VIEWER)
    return signed_in(max_)


PAGES = ("", "/packages/demo", "/artifacts/noarch/demo-1.0-0.conda")


@pytest.mark.parametrize("path", PAGES)
def test_private_pages_are_for_members_alone(
    channel: Channel, olga: User, sam: User, member: Client, path: str
) -> None:
    publish(channel)
    url = f"/channels/demo{path}"

    assert "Private" in page(member, url)
    assert "Private" in page(signed_in(olga), url)
    page(signed_in(sam), url, 404)
    page(Client(), url, 404)


@pytest.mark.parametrize("path", PAGES)
def test_public_pages_are_for_everyone_and_only_read(open_channel: Channel, client: Client, path: str) -> None:
    publish(open_channel)
    url = f"/channels/open{path}"

    assert "Public" in page(client, url)
    for method in (client.post, client.put, client.delete):
        assert method(url).status_code == 405


def test_missing_page_is_404(open_channel: Channel, client: Client) -> None:
    publish(open_channel)
    other = publish(make_channel("other", is_private=False), "elsewhere")

    page(client, "/channels/nothing", 404)
    page(client, "/channels/open/packages/elsewhere", 404)
    page(client, "/channels/open/artifacts/linux-64/demo-1.0-0.conda", 404)
    page(client, f"/channels/open/artifacts/noarch/{other.file_name}", 404)


def test_wrong_key_on_a_public_page_gets_401(open_channel: Channel, client: Client) -> None:
    assert client.get("/channels/open", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_channel_page_shows_visibility_and_counts(open_channel: Channel, client: Client) -> None:
    publish(open_channel, "a", subdir="linux-64")
    publish(open_channel, "a", subdir="osx-arm64")
    publish(open_channel, "b", "2.0", download_count=7)
    publish(open_channel, "gone", removal=Removal.YANKED)
    Package.objects.filter(name="b").update(download_count=1234)

    found = page(client, "/channels/open")

    assert "For everyone" in found
    for count in ("2 packages", "3 artifacts", "3 platforms", "1,234 downloads"):
        assert f"</svg>{count}</span>" in found
    assert NAMES.findall(found) == ["a", "b"] or NAMES.findall(found) == ["b", "a"]
    assert f"{settings.HUB_PUBLIC_URL}/open" in found
    assert 'href="/channels/open/feed"' in found


def test_a_channel_says_while_its_index_is_stale(open_channel: Channel, client: Client) -> None:
    publish(open_channel)
    found = page(client, "/channels/open")
    assert "Indexing…" in found
    assert "not built yet" in found

    SubdirIndex.objects.update(built_revision=10, builds=3, built_at=timezone.now() - timedelta(minutes=5))
    SubdirIndex.objects.create(channel=open_channel, subdir="", requested_revision=11, built_revision=10)

    found = page(client, "/channels/open")
    assert "Indexing…" not in found
    assert re.search(r"<dd>build 3, <time [^>]*>5 min ago</time></dd>", found)
    assert re.search(r"last indexed <time [^>]*>5 min ago</time>", found)


def test_channel_page_shows_links_by_permission(channel: Channel, olga: User, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    make_member(channel, sam, Role.VIEWER)
    links = ('href="/channels/demo/settings/upload"', 'href="/channels/demo/settings"')

    seen = [[link in page(signed_in(user), "/channels/demo") for link in links] for user in (olga, max_, sam)]

    assert seen == [[True, True], [True, False], [False, False]]


def test_empty_channel_shows_publishing_help_by_permission(channel: Channel, olga: User, member: Client) -> None:
    for_owner, for_reader = page(signed_in(olga), "/channels/demo"), page(member, "/channels/demo")

    seen = [["Nothing published yet" in found, "Upload packages" in found] for found in (for_owner, for_reader)]
    assert seen == [[True, True], [True, False]]
    assert f"rattler-build upload prefix <span>--url {settings.HUB_PUBLIC_URL}</span>" in for_owner


@pytest.fixture
def three(open_channel: Channel) -> Channel:
    """Create zlib (noarch, newest), curl (linux-64, most downloads) and bzip (both, oldest)."""
    publish(open_channel, "bzip", indexed_timestamp=1_790_000_000_000, about_json={"summary": "Compresses blocks"})
    publish(open_channel, "bzip", subdir="linux-64", indexed_timestamp=1_790_000_000_000)
    publish(open_channel, "curl", subdir="linux-64", indexed_timestamp=1_790_000_001_000)
    publish(open_channel, "zlib", indexed_timestamp=1_790_000_002_000, about_json={"summary": "Compresses 100% faster"})
    Package.objects.filter(name="bzip").update(summary="Compresses blocks")
    Package.objects.filter(name="curl").update(download_count=9)
    return open_channel


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["zlib", "curl", "bzip"]),
        ("?order=name", ["bzip", "curl", "zlib"]),
        ("?order=downloads", ["curl", "bzip", "zlib"]),
        ("?order=nonsense&page=x&platform=none-64", ["zlib", "curl", "bzip"]),
        ("?page=99", ["zlib", "curl", "bzip"]),
        ("?q=ZL", ["zlib"]),
        ("?q=compresses", ["zlib", "bzip"]),
        ("?q=compresses+blocks", ["bzip"]),
        ("?q=100%25", ["zlib"]),
        ("?q=%25_", []),
        ("?q=%00", ["zlib", "curl", "bzip"]),
        ("?platform=linux-64&order=name", ["bzip", "curl"]),
        ("?platform=noarch&q=blocks", ["bzip"]),
    ],
)
def test_packages_are_searched_filtered_and_sorted(
    three: Channel, client: Client, query: str, names: list[str]
) -> None:
    assert NAMES.findall(page(client, f"/channels/open{query}")) == names


def test_search_without_results_repeats_the_text(three: Channel, client: Client) -> None:
    found = page(client, "/channels/open?q=<b>x&platform=linux-64")

    assert "None of the 3 packages of open has “&lt;b&gt;x” in its name or summary and a file for linux-64." in found
    assert 'value="&lt;b&gt;x"' in found
    assert "<option selected>linux-64</option>" in found


def test_packages_come_50_a_page_and_the_search_stays(open_channel: Channel, client: Client) -> None:
    Package.objects.bulk_create(
        Package(channel=open_channel, name=f"p{n:03}", latest_version="1.0", updated_at=timezone.now())
        for n in range(120)
    )

    last = page(client, "/channels/open?q=p&order=name&page=3")

    assert NAMES.findall(last) == [f"p{n:03}" for n in range(100, 120)]
    assert "101 to 120 of 120" in last
    # At the top, and twice at the bottom.
    assert last.count('href="?q=p&amp;order=name&amp;page=2"') == 3


def test_removed_packages_are_listed_for_users_who_may_restore(channel: Channel, olga: User, member: Client) -> None:
    publish(channel, "kept")
    publish(channel, "gone", removal=Removal.YANKED)

    assert NAMES.findall(page(member, "/channels/demo?order=name")) == ["kept"]
    for_owner = page(signed_in(olga), "/channels/demo?order=name")
    assert NAMES.findall(for_owner) == ["gone", "kept"]
    assert "Nothing to install" in for_owner


@pytest.mark.parametrize("count", [3, 40])
def test_a_channel_costs_as_many_queries_for_40_packages_as_for_3(
    channel: Channel, olga: User, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for n in range(count):
        publish(channel, f"p{n}")
    client = signed_in(olga)

    with django_assert_num_queries(12):
        assert len(NAMES.findall(page(client, "/channels/demo"))) == count


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL compares parameters, too")
def test_listed_artifacts_are_counted_by_their_partial_index(channel: Channel) -> None:
    listed = Artifact.objects.filter(queries.LISTED_IN_MAIN, channel=channel).order_by("subdir")
    assert "listed_by_subdir" in listed.values_list("subdir").annotate(files=Count("*")).explain()


def test_a_logo_is_served_once(open_channel: Channel, client: Client) -> None:
    assert client.get("/channels/open/logo").status_code == 404
    open_channel.logo = picture()
    open_channel.save()

    response = client.get("/channels/open/logo")

    assert (response.status_code, response.headers["Content-Type"], response.content) == (200, "image/png", picture())
    assert response.headers["Cache-Control"] == "public, max-age=300"
    again = client.get("/channels/open/logo", headers={"if-none-match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.post("/channels/open/logo").status_code == 405
    assert 'src="/channels/open/logo"' in page(client, "/channels/open")


def test_a_private_logo_is_private(channel: Channel, sam: User, member: Client) -> None:
    channel.logo = picture()
    channel.save()

    response = member.get("/channels/demo/logo")

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "private, max-age=300"
    assert {"Authorization", "X-API-Key", "X-JFrog-Art-Api", "Cookie"} <= set(response.headers["Vary"].split(", "))
    page(Client(), "/channels/demo/logo", 404)
    page(signed_in(sam), "/channels/demo/logo", 404)
