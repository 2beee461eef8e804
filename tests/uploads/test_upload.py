"""The steps of an upload: refusals, leftovers, and concurrent uploads of one name."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.authentication import api_keys
from channels_app.models import Artifact, AuditEvent, Channel, Role, User
from hub.errors import HubError
from hub.storage import StoreError, store
from publishing.apps import check_package_limits
from publishing.models import IndexedName, Reservation, SubdirIndex
from publishing.uploads import existing_artifacts, upload
from publishing.uploads.values import Upload, UploadResult
from tests.archives import make_conda, make_tar_bz2
from tests.browsing import artifact_url
from tests.builders import make_artifact, make_channel, make_key, make_member, make_user, received


@pytest.fixture
def owner(olga: User) -> Actor:
    return Actor(user=olga)


def publish(actor: Actor, channel: Channel, path: Path, *, force: bool = False) -> UploadResult:
    return upload.publish(actor=actor, channel=channel, received=received(path), force=force)


def refusal(actor: Actor, channel: Channel, path: Path, *, force: bool = False) -> HubError:
    with pytest.raises(HubError) as caught:
        publish(actor, channel, path, force=force)
    return caught.value


def other_bytes(folder: Path) -> Path:
    """Make a package with the file name of make_conda's and other content."""
    folder.mkdir(exist_ok=True)
    return make_conda(folder, files={"share/demo.txt": b"other\n"})


def test_a_publish_leaves_an_artifact_its_bytes_an_event_and_a_wish(
    channel: Channel, owner: Actor, tmp_path: Path, store_folder: Path
) -> None:
    path = make_conda(tmp_path)
    published = publish(owner, channel, path)
    artifact = Artifact.objects.get()
    assert published == UploadResult(artifact, is_new=True)
    content = path.read_bytes()
    assert (artifact.sha256, artifact.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (artifact.subdir, artifact.file_name, artifact.version) == ("noarch", "demo-1.0-0.conda", "1.0")
    assert [str(p.relative_to(store_folder)) for p in store_folder.rglob("*.*")] == ["demo/noarch/demo-1.0-0.conda"]
    assert (store_folder / "demo/noarch/demo-1.0-0.conda").read_bytes() == content
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.target) == ("artifact.publish", owner.user, "noarch/demo-1.0-0.conda")
    assert [(row.subdir, row.requested_revision, row.built_revision) for row in SubdirIndex.objects.all()] == [
        ("noarch", 1, 0)
    ]
    assert [(row.name, row.changed) for row in IndexedName.objects.all()] == [("demo", 1)]
    assert not Reservation.objects.exists()


def test_the_worker_is_woken_after_the_commit(
    channel: Channel,
    owner: Actor,
    tmp_path: Path,
    sent_jobs: list[tuple[object, ...]],
    django_capture_on_commit_callbacks: object,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        publish(owner, channel, make_conda(tmp_path))
        assert sent_jobs == []
    assert sent_jobs == [("publishing.tasks.build_stale_indexes",)]


def test_same_bytes_again_change_no_row(
    channel: Channel, owner: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_tar_bz2(tmp_path)
    first = publish(owner, channel, path)
    monkeypatch.setattr(upload, "put", lambda *_: pytest.fail("the bytes were stored again"))
    again = publish(owner, channel, path)
    assert again == UploadResult(first.artifact, is_new=False)
    assert SubdirIndex.objects.get().requested_revision == 1
    assert AuditEvent.objects.count() == 1


def test_other_bytes_under_the_name_are_a_conflict(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    publish(owner, channel, path)
    error = refusal(owner, channel, other_bytes(tmp_path / "other"))
    assert (error.status, error.code) == (409, "exists")
    assert error.detail.startswith("demo/noarch/demo-1.0-0.conda exists with other bytes: SHA-256 ")
    assert b"".join(store().open("demo/noarch/demo-1.0-0.conda")) == path.read_bytes()


def test_a_name_that_differs_by_case_alone_is_a_conflict(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    publish(owner, channel, make_conda(tmp_path, build="py_a"))
    error = refusal(owner, channel, make_conda(tmp_path, build="py_A"))
    assert (error.status, error.code) == (409, "exists")


def test_force_replaces_where_the_channel_allows_it(olga: User, owner: Actor, tmp_path: Path) -> None:
    channel = make_channel(owner=olga, allow_overwrite=True)
    first = publish(owner, channel, make_conda(tmp_path)).artifact
    path = other_bytes(tmp_path / "other")
    assert refusal(owner, channel, path).status == 409
    second = publish(owner, channel, path, force=True).artifact
    assert (second.pk, second.sha256) == (first.pk, hashlib.sha256(path.read_bytes()).hexdigest())
    assert AuditEvent.objects.filter(action="artifact.overwrite").count() == 1


def test_publish_other_bytes_under_one_name_gets_a_new_indexed_timestamp(
    olga: User, owner: Actor, tmp_path: Path
) -> None:
    """CEP 47: cooldown policies must see new bytes as new. The same bytes keep their time."""
    channel = make_channel(owner=olga, allow_overwrite=True)
    path = make_conda(tmp_path)
    first = publish(owner, channel, path).artifact
    Artifact.objects.update(indexed_timestamp=1_500_000_000_000)
    assert publish(owner, channel, path, force=True).artifact.indexed_timestamp == 1_500_000_000_000
    second = publish(owner, channel, other_bytes(tmp_path / "other"), force=True).artifact
    assert second.indexed_timestamp >= first.indexed_timestamp


@pytest.mark.parametrize(("name", "is_let_through"), [("map-tiles", True), ("atlas", True), ("demo", False)])
def test_publish_with_a_key_of_two_globs_takes_names_that_one_of_them_matches(
    channel: Channel, olga: User, tmp_path: Path, name: str, is_let_through: bool
) -> None:
    key = api_keys.look_up(make_key(olga, channels=[channel], package_globs=("map-*", "atlas")))
    actor, path = Actor(user=olga, key=key), make_conda(tmp_path, name=name)
    if is_let_through:
        assert publish(actor, channel, path).is_new
    else:
        assert refusal(actor, channel, path).code == "name_not_allowed"


def test_force_is_refused_where_the_channel_does_not_allow_it(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    error = refusal(owner, channel, make_conda(tmp_path), force=True)
    assert (error.status, error.code) == (403, "overwriting_off")
    assert "does not allow force=true" in error.detail


def test_revision_3_is_a_policy(olga: User, owner: Actor, tmp_path: Path) -> None:
    path = make_conda(tmp_path, depends=["python[when=__unix]"])
    strict = make_channel("strict", owner=olga, allow_revision_3=False)
    error = refusal(owner, strict, path)
    assert (error.status, error.code) == (403, "revision_3_off")
    assert "needs repodata revision 3 (CEP 48), which 'strict' does not allow" in error.detail
    assert publish(owner, make_channel(owner=olga), path).artifact.revision == 3
    assert publish(owner, strict, make_conda(tmp_path, version="2.0")).artifact.revision == 1


def test_the_announced_checksum_must_be_that_of_the_bytes(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    arrived = received(make_conda(tmp_path), claimed_sha256="0" * 64)
    with pytest.raises(HubError, match="the client announced 0000") as caught:
        upload.publish(actor=owner, channel=channel, received=arrived)
    assert (caught.value.status, caught.value.code) == (422, "checksum_mismatch")


def test_announced_checksum_of_another_length_is_named(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    arrived = received(make_conda(tmp_path), claimed_sha256="d41d8cd98f00b204e9800998ecf8427e")
    with pytest.raises(HubError, match=r"announced the SHA-256 'd41d8cd9.*', expected 64 hexadecimal digits"):
        upload.publish(actor=owner, channel=channel, received=arrived)


def test_a_bad_package_is_refused_with_its_reason(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    path = make_conda(tmp_path).rename(tmp_path / "renamed-1.0-0.conda")
    error = refusal(owner, channel, path)
    assert (error.status, error.code) == (422, "bad_package")
    assert error.detail.startswith("renamed-1.0-0.conda was refused: ")
    assert not Artifact.objects.exists()


def test_a_nameless_upload_is_refused(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    arrived = replace(received(make_conda(tmp_path)), file_name="")
    with pytest.raises(HubError, match="send its name as X-File-Name"):
        upload.publish(actor=owner, channel=channel, received=arrived)


def test_a_right_that_went_during_the_upload_stops_it(
    channel: Channel, max_: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_folder: Path
) -> None:
    member = make_member(channel, max_, Role.CONTRIBUTOR)
    put = upload.put

    def put_and_lose(*args: object) -> None:
        put(*args)  # type: ignore[arg-type]
        member.delete()

    monkeypatch.setattr(upload, "put", put_and_lose)
    error = refusal(Actor(user=max_), channel, make_conda(tmp_path))
    assert error.status == 403
    assert not Artifact.objects.exists()
    assert not Reservation.objects.exists()


def test_a_store_that_fails_leaves_the_name_free(
    channel: Channel, owner: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise StoreError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(upload, "put", fail)
        with pytest.raises(StoreError):
            publish(owner, channel, make_conda(tmp_path))
    assert not Reservation.objects.exists()
    assert publish(owner, channel, other_bytes(tmp_path / "other")).is_new


def arriving(channel: Channel, path: Path, actor: Actor = ANONYMOUS) -> Upload:
    file = received(path)
    return Upload(actor, channel, file, upload.read(channel, file))


def reserve(channel: Channel, path: Path) -> str:
    return upload.reserve(arriving(channel, path))


def test_other_bytes_wait_for_an_upload_under_way(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    reserve(channel, make_conda(tmp_path))
    error = refusal(owner, channel, other_bytes(tmp_path / "other"))
    assert (error.status, error.code) == (409, "being_uploaded")


def test_other_bytes_take_over_from_an_upload_that_died(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    reserve(channel, make_conda(tmp_path))
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert publish(owner, channel, other_bytes(tmp_path / "other")).is_new


def test_the_same_bytes_join_an_upload_under_way(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    first = reserve(channel, path)
    second = reserve(channel, path)
    upload.release(first, channel)
    assert Reservation.objects.get().token == second
    assert upload.record(arriving(channel, path, owner)).is_new
    assert upload.record(arriving(channel, path, owner)) == UploadResult(Artifact.objects.get(), is_new=False)


def test_an_upload_whose_place_was_lost_may_try_again(channel: Channel, owner: Actor, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="took over the file name") as caught:
        upload.record(arriving(channel, make_conda(tmp_path), owner))
    assert caught.value.status == 503


def test_record_after_other_bytes_took_over_keeps_their_reservation(
    channel: Channel, owner: Actor, tmp_path: Path
) -> None:
    path, other = make_conda(tmp_path), other_bytes(tmp_path / "other")
    reserve(channel, path)
    Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    token = reserve(channel, other)

    with pytest.raises(HubError) as caught:
        upload.record(arriving(channel, path, owner))

    assert caught.value.code == "reservation_lost"
    assert Reservation.objects.get().token == token
    assert not Artifact.objects.exists()


def test_record_of_bytes_that_another_upload_published_meanwhile_is_not_new(
    channel: Channel, owner: Actor, tmp_path: Path
) -> None:
    path = make_conda(tmp_path)
    first = publish(owner, channel, path).artifact
    reserve(channel, path)
    assert upload.record(arriving(channel, path, owner)) == UploadResult(first, is_new=False)


def test_a_duplicate_is_found_after_the_reservation_too(channel: Channel, tmp_path: Path) -> None:
    make_artifact(channel)
    with pytest.raises(HubError, match="exists with other bytes"):
        reserve(channel, make_conda(tmp_path))
    assert not Reservation.objects.exists()


def test_the_limits_of_a_check_are_a_setting(
    channel: Channel, owner: Actor, tmp_path: Path, settings: Settings
) -> None:
    settings.HUB_PACKAGE_LIMITS = {"index_json_bytes": 10}
    assert "at most 10 B" in refusal(owner, channel, make_conda(tmp_path)).detail
    assert check_package_limits() == []
    settings.HUB_PACKAGE_LIMITS = {"patience": 1}
    assert [error.msg[:54] for error in check_package_limits()] == [
        "HUB_PACKAGE_LIMITS names patience; expected some of: i"
    ]


def test_the_channels_own_limit_counts(olga: User, owner: Actor, tmp_path: Path, settings: Settings) -> None:
    path = make_conda(tmp_path)
    small = make_channel("small", owner=olga, max_upload_bytes=100)
    assert "at most 100 B are allowed" in refusal(owner, small, path).detail
    assert make_channel(owner=olga).upload_limit_bytes == settings.HUB_MAX_UPLOAD_BYTES


def test_a_file_name_is_found_without_reading_its_neighbours(channel: Channel) -> None:
    model = make_artifact(channel)
    values = {field.attname: getattr(model, field.attname) for field in Artifact._meta.concrete_fields}
    del values["id"]
    names = (f"demo-1.{number}-0.conda" for number in range(1, 500))
    Artifact.objects.bulk_create(Artifact(**values | {"file_name": name}) for name in names)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        how = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{how} {existing_artifacts.EXISTING_ARTIFACT}", [channel.pk, "noarch", "demo-1.0-0.conda"])
        assert "one_artifact_a_file_name" in str(cursor.fetchall())


def test_publish_version_with_capitals_is_served_and_warned_of(
    channel: Channel, olga: User, owner: Actor, client: Client, tmp_path: Path
) -> None:
    artifact = publish(owner, channel, make_conda(tmp_path, version="1.0RC1")).artifact
    client.force_login(olga)

    page = client.get(artifact_url(artifact)).content.decode()

    assert "has capital letters, which clients compare as small ones" in page
    assert client.get(f"/{channel}/noarch/demo-1.0RC1-0.conda").status_code == 200
    assert client.get(f"/{channel}/noarch/demo-1.0rc1-0.conda").status_code == 404
    assert refusal(owner, channel, make_conda(tmp_path, version="1.0rc1")).code == "exists"


def test_publish_refusal_of_a_long_name_is_shown_whole_by_clients(
    channel: Channel, owner: Actor, tmp_path: Path
) -> None:
    path = make_conda(tmp_path, name="n" * 64, version="1" + "0.1" * 20, build="b" * 64, index={"build": "x" * 900})

    assert len(refusal(owner, channel, path).detail) <= 512


TIGHTENED = {
    "trusted_publishers_only": {"only_trusted_publishers": True},
    "attestation_missing": {"require_attestation": True},
    "overwriting_off": {"allow_overwrite": False},
}


@pytest.mark.parametrize("code", TIGHTENED)
def test_policies_that_are_tightened_meanwhile_hold(channel: Channel, owner: Actor, tmp_path: Path, code: str) -> None:
    """`channel` has the values from the beginning of the upload."""
    channel.allow_overwrite = True
    channel.save()
    first = publish(owner, channel, make_conda(tmp_path)).artifact
    Channel.objects.update(**TIGHTENED[code])
    again = replace(arriving(channel, other_bytes(tmp_path / "other"), owner), force=True)
    upload.reserve(again)
    with pytest.raises(HubError) as caught:
        upload.record(again)
    assert caught.value.code == code
    assert Artifact.objects.get().sha256 == first.sha256


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_superuser": False}], ids=str)
def test_upload_by_a_user_who_lost_the_right_is_refused(
    channel: Channel, tmp_path: Path, change: dict[str, bool]
) -> None:
    ada, _ = make_user("ada", is_superuser=True), make_user("root", is_superuser=True)
    User.objects.filter(pk=ada.pk).update(**change)
    assert refusal(Actor(user=ada), channel, make_conda(tmp_path)).code in ("account_changed", "no_access")
    assert not Artifact.objects.exists()


def test_a_deactivated_members_upload_from_a_page_is_refused(
    channel: Channel, olga: User, sam: User, tmp_path: Path
) -> None:
    User.objects.filter(pk=olga.pk).update(is_active=False)
    assert refusal(Actor(user=olga), channel, make_conda(tmp_path)).code == "account_changed"
