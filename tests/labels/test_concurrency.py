"""Concurrent changes of labels, uploads and removals: none fails, and the indexes agree with the database."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Label, User
from hub.storage import store
from publishing.index import builds
from publishing.labels import artifact_labels, edits, labels, queries
from publishing.removal import removal
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import received
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 5
NAMES = ("one", "two", "three")


@pytest.fixture
def packages(channel: Channel, olga: User, tmp_path: Path) -> dict[str, Path]:
    """Publish three packages, and return them by name."""
    found = {name: make_conda(tmp_path, name=name) for name in NAMES}
    for path in found.values():
        upload.publish(actor=Actor(user=olga), channel=channel, received=received(path))
    return found


def labels_of(channel: Channel) -> dict[str, set[str]]:
    artifacts = list(Artifact.objects.filter(channel=channel))
    found = queries.names_of(artifacts)
    return {artifact.file_name: set(found[artifact.pk]) for artifact in artifacts}


def check_indexes(channel: Channel) -> None:
    """Compare the index of each label with the database. Each listed file has a label."""
    builds.build_channel(channel)
    chosen = labels_of(channel)
    listed = set(Artifact.objects.filter(channel=channel, removal="").values_list("file_name", flat=True))
    assert all(chosen[each] for each in listed)
    for index in channel.indexes.filter(subdir__endswith="noarch"):
        name = index.label or "main"
        content = json.loads(b"".join(store().open(f"{index.folder}/repodata.json")))
        assert set(content["packages.conda"]) == {each for each in listed if name in chosen[each]}, name


@pytest.mark.usefixtures("packages")
def test_last_labels_are_not_removed_at_once(channel: Channel, olga: User, tmp_path: Path) -> None:
    actor, selection = Actor(user=olga), Artifact.objects.filter(channel=channel)

    def remove(name: str) -> Callable[[], Any]:
        return lambda: artifact_labels.change_selection(
            actor=actor, channel=channel, selection=selection, remove=[name]
        )

    def give_both() -> None:
        artifact_labels.edit_selection(
            actor=actor, channel=channel, selection=selection, edit=edits.exactly(["main", "dev"])
        )

    with shared_database(tmp_path):
        for _ in range(ROUNDS):
            at_once(give_both)
            assert "last_label" in at_once(remove("main"), remove("dev"))
            at_once(lambda: check_indexes(channel))


def test_labels_uploads_and_removals_at_once_agree(
    channel: Channel, olga: User, tmp_path: Path, packages: dict[str, Path]
) -> None:
    actor, selection = Actor(user=olga), Artifact.objects.filter(channel=channel)

    def publish(name: str, *chosen: str) -> Callable[[], Any]:
        file = received(packages[name])
        return lambda: upload.publish(actor=actor, channel=channel, received=file, labels=chosen)

    def add(*names: str) -> Callable[[], Any]:
        return lambda: artifact_labels.change_selection(actor=actor, channel=channel, selection=selection, add=names)

    def change(kind: removal.Change, name: str) -> Callable[[], Any]:
        files = selection.filter(package__name=name)
        return lambda: removal.change_selection(actor=actor, channel=channel, selection=files, change=kind)

    def expire() -> None:
        Label.objects.filter(name="rc").update(expires_at=channel.created_at)
        labels.delete_expired()

    def delete() -> None:
        labels.delete(actor=actor, channel=channel, name="dev", with_files=True)

    with shared_database(tmp_path):
        for _ in range(ROUNDS):
            at_once(
                *(publish("one", "dev"), publish("two", "rc"), add("dev", "rc"), delete, expire),
                *(change(removal.YANK, "one"), change(removal.DELETE, "two"), change(removal.RESTORE, "three")),
            )
            at_once(lambda: check_indexes(channel))


def test_file_is_not_restored_into_a_label_that_is_deleted_at_once(
    channel: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: dict[str, Path]
) -> None:
    actor, store_states = Actor(user=olga), removal._store
    artifact = Artifact.objects.get(file_name=packages["one"].name)
    deleted = threading.Event()

    def wait_and_store(*values: Any) -> None:
        deleted.wait(timeout=1)
        store_states(*values)

    def delete() -> str:
        labels.delete(actor=actor, channel=channel, name="dev")
        deleted.set()
        return "deleted"

    def restore() -> str:
        return removal.restore(actor=actor, artifact=artifact).removal

    selection = Artifact.objects.filter(pk=artifact.pk)
    artifact_labels.edit_selection(actor=actor, channel=channel, selection=selection, edit=edits.exactly(["dev"]))
    removal.delete(actor=actor, artifact=artifact, reason="")
    monkeypatch.setattr(removal, "_store", wait_and_store)
    with shared_database(tmp_path):
        assert set(map(str, at_once(restore, delete))) in ({"", "last_label"}, {"no_label", "deleted"})
        at_once(lambda: check_indexes(channel))


def test_label_is_created_once_at_once(channel: Channel, olga: User, tmp_path: Path) -> None:
    create = [lambda: labels.create(actor=Actor(user=olga), channel=channel, name="dev").name for _ in range(4)]
    with shared_database(tmp_path):
        assert sorted(map(str, at_once(*create))) == ["dev", "label_exists", "label_exists", "label_exists"]
