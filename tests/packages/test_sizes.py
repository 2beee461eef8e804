"""Sizes of packages and channels: each write keeps them, `verify` compares them, pages and the API show them."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Package, Role, User
from channels_app.packages import packages
from publishing.index import builds
from publishing.removal import removal
from publishing.transfer import channel_import
from publishing.uploads import upload
from publishing.verification import repairs, verification
from publishing.verification.differences import Difference, DifferenceKind
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, make_member, received
from tests.rest.calls import Caller, by_session

pytestmark = pytest.mark.django_db


def publish(channel: Channel, user: User, folder: Path, version: str = "1.0", **changes: object) -> Artifact:
    package = make_conda(folder, version=version, index=changes)
    by = Actor(user=user)
    force = channel.allow_overwrite
    return upload.publish(actor=by, channel=channel, received=received(package), force=force).artifact


def stored() -> int:
    total: int = Artifact.objects.filter(is_purged=False).aggregate(total=Sum("size_bytes", default=0))["total"]
    return total


def size() -> int:
    return Package.objects.get().size_bytes


def size_differences(channel: Channel) -> list[Difference]:
    found = verification.verify(channel).differences
    return [each for each in found if each.kind == DifferenceKind.SIZE]


@pytest.fixture
def by_olga(olga: User) -> Actor:
    return Actor(user=olga)


@pytest.fixture
def viewer(channel: Channel, max_: User) -> Caller:
    make_member(channel, max_, Role.VIEWER)
    return by_session(max_)


@pytest.mark.parametrize("second", ["0.9", "2.0"])
def test_uploads_of_any_version_add_their_size(second: str, channel: Channel, olga: User, tmp_path: Path) -> None:
    publish(channel, olga, tmp_path)
    publish(channel, olga, tmp_path, second)
    assert Artifact.objects.count() == 2
    assert size() == stored() > 0


def test_replaced_bytes_count_with_their_new_size(channel: Channel, olga: User, tmp_path: Path) -> None:
    Channel.objects.update(allow_overwrite=True)
    channel.refresh_from_db()
    before = publish(channel, olga, tmp_path).size_bytes
    after = publish(channel, olga, tmp_path, license="A licence with a long name " * 20).size_bytes
    assert size() == after != before


def test_deleted_file_counts_until_its_purge(
    channel: Channel, by_olga: Actor, tmp_path: Path, settings: Settings
) -> None:
    assert by_olga.user
    kept = publish(channel, by_olga.user, tmp_path)
    gone = publish(channel, by_olga.user, tmp_path, "2.0")
    removal.delete(actor=by_olga, artifact=gone, reason="")
    assert size() == kept.size_bytes + gone.size_bytes
    Artifact.objects.filter(pk=gone.pk).update(removed_at=timezone.now() - timedelta(days=400))
    removal.purge_deleted()
    assert size() == kept.size_bytes
    assert not size_differences(channel)
    publish(channel, by_olga.user, tmp_path, "2.0")
    assert size() == stored() == kept.size_bytes + gone.size_bytes


def test_released_name_no_longer_counts(channel: Channel, by_olga: Actor, tmp_path: Path) -> None:
    assert by_olga.user
    kept = publish(channel, by_olga.user, tmp_path)
    gone = publish(channel, by_olga.user, tmp_path, "2.0")
    removal.yank(actor=by_olga, artifact=kept, reason="")
    removal.delete(actor=by_olga, artifact=gone, reason="")
    removal.release(actor=by_olga, artifact=gone)
    assert size() == kept.size_bytes


def test_imported_packages_have_their_size(channel: Channel, olga: User, tmp_path: Path) -> None:
    publish(channel, olga, tmp_path)
    publish(channel, olga, tmp_path, "2.0")
    before = stored()
    Package.objects.all().delete()
    list(channel_import.import_packages(channel))
    assert size() == stored() == before


def test_verify_reports_and_corrects_a_wrong_size(channel: Channel, olga: User, tmp_path: Path) -> None:
    artifact = publish(channel, olga, tmp_path)
    builds.build_channel(channel)
    assert not verification.verify(channel).differences
    Package.objects.update(size_bytes=1)
    [difference] = verification.verify(channel).differences
    assert (difference.kind, difference.key) == (DifferenceKind.SIZE, f"{channel}/{artifact.package.name}")
    assert not repairs.repair(channel, [difference], verification.REPAIRED_BY_NIGHT)
    assert size() == artifact.size_bytes
    call_command("verify")


def test_api_has_sizes_of_channel_package_and_versions(channel: Channel, viewer: Caller) -> None:
    make_artifact(channel, "lib", "1.0", size_bytes=5)
    make_artifact(channel, "lib", "1.0", "1", size_bytes=7)
    make_artifact(channel, "lib", "2.0", size_bytes=20)
    make_artifact(channel, "lib", "2.0", "1", size_bytes=100, removal="deleted", is_purged=True)
    make_artifact(channel, "other", size_bytes=1000)
    make_artifact(make_channel("elsewhere"), "lib", size_bytes=1)
    packages.refresh_each(Package.objects.all())
    assert viewer.get("channels/demo").json()["size_bytes"] == 1032
    assert viewer.get("channels/demo/packages/lib").json()["size_bytes"] == 32
    assert [each["size_bytes"] for each in viewer.get("channels/demo/packages").json()["items"]] == [32, 1000]
    versions = viewer.get("channels/demo/packages/lib/versions").json()["items"]
    assert [(each["version"], each["size_bytes"]) for each in versions] == [("2.0", 20), ("1.0", 12)]


def test_channel_page_shows_its_size(channel: Channel, client: Client) -> None:
    Channel.objects.update(is_private=False)
    make_artifact(channel, size_bytes=3 * 1024 * 1024)
    assert "3 MiB" in client.get("/channels/demo").content.decode()
