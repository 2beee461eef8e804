"""Tests of the pages of a package and of an artifact."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, DailyDownloads, Package, Removal, User
from channels_app.packages import packages, queries
from publishing.uploads import upload
from tests.archives import make_conda, tar_member
from tests.browsing import artifact_url, page, publish
from tests.builders import make_artifact, make_channel, make_key, received
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
    assert "<code>tiff &gt;=1.10,&lt;2</code>" in found
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

    assert re.findall(r'href="\?version=([^"#]+)#files"(?: aria-current="true")?>\1<', found) == [
        "1.10",
        "1.10rc1",
        "1.9",
        "0.1",
    ]
    assert re.findall(r'<th scope="col">(\w+-64)</th>', found) == ["linux-64", "osx-64"]
    rows = re.findall(r"<tr( class=\"yanked\")?>\s*<td><a class=\"name\" href=\"\?version=([^#]+)#", found)
    assert rows == [("", "1.10"), ("", "1.10rc1"), (' class="yanked"', "1.9"), ("", "0.1")]
    assert '2<span class="visually-hidden"> builds for linux-64</span>' in found
    assert 'yanked: </span><span class="visually-hidden">demo-0.1-0.conda' in found


def test_the_files_of_another_version_are_one_link_away(open_channel: Channel, client: Client) -> None:
    publish(open_channel, version="1.0")
    publish(open_channel, version="2.0")

    assert "Files of 2.0" in page(client, "/channels/open/packages/demo")
    older = page(client, "/channels/open/packages/demo?version=1.0")
    assert "Files of 1.0" in older
    assert 'href="/channels/open/artifacts/noarch/demo-1.0-0.conda">demo-1.0-0.conda</a>' in older
    assert "Files of 2.0" in page(client, "/channels/open/packages/demo?version=9%3Cscript%3E")


def test_twenty_versions_come_first_and_all_on_demand(open_channel: Channel, client: Client) -> None:
    for n in range(25):
        make_artifact(open_channel, version=f"1.{n}")
    packages.refresh(Package.objects.get())

    first, whole = (page(client, f"/channels/open/packages/demo{query}") for query in ("", "?versions=all"))

    assert (first.count('#files"'), whole.count('#files"')) == (20, 25)
    assert 'href="?versions=all#versions">All 25</a>' in first


def test_dependencies_show_their_subdirs_and_link_to_packages_of_the_hub(open_channel: Channel, client: Client) -> None:
    publish(open_channel, "zlib")
    publish(open_channel, subdir="linux-64", index_json={"depends": ["zlib >=1.2", "python", "__glibc >=2.17"]})
    publish(open_channel, subdir="osx-64", index_json={"depends": ["zlib >=1.3", "python"]})

    found = page(client, "/channels/open/packages/demo")

    assert 'href="/channels/open/packages/zlib">zlib</a>' in found
    assert "/packages/python" not in found
    assert '<code>&gt;=1.2</code><span class="chip">linux-64</span>' in found
    assert '<code>&gt;=1.3</code><span class="chip">osx-64</span>' in found
    assert "<code>any</code></span></span>" in found
    assert "the machine" in found
    assert 'href="/channels/open/packages/demo">demo</a>' in page(client, "/channels/open/packages/zlib")


def test_dependents_are_of_this_channel_alone(open_channel: Channel, olga: User, client: Client) -> None:
    publish(open_channel, "zlib")
    publish(make_channel("secret", owner=olga), "not-yours", index_json={"depends": ["zlib"]})
    for n in range(35):
        publish(open_channel, f"user-{n:02}", index_json={"depends": ["zlib"]})

    first, whole = (page(client, f"/channels/open/packages/zlib{query}") for query in ("", "?dependents=all"))

    assert "not-yours" not in whole
    assert (len(re.findall(r"/packages/user-", first)), len(re.findall(r"/packages/user-", whole))) == (30, 35)
    assert "All 35" in first


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

    with django_assert_num_queries(14):
        page(client, "/channels/open/packages/demo")


def test_licence_files_shown_with_their_texts(
    open_channel: Channel, olga: User, client: Client, tmp_path: Path
) -> None:
    licence = tar_member("info/licenses/LICENSE", b"Permission is hereby granted, <free> of charge")
    path = make_conda(tmp_path, members=[licence], info={"about.json": b'{"license": "Expat"}'})
    upload.publish(actor=Actor(user=olga), channel=open_channel, received=received(path))
    artifact = Artifact.objects.get()

    found = page(client, artifact_url(artifact))
    assert "Expat" in found
    assert "info/licenses/LICENSE" in found
    assert "Permission is hereby granted, &lt;free&gt; of charge" in found
    assert f"{artifact_url(artifact)}#licences" in page(client, "/channels/open/packages/demo")


def test_package_without_licence_files_leads_to_none(open_channel: Channel, client: Client) -> None:
    artifact = publish(open_channel)

    assert "Licence files" not in page(client, artifact_url(artifact))
    assert "#licences" not in page(client, "/channels/open/packages/demo")


def test_an_artifact_shows_all_that_is_known(open_channel: Channel, olga: User, client: Client) -> None:
    publish(open_channel, "zlib")
    index = {"depends": ["zlib >=1.2"], "constrains": ["old <2"], "timestamp": 1_700_000_000_000, "arch": "x86_64"}
    artifact = publish(
        open_channel,
        index_json=index | {"license": "MIT"},
        about_json={"home": "https://demo.example"},
        run_exports={"strong": ["demo >=1"]},
        features=["binary_prefix"],
        warnings=["Two files differ by case."],
        files=[["lib/demo.so", 2048], ["share/demo.txt", 5]],
        file_count=2,
        size_bytes=12_345_678,
        uploaded_by=olga,
    )

    found = page(client, artifact_url(artifact))

    for text in (
        artifact.sha256,
        artifact.md5,
        "11.8 MiB",
        "12,345,678 bytes",
        "by olga",
        "binary_prefix",
        "MIT",
        "x86_64",
    ):
        assert text in found
    for text in (
        "Two files differ by case.",
        "lib/demo.so",
        "2 KiB",
        "5 B",
        "No attestation.",
        "demo &gt;=1",
        "14 Nov 2023",
    ):
        assert text in found
    assert 'href="/open/noarch/demo-1.0-0.conda" download' in found
    assert 'href="/channels/open/packages/zlib">zlib</a><code class="soft">&gt;=1.2</code>' in found
    assert "&quot;timestamp&quot;: 1700000000000" in found


def test_package_page_shows_actions_by_permission(open_channel: Channel, olga: User, client: Client) -> None:
    make_key(olga, channels=[open_channel])
    artifact = publish(open_channel, uploaded_with=olga.keys.get(), quarantine_reason="rattler says no")
    remove = f'href="{artifact_url(artifact)}/remove"'

    for_anyone, for_owner = (page(each, artifact_url(artifact)) for each in (client, signed_in(olga)))

    seen = [
        [text in found for text in ("<dt>API key</dt>", remove, "rattler says no", "Quarantined")]
        for found in (for_anyone, for_owner)
    ]
    assert seen == [[False, False, False, True], [True, True, True, True]]


@pytest.mark.parametrize(
    ("fields", "words", "is_served"),
    [
        ({"removal": Removal.YANKED}, "It can still be downloaded from its address", True),
        ({"removal": Removal.DELETED}, "It can be restored for a limited time", False),
        ({"removal": Removal.DELETED, "is_purged": True}, "The file was deleted permanently", False),
    ],
)
def test_removed_artifact_shows_reason_user_and_time(
    open_channel: Channel, olga: User, client: Client, fields: dict[str, Any], words: str, is_served: bool
) -> None:
    moment = timezone.now() - timedelta(hours=3)
    artifact = publish(open_channel, removed_by=olga, removed_at=moment, removal_reason="It <b>burns</b>", **fields)

    found = page(client, artifact_url(artifact))

    assert re.search(r"</strong> by olga <time [^>]*>3 h ago</time>: It &lt;b&gt;burns&lt;/b&gt;", found)
    assert words in found
    assert (" download>" in found) == is_served


def test_many_files_come_on_demand(open_channel: Channel, client: Client) -> None:
    artifact = publish(open_channel, files=[[f"f{n}", n] for n in range(60)], file_count=70)

    first, whole = page(client, artifact_url(artifact)), page(client, f"{artifact_url(artifact)}?files=all")

    assert "25 of 70 files" in first
    assert 'href="?files=all#files">The first 60</a>' in first
    assert "60 of 70 files" in whole


def test_an_artifact_costs_as_many_queries_for_many_dependencies_as_for_few(
    open_channel: Channel, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (1, 50):
        artifact = publish(open_channel, f"demo-{count}", index_json={"depends": [f"d{n}" for n in range(count)]})
        with django_assert_num_queries(3):
            page(client, artifact_url(artifact))
