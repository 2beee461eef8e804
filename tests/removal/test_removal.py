"""Yank, restore, delete and release: the index update, the grace period and the reserved name."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import ApiKey, Artifact, AuditEvent, Channel, KeyKind, Package, Role, User
from hub.errors import HubError
from hub.storage import StoreError, store
from hub.storage.folder import FolderStore
from publishing import housekeeping
from publishing.index import builds
from publishing.models import IndexedName, Reservation, SubdirIndex
from publishing.removal import removal
from publishing.uploads import upload, values
from tests.archives import make_conda
from tests.builders import (
    make_artifact,
    make_key,
    make_member,
    make_publisher,
    make_robot,
    make_short_lived_token,
    received,
)

KEY = "demo/noarch/demo-1.0-0.conda"


@pytest.fixture
def owner(olga: User) -> Actor:
    return Actor(user=olga)


@pytest.fixture
def artifact(channel: Channel, owner: Actor, tmp_path: Path) -> Artifact:
    return upload.publish(actor=owner, channel=channel, received=received(make_conda(tmp_path))).artifact


def repodata() -> dict[str, Any]:
    builds.build_until_current(SubdirIndex.objects.get(subdir="noarch").pk)
    content: dict[str, Any] = json.loads(b"".join(store().open("demo/noarch/repodata.json")))
    return content


def status(client: Client, olga: User) -> int:
    return client.get(f"/{KEY}", headers={"authorization": f"Bearer {make_key(olga)}"}).status_code


def age(artifact: Artifact, hours: int) -> None:
    Artifact.objects.filter(pk=artifact.pk).update(removed_at=timezone.now() - timedelta(hours=hours))


def test_a_yanked_file_leaves_the_index_and_is_still_served(
    client: Client, artifact: Artifact, owner: Actor, olga: User
) -> None:
    assert repodata()["packages.conda"].keys() == {"demo-1.0-0.conda"}
    removal.yank(actor=owner, artifact=artifact, reason="broken on win")
    content = repodata()
    assert (content["packages.conda"], content["removed"]) == ({}, ["demo-1.0-0.conda"])
    assert not SubdirIndex.objects.get(subdir="noarch").names.exclude(shard_sha256="").exists()
    assert status(client, olga) == 200
    assert Package.objects.get().latest_version == ""
    event = AuditEvent.objects.get(action="artifact.yank")
    assert (event.target, event.detail) == (
        "noarch/demo-1.0-0.conda",
        {
            "reason": "broken on win",
            "removal": {"from": "", "to": "yanked"},
        },
    )
    removal.restore(actor=owner, artifact=artifact)
    content = repodata()
    assert (content["packages.conda"].keys(), content["removed"]) == ({"demo-1.0-0.conda"}, [])
    assert Package.objects.get().latest_version == "1.0"


def test_one_of_two_versions_is_yanked(channel: Channel, artifact: Artifact, owner: Actor) -> None:
    make_artifact(channel, version="2.0")
    removal.yank(actor=owner, artifact=artifact, reason="")
    content = repodata()
    assert (content["packages.conda"].keys(), content["removed"]) == ({"demo-2.0-0.conda"}, ["demo-1.0-0.conda"])
    assert Package.objects.get().latest_version == "2.0"


def test_a_deleted_file_is_no_longer_served_and_can_be_restored_within_its_grace(
    client: Client, artifact: Artifact, owner: Actor, olga: User
) -> None:
    removal.delete(actor=owner, artifact=artifact, reason="secret inside")
    assert repodata()["removed"] == ["demo-1.0-0.conda"]
    assert status(client, olga) == 404
    age(artifact, 23)
    housekeeping.remove_leftovers()
    assert store().stat(KEY) is not None
    removal.restore(actor=owner, artifact=artifact)
    assert status(client, olga) == 200


def test_after_the_grace_the_bytes_are_gone_for_good(artifact: Artifact, owner: Actor) -> None:
    removal.delete(actor=owner, artifact=artifact, reason="")
    age(artifact, 25)
    housekeeping.remove_leftovers()
    assert store().stat(KEY) is None
    with pytest.raises(HubError, match="are gone; upload the file again"):
        removal.restore(actor=owner, artifact=artifact)


def test_a_deleted_name_is_kept_until_an_owner_releases_it(
    channel: Channel, artifact: Artifact, owner: Actor, tmp_path: Path
) -> None:
    removal.delete(actor=owner, artifact=artifact, reason="")
    (tmp_path / "other").mkdir()
    other = received(make_conda(tmp_path / "other", files={"share/other": b"x"}))
    with pytest.raises(HubError, match="until an owner of 'demo' releases it") as caught:
        upload.publish(actor=owner, channel=channel, received=other)
    assert (caught.value.status, caught.value.code) == (409, "name_deleted")
    assert repodata()["removed"] == ["demo-1.0-0.conda"]
    removal.release(actor=owner, artifact=artifact)
    assert repodata()["removed"] == []
    assert store().stat(KEY) is None
    assert upload.publish(actor=owner, channel=channel, received=other).is_new


def test_the_same_bytes_bring_a_deleted_file_back_with_its_first_timestamp(
    channel: Channel, artifact: Artifact, owner: Actor, tmp_path: Path
) -> None:
    removal.delete(actor=owner, artifact=artifact, reason="")
    age(artifact, 25)
    housekeeping.remove_leftovers()
    (tmp_path / "again").mkdir()
    again = upload.publish(actor=owner, channel=channel, received=received(make_conda(tmp_path / "again"))).artifact
    assert (again.pk, again.indexed_timestamp) == (artifact.pk, artifact.indexed_timestamp)
    assert repodata()["packages.conda"].keys() == {"demo-1.0-0.conda"}
    assert store().stat(KEY) is not None


def test_removal_without_the_permission_is_refused(channel: Channel, artifact: Artifact, max_: User) -> None:
    member = make_member(channel, max_, Role.CONTRIBUTOR)
    for change in (removal.yank, removal.delete):
        with pytest.raises(HubError, match="may read 'demo' but not delete there"):
            change(actor=Actor(user=max_), artifact=artifact, reason="")
    member.role = Role.MAINTAINER
    member.save()
    removal.delete(actor=Actor(user=max_), artifact=artifact, reason="")
    with pytest.raises(HubError, match="not own there"):
        removal.release(actor=Actor(user=max_), artifact=artifact)


def test_only_a_deleted_name_can_be_released(artifact: Artifact, owner: Actor) -> None:
    with pytest.raises(HubError, match="is not deleted"):
        removal.release(actor=owner, artifact=artifact)


def test_artifact_uploaded_again_is_not_purged_or_released(
    channel: Channel, owner: Actor, artifact: Artifact, tmp_path: Path
) -> None:
    removal.delete(actor=owner, artifact=artifact, reason="")
    Artifact.objects.update(removed_at=timezone.now() - timedelta(days=400))
    arrived = received(tmp_path / artifact.file_name)
    again = values.Upload(owner, channel, arrived, upload.read(channel, arrived))
    upload.reserve(again)
    upload.put(again)
    removal.purge_deleted()
    with pytest.raises(HubError, match="is being uploaded again at this moment") as refusal:
        removal.release(actor=owner, artifact=artifact)
    assert refusal.value.code == "being_uploaded"
    assert upload.record(again).artifact == artifact
    assert store().stat(KEY)


def test_purge_deleted_keeps_the_bytes_of_all_other_artifacts(
    channel: Channel, owner: Actor, artifact: Artifact, tmp_path: Path
) -> None:
    paths = [make_conda(tmp_path, version=version) for version in ("2.0", "3.0", "4.0")]
    published, yanked, old = (
        upload.publish(actor=owner, channel=channel, received=received(path)).artifact for path in paths
    )
    removal.yank(actor=owner, artifact=yanked, reason="")
    for each in (artifact, old):
        removal.delete(actor=owner, artifact=each, reason="")
    for each in (published, yanked, old):
        age(each, 25)

    removal.purge_deleted()

    assert list(Artifact.objects.filter(is_purged=True)) == [old]
    kept = [each for each in (artifact, published, yanked, old) if store().stat(str(each))]
    assert kept == [artifact, published, yanked]


def test_file_that_the_store_refuses_to_delete_delays_no_other(
    channel: Channel, owner: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [make_conda(tmp_path, version=version) for version in ("2.0", "3.0", "4.0")]
    locked, *others = (upload.publish(actor=owner, channel=channel, received=received(path)).artifact for path in paths)
    for each in (locked, *others):
        removal.delete(actor=owner, artifact=each, reason="")
        age(each, 25)
    Reservation.objects.create(channel=channel, file_name="x", expires_at=timezone.now() - timedelta(days=1))
    delete = FolderStore.delete

    def refuse(self: FolderStore, key: str) -> None:
        if key == str(locked):
            raise StoreError("The file is under a legal hold")
        delete(self, key)

    monkeypatch.setattr(FolderStore, "delete", refuse)
    with pytest.raises(StoreError):
        housekeeping.remove_leftovers()
    assert list(Artifact.objects.filter(is_purged=True).order_by("pk")) == others
    assert not Reservation.objects.exists()


def test_release_frees_one_name(channel: Channel, owner: Actor, artifact: Artifact) -> None:
    other = make_artifact(channel, version="2.0")
    for each in (artifact, other):
        removal.delete(actor=owner, artifact=each, reason="")
    removal.release(actor=owner, artifact=other)
    assert Artifact.objects.get() == artifact
    assert AuditEvent.objects.get(action="artifact.release").detail == {
        "sha256": other.sha256,
        "size_bytes": other.size_bytes,
    }


def test_is_own_for_channel_keys_compares_the_kind_of_credential(channel: Channel, olga: User) -> None:
    make_robot(channel, olga)
    make_key(olga)
    robot, personal = ApiKey.objects.get(kind=KeyKind.ROBOT), ApiKey.objects.get(kind=KeyKind.PERSONAL)
    uploaders = [robot, personal, None]
    artifacts = [make_artifact(channel, version=str(n), uploaded_with=key) for n, key in enumerate(uploaders)]
    short_lived, _ = make_short_lived_token(make_publisher(channel))
    assert [removal.is_own(Actor(key=robot), each) for each in artifacts] == [True, False, False]
    assert [removal.is_own(Actor(key=short_lived), each) for each in artifacts] == [False, False, False]


def test_index_build_for_a_removal_has_priority(artifact: Artifact, owner: Actor) -> None:
    def has_priority() -> bool:
        return IndexedName.objects.get(index__subdir="noarch", name="demo").removes

    repodata()
    removal.yank(actor=owner, artifact=artifact, reason="")
    assert has_priority()
    repodata()
    removal.restore(actor=owner, artifact=artifact)
    assert not has_priority()
    removal.delete(actor=owner, artifact=artifact, reason="")
    repodata()
    removal.release(actor=owner, artifact=artifact)
    assert has_priority()
