"""Uploads that choose labels, by every protocol with a query."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, Label, Removal, User
from hub.errors import HubError
from hub.storage import StoreError, store
from publishing.index import builds
from publishing.labels import labels, queries
from publishing.removal import removal
from publishing.uploads import upload
from publishing.uploads.values import UploadResult
from tests.archives import make_conda
from tests.builders import make_key, received

pytestmark = pytest.mark.django_db

ADDRESSES = {
    "prefix": "/api/v1/upload/demo?",
    "quetz": "/api/channels/demo/upload/demo-1.0-0.conda?",
    "artifactory": "/demo/noarch/demo-1.0-0.conda?",
}
Publish = Callable[..., UploadResult]


@pytest.fixture
def publish(channel: Channel, olga: User, tmp_path: Path) -> Publish:
    """Return a function that uploads `demo` with labels; `text` decides its bytes."""

    def publish(*chosen: str, text: bytes = b"", force: bool = False) -> UploadResult:
        path = make_conda(tmp_path, files={"share/text": text} if text else {})
        file = received(path)
        return upload.publish(actor=Actor(user=olga), channel=channel, received=file, labels=chosen, force=force)

    return publish


def names() -> set[str]:
    artifact = Artifact.objects.get()
    return set(queries.names_of([artifact])[artifact.pk])


def stale(channel: Channel) -> set[str]:
    """Return the labels with a stale index of noarch, and build all."""
    found = {
        index.label or "main" for index in channel.indexes.filter(subdir__endswith="noarch") if not index.is_current
    }
    builds.build_channel(channel)
    return found


def send(client: Client, protocol: str, key: str, path: Path, query: str) -> tuple[int, str]:
    method = client.put if protocol == "artifactory" else client.post
    headers = {"Authorization": f"Bearer {key}", "X-File-Name": path.name}
    answer = method(ADDRESSES[protocol] + query, path.read_bytes(), "application/octet-stream", headers=headers)
    return answer.status_code, answer.headers.get("X-Error-Code", "")


@pytest.mark.parametrize("protocol", ADDRESSES)
def test_upload_with_labels_by_each_protocol_gets_exactly_them(
    client: Client, channel: Channel, olga: User, tmp_path: Path, protocol: str
) -> None:
    key, path = make_key(olga), make_conda(tmp_path)
    assert send(client, protocol, key, path, "label=a%20b") == (422, "bad_label")
    assert send(client, protocol, key, path, "label=dev&label=RC1,dev") == (201, "")
    assert names() == {"dev", "rc1"}
    assert stale(channel) == {"main", "dev", "rc1"}
    assert send(client, protocol, key, path, "") == (200, "")
    assert names() == {"dev", "rc1"}
    assert send(client, protocol, key, path, "label=main") == (200, "")
    assert names() == {"dev", "rc1", "main"}


def test_bad_label_is_refused_before_the_body(client: Client, channel: Channel, olga: User) -> None:
    answer = client.get(
        f"/api/v1/upload/{channel}/may?label=a%20b", headers={"Authorization": f"Bearer {make_key(olga)}"}
    )
    assert (answer.status_code, answer.headers["X-Refused-Code"]) == (403, "bad_label")


@pytest.mark.parametrize("query", ["label=", "label=%20", "label=,&label="])
def test_upload_with_an_empty_label_is_refused_instead_of_published_in_main(
    client: Client, channel: Channel, olga: User, tmp_path: Path, query: str
) -> None:
    assert send(client, "prefix", make_key(olga), make_conda(tmp_path), query) == (422, "bad_label")
    assert not channel.artifacts.exists()


def test_label_in_a_field_of_the_form_counts(client: Client, channel: Channel, olga: User, tmp_path: Path) -> None:
    path, headers = make_conda(tmp_path), {"Authorization": f"Bearer {make_key(olga)}"}
    for label, status in (("", 422), ("a b", 422), ("dev,rc", 201)):
        form = {"label": label, "files": SimpleUploadedFile(path.name, path.read_bytes())}
        answer = client.post(f"/api/channels/{channel}/files/", form, headers=headers)
        assert answer.status_code == status
    assert names() == {"dev", "rc"}


def test_upload_without_labels_is_in_main_and_creates_none(channel: Channel, publish: Publish) -> None:
    publish()
    assert names() == {"main"}
    assert stale(channel) == {"main"}
    assert not Label.objects.exists()


def test_upload_to_a_label_leaves_other_indexes_alone(channel: Channel, publish: Publish) -> None:
    publish("dev")
    stale(channel)
    publish("rc")
    assert names() == {"dev", "rc"}
    assert stale(channel) == {"rc"}
    assert not channel.packages.exclude(latest_version="").exists()
    assert channel.packages.get().size_bytes == Artifact.objects.get().size_bytes


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_yanked_file_of_main_and_a_label_leaves_both_indexes(
    channel: Channel, olga: User, tmp_path: Path, subdir: str
) -> None:
    path = make_conda(tmp_path, subdir=subdir)
    file, actor = received(path), Actor(user=olga)
    artifact = upload.publish(actor=actor, channel=channel, received=file, labels=("dev", "main")).artifact
    builds.build_channel(channel)
    removal.yank(actor=actor, artifact=artifact, reason="")
    builds.build_channel(channel)
    for folder in (f"{channel}/{subdir}", f"{channel}/label/dev/{subdir}"):
        assert path.name not in b"".join(store().open(f"{folder}/repodata.json")).decode().partition('"removed"')[0]


def test_replaced_bytes_have_exactly_the_labels_of_their_upload(channel: Channel, publish: Publish) -> None:
    Channel.objects.update(allow_overwrite=True)
    channel.refresh_from_db()
    publish("dev", "rc", "main")
    stale(channel)
    publish("dev", "beta", text=b"other", force=True)
    assert names() == {"dev", "beta"}
    assert stale(channel) == {"main", "dev", "rc", "beta"}
    publish(text=b"third", force=True)
    assert names() == {"main"}
    assert stale(channel) == {"main", "dev", "beta"}


def test_upload_that_restores_a_file_chooses_its_labels_anew(channel: Channel, olga: User, publish: Publish) -> None:
    artifact = publish("dev").artifact
    removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")
    publish("rc")
    artifact.refresh_from_db()
    assert (artifact.removal, names()) == (Removal.NONE, {"rc"})


def test_label_that_is_deleted_during_an_upload_refuses_it(
    channel: Channel, olga: User, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = upload.record

    def record_later(*arguments: Any) -> UploadResult:
        labels.delete(actor=Actor(user=olga), channel=channel, name="dev")
        return record(*arguments)

    monkeypatch.setattr(upload, "record", record_later)
    with pytest.raises(HubError) as caught:
        publish("dev")
    assert (caught.value.status, caught.value.code) == (409, "label_deleted")
    assert not Artifact.objects.exists()


def test_upload_that_the_store_refuses_creates_no_label(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(_: object) -> None:
        raise StoreError("No space left on device")

    monkeypatch.setattr(upload, "put", put)
    with pytest.raises(StoreError):
        publish("dev")
    assert not Label.objects.exists()


def test_label_of_an_upload_is_an_event(publish: Publish) -> None:
    publish("dev")
    publish("dev", "main")
    events = AuditEvent.objects.order_by("pk").values_list("action", "target")
    path = "noarch/demo-1.0-0.conda"
    assert list(events) == [("label.create", "dev"), ("artifact.publish", path), ("artifact.label", path)]


@pytest.mark.parametrize("protocol", ADDRESSES)
def test_same_bytes_with_a_51st_label_are_refused(
    client: Client, channel: Channel, olga: User, tmp_path: Path, protocol: str
) -> None:
    key, path = make_key(olga), make_conda(tmp_path)
    send(client, protocol, key, path, "label=" + ",".join(f"l{number}" for number in range(50)))
    assert send(client, protocol, key, path, "label=l1,new") == (409, "labels_limit")
    assert len(names()) == channel.labels.count() == 50
