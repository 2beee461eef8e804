"""Tests of the page and the endpoint of one version."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Channel, Removal, Role, User
from tests.browsing import page, publish
from tests.builders import make_channel, make_member
from tests.pages import signed_in
from tests.rest.calls import by_session, code

pytestmark = pytest.mark.django_db


@pytest.fixture
def open_channel(olga: User) -> Channel:
    return make_channel("open", owner=olga, is_private=False)


def test_version_page_pins_its_install_lines(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1.9")
    publish(open_channel, version="1.10")

    found = page(client, "/channels/open/packages/demo/1.9")

    for command in (
        "pixi add demo==1.9",
        f"conda install <span>-c {settings.HUB_PUBLIC_URL}/open</span> demo==1.9",
        f"mamba install <span>-c {settings.HUB_PUBLIC_URL}/open</span> demo==1.9",
    ):
        assert f"<code>{command}</code>" in found
    assert "artifacts/noarch/demo-1.9-0.conda" in found
    assert "artifacts/noarch/demo-1.10-0.conda" not in found


def test_version_page_shows_metadata_of_its_own_build(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1.0", about_json={"summary": "Old words", "license": "MIT", "description": "# Old"})
    publish(open_channel, version="2.0", about_json={"summary": "New words", "license": "GPL"})

    found = page(client, "/channels/open/packages/demo/1.0")

    assert "Old words" in found
    assert "MIT" in found
    assert "<h3>Old</h3>" in found
    assert "GPL" not in found


@pytest.mark.parametrize("version", ["1!2.0", "1.0+local.1", "1_0", "2.0rc1", "dev"])
def test_address_of_every_legal_version_is_linked_and_works(
    open_channel: Channel, client: Client, version: str
) -> None:
    publish(open_channel, version=version)
    address = f"/channels/open/packages/demo/{version}"

    assert f'href="{address}"' in page(client, "/channels/open/packages/demo")
    assert f"artifacts/noarch/demo-{version}-0.conda" in page(client, address)
    assert client.get(f"/api/v1{address.replace('demo/', 'demo/versions/')}").json()["version"] == version


def test_epoch_is_quoted_for_the_shell(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1!2.0")

    assert "pixi add &#x27;demo==1!2.0&#x27;" in page(client, "/channels/open/packages/demo/1%212.0")


def test_unknown_version_is_404(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1.0")

    page(client, "/channels/open/packages/demo/1.0.0", 404)
    assert code(client.get("/api/v1/channels/open/packages/demo/versions/1.0.0")) == (404, "no_such_version")
    assert code(client.get("/api/v1/channels/open/packages/none/versions/1.0")) == (404, "no_such_package")


def test_deleted_version_is_shown_to_users_who_may_restore(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    publish(channel, version="1.0", removal=Removal.DELETED)
    publish(channel, version="2.0")
    address = "/channels/demo/packages/demo/1.0"

    assert "Nothing to install." in page(signed_in(olga), address)
    page(signed_in(max_), address, 404)
    assert by_session(olga).get("channels/demo/packages/demo/versions/1.0").json()["is_installable"] is False
    assert code(by_session(max_).get("channels/demo/packages/demo/versions/1.0")) == (404, "no_such_version")


def test_yanked_build_represents_no_version_with_a_listed_one(open_channel: Channel, client: Client) -> None:
    publish(open_channel, build="0", about_json={"summary": "Listed"})
    publish(open_channel, build="1", about_json={"summary": "Yanked"}, removal=Removal.YANKED)

    found = client.get("/api/v1/channels/open/packages/demo/versions/1.0").json()

    assert found["build"]["summary"] == "Listed"
    assert [each["state"] for each in found["artifacts"]] == ["listed", "yanked"]
    chosen = client.get("/api/v1/channels/open/packages/demo/versions/1.0?build=noarch/demo-1.0-1.conda").json()
    assert chosen["build"]["summary"] == "Yanked"


def test_version_has_sums_of_its_files(open_channel: Channel, client: Client) -> None:
    for version in ("1.9", "1.10", "2.0"):
        publish(open_channel, version=version)
    publish(open_channel, version="1.10", subdir="linux-64", size_bytes=70, download_count=3)
    index = {"depends": ["zlib >=1.2", "python"], "constrains": ["old <2"]}
    publish(
        open_channel, version="1.10", build="1", size_bytes=30, indexed_timestamp=1_790_000_000_001, index_json=index
    )

    found = client.get("/api/v1/channels/open/packages/demo/versions/1.10").json()

    assert (found["artifact_count"], found["download_count"]) == (3, 3)
    assert found["size_bytes"] == sum(each["size_bytes"] for each in found["artifacts"])
    assert found["build"]["depends"] == ["zlib >=1.2", "python"]
    assert found["build"]["constrains"] == ["old <2"]


@pytest.mark.parametrize("count", [2, 18])
def test_version_costs_as_many_queries_for_18_builds_as_for_2(
    open_channel: Channel, olga: User, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for n in range(count):
        publish(open_channel, build=str(n), index_json={"depends": [f"d{m}" for m in range(count)]}, uploaded_by=olga)
        publish(open_channel, version=f"0.{n}")
    client = signed_in(olga)

    with django_assert_num_queries(16):
        page(client, "/channels/open/packages/demo/1.0")
    with django_assert_num_queries(14):
        client.get("/api/v1/channels/open/packages/demo/versions/1.0")


def test_version_page_shows_dependencies_of_the_selected_build(open_channel: Channel, client: Client) -> None:
    publish(open_channel, "zlib")
    for subdir, depends in (("linux-64", ["zlib >=1.2"]), ("osx-64", ["zlib >=1.2"]), ("win-64", ["zlib >=1.3", "vc"])):
        publish(open_channel, subdir=subdir, index_json={"depends": depends})
    address = "/channels/open/packages/demo/1.0"

    linux, windows = (page(client, f"{address}?build={subdir}/demo-1.0-0.conda") for subdir in ("linux-64", "win-64"))

    assert '<code class="parts">&gt;=1.2</code>' in linux
    assert "vc</span>" not in linux
    assert "1 other build of 3 has the same dependencies: 1 for osx-64." in linux
    assert '<code class="parts">&gt;=1.3</code>' in windows
    assert "vc</span>" in windows
    assert "No other build has the same dependencies." in windows
    assert '<option value="win-64/demo-1.0-0.conda" selected>' in windows


def test_equal_builds_are_named_together(open_channel: Channel, client: Client) -> None:
    for subdir in ("linux-64", "osx-64"):
        publish(open_channel, subdir=subdir, index_json={"depends": ["zlib"]})

    assert "All 2 builds have the same dependencies." in page(client, "/channels/open/packages/demo/1.0")


@pytest.mark.parametrize("build", ["", "linux-64", "linux-64/none.conda", "%00/%00", "a/b/c"])
def test_unknown_build_shows_the_newest_one(open_channel: Channel, client: Client, build: str) -> None:
    publish(open_channel, index_json={"depends": ["zlib >=9"]})

    assert '<code class="parts">&gt;=9</code>' in page(client, f"/channels/open/packages/demo/1.0?build={build}")


def changes(client: Client, version: str, query: str = "") -> Any:
    return client.get(f"/api/v1/channels/open/packages/demo/versions/{version}{query}").json()["changes"]


def test_changes_are_those_against_the_version_before(open_channel: Channel, client: Client) -> None:
    publish(
        open_channel,
        version="1.9",
        index_json={"depends": ["zlib >=1.2", "gone", "same >=1"], "constrains": ["old <2"]},
        run_exports={"weak": ["demo >=1.9"]},
        files=[["bin/demo", 5], ["share/old", 1], ["share/same", 1]],
        file_count=3,
        size_bytes=1000,
    )
    publish(
        open_channel,
        version="1.10",
        index_json={"depends": ["same >=1", "zlib >=1.3", "new"], "constrains": ["old <2"]},
        run_exports={"weak": ["demo >=1.10"]},
        files=[["bin/demo", 6], ["share/new", 1], ["share/same", 1]],
        file_count=3,
        size_bytes=3048,
    )
    publish(open_channel, version="1.1", index_json={"depends": ["far"]})

    found = changes(client, "1.10")

    assert (found["version"], found["file_name"], found["size_bytes"]) == ("1.9", "demo-1.9-0.conda", 1000)
    assert found["depends"] == [
        {"name": "gone", "before": "any", "after": ""},
        {"name": "new", "before": "", "after": "any"},
        {"name": "zlib", "before": ">=1.2", "after": ">=1.3"},
    ]
    assert found["constrains"] == []
    assert found["run_exports"] == [{"name": "weak", "before": "demo >=1.9", "after": "demo >=1.10"}]
    counts = {"added_count": 1, "removed_count": 1, "resized_count": 1}
    assert found["files"] == counts | {"added": ["share/new"], "removed": ["share/old"], "resized": ["bin/demo"]}
    shown = page(client, "/channels/open/packages/demo/1.10")
    for text in ("Changes since 1.9", "2 KiB more", "1 added", "share/new", "dependency", "run export"):
        assert text in shown
    assert changes(client, "1.1") is None
    assert "Changes since" not in page(client, "/channels/open/packages/demo/1.1")


def test_build_is_compared_with_the_same_platform_and_variant(open_channel: Channel, client: Client) -> None:
    for version in ("1.0", "2.0"):
        for variant in ("py311", "py312"):
            for subdir in ("linux-64", "osx-64"):
                publish(open_channel, version=version, build=f"{variant}h{version[0]}aaaaaa_0", subdir=subdir)

    found = changes(client, "2.0", "?build=osx-64/demo-2.0-py311h2aaaaaa_0.conda")

    assert (found["subdir"], found["file_name"]) == ("osx-64", "demo-1.0-py311h1aaaaaa_0.conda")


def test_deleted_version_is_not_compared_with(channel: Channel, olga: User) -> None:
    publish(channel, version="1.0", removal=Removal.DELETED)
    publish(channel, version="2.0")

    assert by_session(olga).get("channels/demo/packages/demo/versions/2.0").json()["changes"] is None


def test_files_beyond_the_stored_list_are_not_compared(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1.0", files=[["a", 1]], file_count=9)
    publish(open_channel, version="2.0", files=[["a", 1]], file_count=1)

    assert changes(client, "2.0")["files"] is None
    assert "9 before, 1 now" in page(client, "/channels/open/packages/demo/2.0")


def test_version_names_its_publishers(open_channel: Channel, client: Client, olga: User, max_: User) -> None:
    publish(open_channel, uploaded_by=olga)
    publish(open_channel, subdir="linux-64", uploaded_by=olga)
    publish(open_channel, subdir="osx-64", uploaded_by=max_)
    run = {"repository": "acme/demo", "repository_url": "https://github.com/acme/demo"}
    publish(open_channel, subdir="win-64", provenance=run)
    publish(open_channel, subdir="win-arm64")

    found = client.get("/api/v1/channels/open/packages/demo/versions/1.0").json()["publishers"]

    assert found[0] == {"username": "olga", "repository": "", "artifact_count": 2}
    assert {"username": "", "repository": "acme/demo", "artifact_count": 1} in found
    assert len(found) == 3
    shown = page(client, "/channels/open/packages/demo/1.0")
    assert 'href="https://github.com/acme/demo" rel="nofollow">acme/demo</a>' in shown


def test_page_of_a_yanked_version_states_the_reason(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1.0", removal=Removal.YANKED, removal_reason="It deletes files.")

    assert "Yanked: It deletes files." in page(client, "/channels/open/packages/demo/1.0")
