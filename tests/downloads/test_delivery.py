"""Delivery of files by the hub, nginx, the store or a CDN, and that private files never go to a CDN."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, User
from channels_app.packages import download_counts
from publishing.downloads import delivery
from publishing.index import builds
from publishing.models import IndexedName, SubdirIndex
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, make_key, received

FILE = "demo-1!2.0+local-0.conda"
ARTIFACT = f"/open/noarch/{FILE}"
QUOTED = "open/noarch/demo-1%212.0%2Blocal-0.conda"
CDN = "https://cdn.example.org/hub"


@pytest.fixture
def content(olga: User, tmp_path: Path) -> bytes:
    """Create a public channel `open` with one artifact and a built index. Return the artifact's bytes."""
    channel = make_channel("open", owner=olga, is_private=False)
    path = make_conda(tmp_path, version="1!2.0+local")
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(path))
    builds.build_until_current(SubdirIndex.objects.get(subdir="noarch").pk)
    return path.read_bytes()


@pytest.fixture
def bucket(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Use a store that signs URLs. Return the list of its calls."""
    asked: list[dict[str, Any]] = []

    class Signing:
        def url(self, key: str, **options: Any) -> str:
            asked.append({"key": key, **options})
            return f"https://store.example/{len(asked)}"

    settings.HUB_STORAGE = "s3"
    monkeypatch.setattr(delivery, "store", Signing)
    delivery._nginx_url.cache_clear()
    return asked


@pytest.fixture
def accel(settings: Settings) -> None:
    settings.HUB_DELIVERY = "accel"


@pytest.fixture
def cdn(settings: Settings) -> None:
    settings.HUB_CDN_URL = CDN


def sha256() -> str:
    return Artifact.objects.get().sha256


def test_folder_delivery_sends_x_accel_redirect(client: Client, content: bytes, accel: None) -> None:
    shard = f"/open/noarch/shards/{IndexedName.objects.exclude(shard_sha256='').get().shard_sha256}.msgpack.zst"
    for path, tail in (
        (ARTIFACT, QUOTED),
        ("/open/noarch/repodata.json", "open/noarch/repodata.json"),
        (shard, shard[1:]),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer["X-Accel-Redirect"] == f"/.files/folder/{tail}"
        assert answer.get("X-File-May-Be-Gone") == ("yes" if path == shard else None)
        assert answer["ETag"]
        assert answer["Cache-Control"].startswith("public, ")


def test_nginx_is_given_an_address_of_the_bucket(
    client: Client, content: bytes, olga: User, accel: None, bucket: list[dict[str, Any]]
) -> None:
    answer = client.get(ARTIFACT)
    assert answer["X-Accel-Redirect"] == f"/.files/store/public/{sha256()}/{QUOTED}"
    assert answer["X-Store-URL"] == "https://store.example/1"
    assert bucket == [{"key": f"open/noarch/{FILE}", "method": "GET", "expires_s": 120, "file_name": FILE}]
    Channel.objects.update(is_private=True)
    answer = client.head(ARTIFACT, headers={"Authorization": f"Bearer {make_key(olga)}"})
    assert answer["X-Accel-Redirect"] == f"/.files/store/private/{sha256()}/{QUOTED}"
    assert len(bucket) == 1, "signing takes longer than everything else"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (ARTIFACT, {"If-Match": '"x"'}, 200),
        (ARTIFACT, {"If-Unmodified-Since": "Fri, 01 May 2026 10:00:00 GMT"}, 200),
        (ARTIFACT, {"Range": "bytes=99999999-"}, 416),
        ("/open/noarch/repodata.json", {"Range": "bytes=0-1"}, 200),
        ("/open/linux-64/repodata.json", {}, 200),
        (ARTIFACT, {"If-None-Match": "*"}, 304),
    ],
)
def test_conditions_that_nginx_reads_differently_are_answered_by_the_hub(
    client: Client, content: bytes, accel: None, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.get(path, headers=headers)
    assert (answer.status_code, answer.get("X-Accel-Redirect")) == (status, None)


def test_first_range_counts_as_a_download_for_every_delivery(client: Client, content: bytes, accel: None) -> None:
    for part in ("bytes=0-1", "bytes=5-", "bytes=-3"):
        client.get(ARTIFACT, headers={"Range": part})
    client.head(ARTIFACT)
    download_counts.write()
    assert Artifact.objects.get().download_count == 1


def test_bucket_without_signed_urls_is_streamed(
    client: Client, content: bytes, settings: Settings, accel: None
) -> None:
    settings.HUB_STORAGE = "s3"
    delivery._nginx_url.cache_clear()
    answer = client.get(ARTIFACT)
    assert (answer.getvalue(), answer.get("X-Accel-Redirect")) == (content, None)


@pytest.mark.parametrize("how", ["stream", "redirect", "accel"])
def test_public_packages_come_from_the_cdn(
    client: Client, content: bytes, settings: Settings, cdn: None, how: str
) -> None:
    settings.HUB_DELIVERY = how
    answer = client.get(ARTIFACT)
    assert (answer.status_code, answer["Location"]) == (302, f"{CDN}/{QUOTED}?sha256={sha256()}")
    assert answer["Cache-Control"] == "no-store"
    assert client.get("/open/noarch/repodata.json").status_code == 200


@pytest.mark.usefixtures("cdn")
@pytest.mark.parametrize("how", ["stream", "redirect", "accel"])
def test_private_packages_are_never_cached_by_a_cdn(
    client: Client, content: bytes, olga: User, settings: Settings, how: str
) -> None:
    settings.HUB_DELIVERY = how
    Channel.objects.update(is_private=True)
    for query in ("", f"?sha256={sha256()}"):
        refused = client.get(ARTIFACT + query)
        assert (refused.status_code, refused.get("Location")) == (401, None)
        answer = client.get(ARTIFACT + query, headers={"Authorization": f"Bearer {make_key(olga)}"})
        assert (answer.status_code, answer.get("Location")) == (200, None)


def test_the_cdn_itself_gets_the_very_bytes_and_is_not_counted(
    client: Client, content: bytes, cdn: None, settings: Settings
) -> None:
    client.get(ARTIFACT)
    for how in ("stream", "redirect"):
        settings.HUB_DELIVERY = how
        answer = client.get(f"{ARTIFACT}?sha256={sha256()}")
        assert (answer.status_code, answer.getvalue()) == (200, content)
        assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    download_counts.write()
    assert Artifact.objects.get().download_count == 1


def test_url_of_a_former_state_redirects_to_the_current_one(client: Client, content: bytes, cdn: None) -> None:
    answer = client.get(f"{ARTIFACT}?sha256={'0' * 64}")
    assert (answer.status_code, answer["Location"]) == (302, f"{CDN}/{QUOTED}?sha256={sha256()}")
