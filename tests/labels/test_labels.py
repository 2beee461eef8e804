"""Labels of files: their changes, and the indexes that follow them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission
from channels_app.models import ApiKey, Artifact, AuditEvent, Channel, Label, Removal, Role, User
from hub.errors import HubError
from hub.storage import NotInStore, store
from publishing.index import builds
from publishing.labels import artifact_labels, edits, labels, names, old_indexes, queries
from publishing.models import SubdirIndex
from publishing.removal import removal
from tests.builders import make_artifact, make_channel, make_key, make_member, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def actor(olga: User) -> Actor:
    return Actor(user=olga)


def files(channel: Channel) -> Any:
    return Artifact.objects.filter(channel=channel)


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    with pytest.raises(HubError) as caught:
        yield
    assert (caught.value.status, caught.value.code) == (status, code)


def listed(folder: str, name: str = "repodata.json") -> set[str]:
    return set(json.loads(b"".join(store().open(f"{folder}/noarch/{name}")))["packages.conda"])


def test_labels_of_new_file_are_main_alone(channel: Channel) -> None:
    artifact = make_artifact(channel)
    assert queries.names_of([artifact]) == {artifact.pk: {"main"}}


def test_change_of_labels_moves_records_between_indexes(channel: Channel, actor: Actor) -> None:
    one, two = make_artifact(channel), make_artifact(channel, "other")
    builds.build_channel(channel)
    artifact_labels.change_selection(
        actor=actor, channel=channel, selection=files(channel).filter(pk=one.pk), add=["dev"]
    )
    builds.build_channel(channel)
    assert listed("demo") == {one.file_name, two.file_name}
    assert listed("demo/label/dev") == listed("demo/label/dev", "current_repodata.json") == {one.file_name}
    artifact_labels.edit_selection(actor=actor, channel=channel, selection=files(channel), edit=edits.exactly(["dev"]))
    builds.build_channel(channel)
    assert listed("demo") == listed("demo", "run_exports.json") == set()
    assert listed("demo/label/dev") == listed("demo/label/dev", "run_exports.json") == {one.file_name, two.file_name}
    assert not channel.packages.exclude(latest_version="").exists()


def test_change_of_one_label_leaves_the_other_indexes_as_they_are(channel: Channel, actor: Actor) -> None:
    one, two = make_artifact(channel), make_artifact(channel, "other")
    artifact_labels.edit_selection(
        actor=actor, channel=channel, selection=files(channel), edit=edits.exactly(["main", "dev", "old"])
    )
    builds.build_channel(channel)
    before = dict(channel.indexes.filter(subdir__endswith="noarch").values_list("label", "builds"))
    artifact_labels.change_selection(
        actor=actor, channel=channel, selection=files(channel).filter(pk=one.pk), remove=["dev"]
    )
    removal.yank(actor=actor, artifact=two, reason="")
    stale = [index.label for index in channel.indexes.filter(subdir__endswith="noarch") if not index.is_current]
    assert sorted(stale) == ["", "dev", "old"]
    builds.build_channel(channel)
    assert listed("demo/label/dev") == set()
    assert listed("demo/label/old") == listed("demo") == {one.file_name}
    artifact_labels.change_selection(
        actor=actor, channel=channel, selection=files(channel).filter(pk=one.pk), remove=["old"]
    )
    builds.build_channel(channel)
    after = dict(channel.indexes.filter(subdir__endswith="noarch").values_list("label", "builds"))
    assert {name: after[name] - before[name] for name in after} == {"": 1, "dev": 1, "old": 2}


def test_change_of_labels_is_an_event_of_each_file(channel: Channel, actor: Actor) -> None:
    artifact = make_artifact(channel)
    artifact_labels.change_selection(
        actor=actor, channel=channel, selection=files(channel), add=["dev"], remove=["main"]
    )
    created, changed = AuditEvent.objects.filter(action__contains="label").order_by("pk")
    assert (created.action, created.target) == (Action.LABEL_CREATE, "dev")
    assert (changed.action, changed.target) == (Action.ARTIFACT_LABEL, f"noarch/{artifact.file_name}")
    assert changed.detail == {"labels": {"from": ["main"], "to": ["dev"]}}


def test_change_without_effect_returns_no_file_and_no_event(channel: Channel, actor: Actor) -> None:
    make_artifact(channel)
    assert artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), add=["main"]) == []
    assert not AuditEvent.objects.filter(action__contains="label").exists()


def test_last_label_of_a_file_is_not_removed(channel: Channel, actor: Actor) -> None:
    make_artifact(channel)
    with refused(409, "last_label"):
        artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), remove=["main"])
    with refused(409, "last_label"):
        artifact_labels.edit_selection(actor=actor, channel=channel, selection=files(channel), edit=edits.exactly([]))


@pytest.mark.parametrize("name", ["", "a b", "-dev", "../x", "é", "a/b", ".", "x" * 65, "DEV"])
def test_bad_label_is_refused(channel: Channel, actor: Actor, name: str) -> None:
    with refused(422, "bad_label"):
        labels.create(actor=actor, channel=channel, name=name)


def test_labels_of_a_request_are_split_and_in_lower_case() -> None:
    assert names.parsed(["dev,Main", " rc1 ", "", "dev"]) == ("dev", "main", "rc1")
    with refused(422, "bad_label"):
        names.parsed(["dev,a b"])
    with refused(422, "too_many_labels"):
        names.parsed([",".join(f"l{number}" for number in range(51))])


def test_created_label_is_an_empty_channel(channel: Channel, actor: Actor) -> None:
    labels.create(actor=actor, channel=channel, name="dev")
    builds.build_channel(channel)
    assert listed("demo/label/dev") == set()
    for name in ("dev", "main"):
        with refused(409, "label_exists"):
            labels.create(actor=actor, channel=channel, name=name)


def test_labels_of_a_channel_are_limited(channel: Channel, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "LABELS_MAX", 1)
    make_artifact(channel)
    labels.create(actor=actor, channel=channel, name="dev")
    with refused(409, "labels_limit"):
        artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), add=["dev", "rc"])
    with refused(409, "labels_limit"):
        artifact_labels.planned(
            actor=actor, channel=channel, selection=files(channel), edit=edits.change(["dev", "rc"], [])
        )


def test_contributor_adds_labels_and_removes_none(channel: Channel, actor: Actor) -> None:
    make_artifact(channel)
    carla = make_user("carla")
    make_member(channel, carla, Role.CONTRIBUTOR)
    theirs = Actor(user=carla)
    artifact_labels.change_selection(actor=theirs, channel=channel, selection=files(channel), add=["dev"])
    for act in (
        lambda: artifact_labels.change_selection(
            actor=theirs, channel=channel, selection=files(channel), remove=["dev"]
        ),
        lambda: artifact_labels.edit_selection(
            actor=theirs, channel=channel, selection=files(channel), edit=edits.exactly(["dev"])
        ),
        lambda: labels.delete(actor=theirs, channel=channel, name="dev"),
        lambda: labels.change_expiry(actor=theirs, channel=channel, name="dev", expires_at=None),
    ):
        with refused(403, "role_missing"):
            act()


def test_key_for_other_names_changes_no_label(channel: Channel, olga: User) -> None:
    make_artifact(channel)
    make_key(olga, scopes=(Permission.UPLOAD, Permission.DELETE), package_globs=["other*"])
    limited = Actor(user=olga, key=ApiKey.objects.get())
    with refused(403, "name_not_allowed"):
        artifact_labels.change_selection(actor=limited, channel=channel, selection=files(channel), add=["dev"])
    artifact_labels.edit_selection(
        actor=Actor(user=olga), channel=channel, selection=files(channel), edit=edits.exactly(["main", "dev"])
    )
    with refused(403, "name_not_allowed"):
        labels.delete(actor=limited, channel=channel, name="dev")
    with refused(403, "name_not_allowed"):
        labels.change_expiry(actor=limited, channel=channel, name="dev", expires_at=None)


def test_label_of_too_many_files_is_deleted_by_its_end(
    channel: Channel, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "SELECTION_MAX", 2)
    for name in ("one", "two", "three"):
        artifact_labels.edit_selection(
            actor=actor,
            channel=channel,
            selection=files(channel).filter(pk=make_artifact(channel, name).pk),
            edit=edits.exactly(["dev"]),
        )
    with refused(422, "selection_too_large"):
        labels.delete(actor=actor, channel=channel, name="dev", with_files=True)
    Label.objects.filter(name="dev").update(expires_at=timezone.now())
    labels.delete_expired()
    assert not Label.objects.filter(name="dev").exists()
    assert set(files(channel).values_list("removal", flat=True)) == {Removal.DELETED}


def test_stranger_changes_no_label(channel: Channel) -> None:
    stranger = Actor(user=make_user("sam"))
    make_artifact(channel)
    for act in (
        lambda: labels.create(actor=stranger, channel=channel, name="dev"),
        lambda: artifact_labels.change_selection(
            actor=stranger, channel=channel, selection=files(channel), add=["dev"]
        ),
    ):
        with refused(403, "no_access"):
            act()


def test_deleted_label_takes_its_index_along(channel: Channel, actor: Actor) -> None:
    artifact = make_artifact(channel)
    artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), add=["dev"])
    builds.build_channel(channel)
    labels.delete(actor=actor, channel=channel, name="dev")
    old_indexes.remove_old_indexes()
    assert not list(store().list("demo/label/"))
    assert not channel.indexes.exclude(label="").exists()
    assert listed("demo") == {artifact.file_name}


def test_label_that_is_created_again_begins_empty(channel: Channel, actor: Actor) -> None:
    make_artifact(channel)
    artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), add=["dev"])
    builds.build_channel(channel)
    labels.delete(actor=actor, channel=channel, name="dev")
    labels.create(actor=actor, channel=channel, name="dev")
    old_indexes.remove_old_indexes()
    builds.build_channel(channel)
    assert listed("demo/label/dev") == set()


def test_label_of_files_without_another_is_deleted_only_with_them(channel: Channel, actor: Actor) -> None:
    artifact = make_artifact(channel)
    artifact_labels.edit_selection(actor=actor, channel=channel, selection=files(channel), edit=edits.exactly(["dev"]))
    with refused(409, "last_label"):
        labels.delete(actor=actor, channel=channel, name="dev")
    labels.delete(actor=actor, channel=channel, name="dev", with_files=True)
    artifact.refresh_from_db()
    assert artifact.removal == Removal.DELETED
    with refused(409, "no_label"):
        removal.restore(actor=actor, artifact=artifact)
    artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), add=["main"])
    removal.restore(actor=actor, artifact=artifact)
    builds.build_channel(channel)
    assert listed("demo") == {artifact.file_name}


def test_expired_label_goes_with_files_that_have_no_other(channel: Channel, actor: Actor) -> None:
    gone, kept = make_artifact(channel), make_artifact(channel, "other")
    soon = timezone.now() + timedelta(hours=1)
    labels.create(actor=actor, channel=channel, name="pr-1", expires_at=soon)
    artifact_labels.edit_selection(actor=actor, channel=channel, selection=files(channel), edit=edits.exactly(["pr-1"]))
    artifact_labels.change_selection(
        actor=actor, channel=channel, selection=files(channel).filter(pk=kept.pk), add=["main"]
    )
    labels.delete_expired()
    assert Label.objects.filter(name="pr-1").exists()
    Label.objects.update(expires_at=timezone.now())
    labels.delete_expired()
    gone.refresh_from_db()
    kept.refresh_from_db()
    assert (gone.removal, gone.removal_reason, kept.removal) == (Removal.DELETED, "Its label 'pr-1' expired", "")
    event = AuditEvent.objects.get(action=Action.LABEL_EXPIRE)
    assert (event.target, event.detail) == ("pr-1", {"by": "The hub", "fields": {"files": "2"}})
    builds.build_channel(channel)
    old_indexes.remove_old_indexes()
    assert listed("demo") == {kept.file_name}
    with pytest.raises(NotInStore):
        listed("demo/label/pr-1")


def test_expiry_of_a_label_can_be_changed(channel: Channel, actor: Actor) -> None:
    labels.create(actor=actor, channel=channel, name="pr-1")
    soon = timezone.now() + timedelta(hours=1)
    assert labels.change_expiry(actor=actor, channel=channel, name="pr-1", expires_at=soon).expires_at == soon
    assert AuditEvent.objects.filter(action=Action.LABEL_CHANGE, target="pr-1").count() == 1
    for bad in (timezone.now(), timezone.now() + timedelta(days=400)):
        with refused(422, "bad_expiry"):
            labels.change_expiry(actor=actor, channel=channel, name="pr-1", expires_at=bad)
    with refused(404, "no_such_label"):
        labels.change_expiry(actor=actor, channel=channel, name="main", expires_at=soon)


def test_channel_without_labels_has_indexes_of_its_own_alone(channel: Channel) -> None:
    make_artifact(channel)
    builds.build_channel(channel)
    assert set(SubdirIndex.objects.values_list("label", "has_labels")) == {("", False)}


def test_release_before_marks_the_index_of_its_channel_alone(channel: Channel, actor: Actor) -> None:
    """Use the statement with which processes of the release before go on during an upgrade."""
    make_artifact(channel)
    artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), add=["dev"])
    builds.build_channel(channel)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO publishing_subdirindex AS mine (channel_id, subdir, requested_revision, requested_at, "
            "built_revision, builds, etag, current_etag) VALUES (%s, 'noarch', 1, NULL, 0, 0, '', '') "
            "ON CONFLICT (channel_id, subdir) DO UPDATE SET requested_revision = mine.requested_revision + 1",
            [channel.pk],
        )
    assert [index.label for index in channel.indexes.exclude(subdir="") if not index.is_current] == [""]
    assert sorted(channel.indexes.values_list("subdir", flat=True)) == ["", "label/dev/noarch", "noarch"]


def test_labels_of_another_channel_are_not_shared(channel: Channel, actor: Actor, olga: User) -> None:
    make_artifact(channel)
    artifact_labels.change_selection(actor=actor, channel=channel, selection=files(channel), add=["dev"])
    other = make_channel("other", owner=olga)
    assert not queries.of_channel(other).exists()
    with pytest.raises(HubError):
        queries.label_of(other, "dev")
