"""Tests of the page of an artifact, and of the texts of its package."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Removal, User
from channels_app.packages import about
from publishing.uploads import upload
from tests.archives import make_conda, tar_member
from tests.browsing import artifact_url, page, publish
from tests.builders import make_channel, make_key, received
from tests.pages import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def open_channel(olga: User) -> Channel:
    return make_channel("open", owner=olga, is_private=False, description="For everyone")


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
    address = "/channels/open/packages/demo"
    assert f"{address}/1.0#licences" in page(client, address)
    assert "Permission is hereby granted, &lt;free&gt; of charge" in page(client, f"{address}/1.0")


def test_recipe_shown_on_version_and_artifact_and_in_the_api(
    open_channel: Channel, olga: User, client: Client, tmp_path: Path
) -> None:
    members = [
        tar_member("info/recipe/recipe.yaml", b"package:\n  name: <demo>\n"),
        tar_member("info/recipe/build.sh", b"make install"),
        tar_member("info/recipe/fix.patch", b"a large patch"),
    ]
    upload.publish(
        actor=Actor(user=olga), channel=open_channel, received=received(make_conda(tmp_path, members=members))
    )
    artifact = Artifact.objects.get()

    for address in (artifact_url(artifact), "/channels/open/packages/demo/1.0"):
        found = page(client, address)
        assert "info/recipe/recipe.yaml" in found
        assert "name: &lt;demo&gt;" in found
        assert "fix.patch" not in found
    build = client.get("/api/v1/channels/open/packages/demo/versions/1.0").json()["build"]
    recipe = [["info/recipe/recipe.yaml", "package:\n  name: <demo>\n"], ["info/recipe/build.sh", "make install"]]
    assert sorted([each["path"], each["text"]] for each in build["recipe"]) == sorted(recipe)
    answer: Any = client.get(f"{artifact_url(artifact)}/documents/recipe.json")
    assert sorted(json.loads(b"".join(answer.streaming_content))) == sorted(recipe)


def test_artifact_of_before_has_no_recipe(open_channel: Channel, client: Client) -> None:
    artifact = publish(open_channel)

    assert 'id="recipe"' not in page(client, artifact_url(artifact))
    answer: Any = client.get(f"{artifact_url(artifact)}/documents/recipe.json")
    assert json.loads(b"".join(answer.streaming_content)) == []


def test_maintainers_of_a_long_document_are_kept() -> None:
    document = {"extra": {"recipe-maintainers": ["mara"], "more": "x" * 20_000}, "root_pkgs": ["p"] * 9000}

    assert about.stored(document) == {"extra": {"recipe-maintainers": ["mara"]}}


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
    assert 'href="/channels/open/packages/zlib">zlib</a><code class="soft parts">&gt;=1.2</code>' in found
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
        with django_assert_num_queries(6):
            page(client, artifact_url(artifact))


def test_long_description_leads_to_its_document(open_channel: Channel, client: Client) -> None:
    artifact = publish(open_channel, about_json={"description": "word " * 2001})
    publish(open_channel, "short", about_json={"description": "word " * 2000})

    document = f"{artifact_url(artifact)}/documents/about.json"
    assert document in page(client, "/channels/open/packages/demo")
    assert document in page(client, "/channels/open/packages/demo/1.0")
    assert "documents/about.json" not in page(client, "/channels/open/packages/short")
