"""Upstreams in a folder or a bucket, in the places that the operator allows."""

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import Channel, User
from hub.errors import HubError
from hub.storage import Store
from hub.storage.folder import FolderStore
from publishing.models import Upstream
from publishing.upstreams.errors import UpstreamError
from publishing.upstreams.store_transport import StoreTransport
from publishing.upstreams.upstreams import url_of
from tests.pages import signed_in
from tests.stores import moto_server
from tests.upstreams.fake import FakeUpstream
from tests.upstreams.test_sync import listed, poll

pytestmark = pytest.mark.django_db
BYTES = b"the package" * 1000
FILE = "noarch/numpy-1.0-0.conda"


def fill(place: Store) -> None:
    """Put a channel with one package into the store, without running its server."""
    channel = FakeUpstream()
    channel.publish(channel.add_package("numpy", BYTES))
    for path, content in channel.files.items():
        place.put(path, content)


def stand_on(mirror: Channel, url: str) -> Upstream:
    Upstream.objects.filter(channel=mirror).update(url=url)
    return poll(mirror)


def got(path: str = FILE) -> bytes:
    return b"".join(Client().get(f"/mirror/{path}"))


def test_folder_is_polled_and_its_packages_are_served(mirror: Channel, tmp_path: Path, settings: Settings) -> None:
    settings.HUB_UPSTREAM_STORES = [str(tmp_path / "mirrors")]
    folder = FolderStore(tmp_path / "mirrors/conda-forge")
    fill(folder)

    assert stand_on(mirror, f"file://{folder.root}").error == ""

    assert list(listed(mirror)) == ["numpy-1.0-0.conda"]
    assert got() == BYTES
    # The index is as it was, so it is not read again.
    folder.put("noarch/shards/none", b"")
    revision = mirror.indexes.get(subdir="noarch").requested_revision
    assert poll(mirror).error == ""
    assert mirror.indexes.get(subdir="noarch").requested_revision == revision


def test_bucket_is_polled_and_its_packages_are_served(mirror: Channel, settings: Settings) -> None:
    from hub.storage.s3 import S3Store

    with moto_server() as server:
        settings.AWS_S3_ENDPOINT_URL, settings.AWS_S3_ADDRESSING_STYLE = server.endpoint_url, "path"
        settings.AWS_S3_ACCESS_KEY_ID, settings.AWS_S3_SECRET_ACCESS_KEY = server.access_key, server.secret_key
        settings.AWS_S3_REGION_NAME = server.region
        settings.HUB_UPSTREAM_STORES = [f"s3://{server.bucket}/conda"]
        fill(S3Store(bucket_name=server.bucket, location="conda/forge"))

        assert stand_on(mirror, f"s3://{server.bucket}/conda/forge").error == ""
        assert got() == BYTES


def test_missing_folder_is_told_as_not_found(mirror: Channel, tmp_path: Path, settings: Settings) -> None:
    settings.HUB_UPSTREAM_STORES = [str(tmp_path)]
    assert stand_on(mirror, f"file://{tmp_path}/nothing").error_code == "upstream_not_found"


def test_place_that_is_no_longer_allowed_is_not_read(mirror: Channel, tmp_path: Path) -> None:
    fill(FolderStore(tmp_path / "forge"))
    assert stand_on(mirror, f"file://{tmp_path}/forge").error_code == "upstream_not_allowed"


@pytest.mark.parametrize("link", ["noarch", "numpy"])
def test_links_out_of_the_folder_are_not_followed(
    mirror: Channel, tmp_path: Path, settings: Settings, link: str
) -> None:
    settings.HUB_UPSTREAM_STORES = [str(tmp_path / "mirrors")]
    fill(FolderStore(tmp_path / "mirrors/forge"))
    moved = {"noarch": "noarch", "numpy": FILE}[link]
    (tmp_path / "mirrors/forge" / moved).rename(tmp_path / "outside")
    (tmp_path / "mirrors/forge" / moved).symlink_to(tmp_path / "outside")

    upstream = stand_on(mirror, f"file://{tmp_path}/mirrors/forge")

    assert upstream.error_code == {"noarch": "upstream_unreachable", "numpy": ""}[link]
    assert Client().get(f"/mirror/{FILE}").status_code in (404, 503)


@pytest.mark.parametrize(
    ("stated", "stored"),
    [
        ("/srv/mirrors/forge/", "file:///srv/mirrors/forge"),
        ("file:///srv/mirrors", "file:///srv/mirrors"),
        ("s3://mirrors/conda/forge", "s3://mirrors/conda/forge"),
        ("/srv/mirrors/../secrets", ""),
        ("/srv/mirrors//forge", ""),
        ("/srv/mirrors2", ""),
        ("/etc", ""),
        ("s3://mirrors", ""),
        ("s3://mirrors/condas", ""),
        ("s3://mirrors/conda/./x", ""),
        (f"/srv/mirrors/{'a' * 485}", ""),
        *((f"/srv/mirrors/{odd}", "") for odd in ("%2e%2e/secrets", "%00", "a\x00", "a?b", "a#b", "a\\b", "a\nb")),
    ],
)
def test_only_places_of_the_setting_are_accepted(settings: Settings, stated: str, stored: str) -> None:
    settings.HUB_UPSTREAM_STORES = ["/srv/mirrors/", "s3://mirrors/conda"]
    if stored:
        assert url_of(stated) == stored
        return
    with pytest.raises(HubError) as refused:
        url_of(stated)
    assert refused.value.code == "bad_upstream"


def test_folder_that_is_a_link_out_of_its_place_is_not_read(
    mirror: Channel, tmp_path: Path, settings: Settings
) -> None:
    settings.HUB_UPSTREAM_STORES = [str(tmp_path / "mirrors")]
    fill(FolderStore(tmp_path / "outside"))
    (tmp_path / "mirrors").mkdir()
    (tmp_path / "mirrors/forge").symlink_to(tmp_path / "outside")
    assert stand_on(mirror, f"file://{tmp_path}/mirrors/forge").error_code == "upstream_not_allowed"


def test_place_that_is_a_link_itself_is_read(mirror: Channel, tmp_path: Path, settings: Settings) -> None:
    settings.HUB_UPSTREAM_STORES = [str(tmp_path / "mirrors")]
    fill(FolderStore(tmp_path / "disk/forge"))
    (tmp_path / "mirrors").symlink_to(tmp_path / "disk")
    assert stand_on(mirror, f"file://{tmp_path}/mirrors/forge").error_code == ""


def test_index_that_leads_out_of_the_place_is_refused(tmp_path: Path, settings: Settings) -> None:
    settings.HUB_UPSTREAM_STORES = [str(tmp_path)]
    transport = StoreTransport(f"file://{tmp_path}/forge")
    for url in (f"file://{tmp_path}/other/x", "https://conda.example.org/x", f"file://{tmp_path}/forge/../other/x"):
        with pytest.raises(UpstreamError), transport.get(url, timeout_s=1):
            pass


def test_path_of_a_folder_is_shown_to_managers_alone(mirror: Channel, olga: User, sam: User) -> None:
    Upstream.objects.filter(channel=mirror).update(url="file:///srv/mirrors/forge")
    pages = [signed_in(person).get("/channels/mirror").content.decode() for person in (olga, sam)]
    assert ["/srv/mirrors" in page for page in pages] == [True, False]
