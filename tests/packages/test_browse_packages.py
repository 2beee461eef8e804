"""Tests of the page of a package."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Artifact, Channel, DailyDownloads, Package, Removal, User
from channels_app.packages import packages, queries
from tests.browsing import page, publish
from tests.builders import make_artifact, make_channel
from tests.pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def open_channel(olga: User) -> Channel:
    return make_channel("open", owner=olga, is_private=False, description="For everyone")


ABOUT = {
    "summary": "TIFF with tags",
    "description": "# TIFF\n\nReads **tags**.",
    "home": "https://tiff.example/",
    "doc_url": ["https://tiff.example/doc", "https://tiff.example/more"],
    "license": "BSD-3-Clause",
}


def test_package_page_shows_the_latest_version(open_channel: Channel, client: Client) -> None:
    publish(open_channel, "tiff", "1.9", about_json=ABOUT | {"license": "GPL"})
    publish(open_channel, "tiff", "1.10", about_json=ABOUT, run_exports={"weak": ["tiff >=1.10,<2"]})

    found = page(client, "/channels/open/packages/tiff")

    assert "About 1.10" in found
    assert "BSD-3-Clause" in found
    assert "GPL" not in found
    assert "<h3>TIFF</h3>\n<p>Reads <strong>tags</strong>.</p>" in found
    assert "tiff &gt;=1.<wbr>10,&lt;2</code>" in found
    assert '<a href="https://tiff.example/doc" rel="nofollow ugc noopener">tiff.example/doc</a>' in found
    for command in (
        f"pixi workspace channel add <span>{settings.HUB_PUBLIC_URL}/open</span>",
        "pixi add tiff",
        f"conda install <span>-c {settings.HUB_PUBLIC_URL}/open</span> tiff",
        f"mamba install <span>-c {settings.HUB_PUBLIC_URL}/open</span> tiff",
    ):
        assert f"<code>{command}</code>" in found


def test_version_matrix_has_condas_order_and_marks_removed_artifacts(open_channel: Channel, client: Client) -> None:
    for version in ("1.9", "1.10", "1.10rc1", "0.1"):
        publish(open_channel, version=version, subdir="linux-64")
    publish(open_channel, version="1.10", subdir="osx-64")
    publish(open_channel, version="1.10", build="1", subdir="linux-64")
    publish(open_channel, version="0.1", subdir="osx-64", removal=Removal.YANKED)
    Artifact.objects.filter(version="1.9").update(removal=Removal.YANKED)

    found = page(client, "/channels/open/packages/demo")

    assert re.findall(r'<th scope="col">(\w+-64)</th>', found) == ["linux-64", "osx-64"]
    rows = re.findall(
        r"<tr( class=\"yanked\")?>\s*<td><a class=\"name parts\" href=\"/channels/open/packages/demo/([^#]+)\">\2<",
        found,
    )
    assert rows == [("", "1.10"), ("", "1.10rc1"), (' class="yanked"', "1.9"), ("", "0.1")]
    assert '2<span class="visually-hidden"> builds for linux-64</span>' in found
    assert 'yanked: </span><span class="visually-hidden">demo-0.1-0.conda' in found


def test_address_of_a_version_from_before_version_pages_leads_to_its_page(
    open_channel: Channel, client: Client
) -> None:
    publish(open_channel, version="1.0")
    publish(open_channel, version="2!0+a_b")

    assert "Files of 2!0+a_b" in page(client, "/channels/open/packages/demo")
    for version in ("1.0", "2!0+a_b"):
        found = client.get("/channels/open/packages/demo", {"version": version})
        assert (found.status_code, found.headers["Location"]) == (302, f"/channels/open/packages/demo/{version}")
    assert "Files of 2!0+a_b" in page(client, "/channels/open/packages/demo?version=9%3Cscript%3E")


def test_ten_versions_come_first_and_all_on_demand(open_channel: Channel, client: Client) -> None:
    for n in range(25):
        make_artifact(open_channel, version=f"1.{n}")
    packages.refresh(Package.objects.get())

    first, whole = (page(client, f"/channels/open/packages/demo{query}") for query in ("", "?versions=all"))

    assert [
        len(re.findall(r'class="name parts" href="/channels/open/packages/demo/1\.', each)) for each in (first, whole)
    ] == [10, 25]
    assert 'href="?versions=all#versions">All 25</a>' in first


def test_versions_stand_above_the_description_with_their_downloads(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1.0", download_count=1234)
    publish(open_channel, version="1.0", subdir="linux-64", download_count=1000)
    publish(open_channel, version="2.0", about_json={"description": "# Long\n\nwords"})

    found = page(client, "/channels/open/packages/demo")

    assert found.index('id="versions"') < found.index('id="description"')
    assert '<td class="num">2,234</td>' in found
    items = client.get("/api/v1/channels/open/packages/demo/versions").json()["items"]
    assert [each["download_count"] for each in items] == [0, 2234]


def test_dependencies_are_those_of_one_build_with_links(open_channel: Channel, client: Client) -> None:
    publish(open_channel, "zlib")
    publish(open_channel, subdir="osx-64", index_json={"depends": ["zlib >=1.3", "python"]})
    publish(open_channel, subdir="linux-64", index_json={"depends": ["zlib >=1.2", "python", "__glibc >=2.17"]})
    Artifact.objects.filter(subdir="linux-64").update(indexed_timestamp=1_790_000_000_001)

    newest = page(client, "/channels/open/packages/demo")
    other = page(client, "/channels/open/packages/demo?build=osx-64/demo-1.0-0.conda")

    assert 'href="/channels/open/packages/zlib">zlib</a>' in newest
    assert "/packages/python" not in newest
    assert '<code class="parts">&gt;=1.2</code>' in newest
    assert '<code class="parts">&gt;=1.3</code>' not in newest
    assert '<code class="parts">any</code>' in newest
    assert "the machine" in newest
    assert '<code class="parts">&gt;=1.3</code>' in other
    assert "the machine" not in other


def test_dependents_are_those_of_all_channels_that_the_reader_sees(
    open_channel: Channel, olga: User, sam: User, client: Client
) -> None:
    publish(open_channel, "zlib")
    publish(make_channel("secret", owner=olga), "hidden-user", index_json={"depends": ["zlib"]})
    publish(make_channel("other", owner=sam, is_private=False), "other-user", index_json={"depends": ["zlib"]})
    publish(open_channel, "old-user", index_json={"depends": ["zlib"]}, removal=Removal.YANKED)
    address = "/channels/open/packages/zlib"

    for_anyone, for_owner = page(client, address), page(signed_in(olga), address)

    assert "hidden-user" not in for_anyone
    assert 'href="/channels/other/packages/other-user"' in for_anyone
    assert 'href="/channels/secret/packages/hidden-user"' in for_owner
    assert "old-user" not in for_owner
    api = "/api/v1/channels/open/packages/zlib/dependents"
    assert [each["channel"] for each in client.get(api).json()["items"]] == ["other"]
    assert {each["channel"] for each in signed_in(olga).get(api).json()["items"]} == {"other", "secret"}
    assert client.get("/api/v1/channels/open/packages/zlib").json()["dependents"] == []


def test_dependents_come_by_downloads_and_are_found_by_name_or_channel(open_channel: Channel, client: Client) -> None:
    publish(open_channel, "zlib")
    other = make_channel("other", is_private=False)
    for n in range(35):
        publish(open_channel, f"user-{n:02}", index_json={"depends": ["zlib"]})
    publish(other, "popular", index_json={"depends": ["zlib"]})
    Package.objects.filter(name="popular").update(download_count=9)
    address = "/channels/open/packages/zlib"

    def names(query: str) -> list[str]:
        return re.findall(r'href="/channels/\w+/packages/([^"/]+)">', page(client, f"{address}{query}"))

    assert names("")[:3] == ["popular", "user-00", "user-01"]
    assert [len(names(query)) for query in ("", "?dependents=all")] == [10, 36]
    assert "All 36" in page(client, address)
    assert names("?dependent=user-3") == [f"user-3{n}" for n in range(5)]
    assert names("?dependent=OTHER") == ["popular"]
    assert names("?dependent=%00") == names("")
    assert "“&lt;b&gt;”" in page(client, f"{address}?dependent=%3Cb%3E")
    found = client.get(f"/api/v1{address}/dependents?search=other&limit=1").json()["items"]
    assert found == [
        {"channel": "other", "name": "popular", "latest_version": "1.0", "summary": "", "download_count": 9}
    ]


def test_package_names_maintainers_and_publishers(open_channel: Channel, olga: User, client: Client) -> None:
    about = {"extra": {"recipe-maintainers": ["mara", "  jo  ", 7, ""]}}
    publish(open_channel, about_json=about, uploaded_by=olga)

    found = page(client, "/channels/open/packages/demo")

    assert "mara, jo <span" in found
    assert '<dt>Published by</dt><dd><span class="parts">olga</span></dd>' in found


@pytest.mark.parametrize("extra", [None, [], "text", {"recipe-maintainers": "text"}, {"recipe-maintainers": {}}])
def test_malformed_maintainers_are_ignored(open_channel: Channel, client: Client, extra: object) -> None:
    publish(open_channel, about_json={"extra": extra})

    assert "Maintainers" not in page(client, "/channels/open/packages/demo")


def test_the_plot_has_90_days(open_channel: Channel, client: Client) -> None:
    artifact, other = publish(open_channel), publish(open_channel, version="2.0")
    today = datetime.now(UTC).date()
    for each, ago, count in ((artifact, 0, 3), (other, 0, 4), (artifact, 89, 5), (artifact, 90, 100)):
        DailyDownloads.objects.create(artifact=each, day=today - timedelta(days=ago), count=count)

    days = queries.daily_downloads(artifact.package)

    assert (len(days), days[0], days[-1]) == (90, (today - timedelta(days=89), 5), (today, 7))
    assert "<strong>12</strong> downloads in 90 days" in page(client, "/channels/open/packages/demo")


def test_package_without_installable_artifacts_shows_a_message(
    open_channel: Channel, olga: User, client: Client
) -> None:
    publish(open_channel, removal=Removal.DELETED)

    for_reader, for_owner = (page(each, "/channels/open/packages/demo") for each in (client, signed_in(olga)))

    assert "Nothing to install." in for_reader
    assert "demo-1.0-0.conda" not in for_reader
    assert "demo-1.0-0.conda" in for_owner


@pytest.mark.parametrize("count", [2, 18])
def test_a_package_costs_as_many_queries_for_18_versions_as_for_2(
    open_channel: Channel, olga: User, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for n in range(count):
        publish(open_channel, version=f"1.{n}", index_json={"depends": [f"d{m}" for m in range(count)]})
        publish(open_channel, f"user-{n}", index_json={"depends": ["demo"]})
    client = signed_in(olga)

    with django_assert_num_queries(21):
        page(client, "/channels/open/packages/demo")
