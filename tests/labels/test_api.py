"""The REST API of labels: those of a channel, of an artifact, and of selections."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels_app.models import Artifact, AuditEvent, Channel, Label, Removal, Role, User
from publishing.labels import queries
from publishing.models import SubdirIndex
from tests.builders import make_artifact, make_channel, make_label, make_member, make_user
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db
LABELS = "channels/demo/labels"
FILE = "channels/demo/artifacts/noarch/demo-1.0-0.conda"
CHANGES = "channels/demo/label-changes"


@pytest.fixture
def caller(channel: Channel, olga: User) -> Caller:
    return by_key(olga, "read", "upload", "delete")


def changed(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200, answer.content
    return {each["file_name"]: each["labels"] for each in answer.json()["files"]}


def test_label_is_created_listed_and_deleted(channel: Channel, olga: User) -> None:
    soon = (timezone.now() + timedelta(days=3)).isoformat()
    for caller in (by_session(olga), by_key(olga, "read", "upload", "delete")):
        created = caller.post(LABELS, {"name": "pr-1", "expires_at": soon})
        assert created.status_code == 201
        assert created.json()["url"].endswith("/demo/label/pr-1")
        assert (created.json()["artifact_count"], created.json()["created_by"]) == (0, "olga")
        path = created.headers["Location"].removeprefix("/api/v1/")
        assert caller.get(LABELS).json()["items"] == [caller.get(path).json()] == [created.json()]
        assert caller.delete(path).status_code == 204
        assert code(caller.get(path)) == (404, "no_such_label")


def test_label_counts_the_files_of_its_index(channel: Channel, caller: Caller) -> None:
    make_artifact(channel, size_bytes=10)
    make_artifact(channel, "other", size_bytes=30)
    make_artifact(channel, "gone", removal=Removal.YANKED)
    make_label(channel, "empty")
    make_label(channel, "dev").artifacts.set(Artifact.objects.all())
    counts = {each["name"]: (each["artifact_count"], each["size_bytes"]) for each in caller.get(LABELS).json()["items"]}
    assert counts == {"dev": (2, 40), "empty": (0, 0)}


def test_bad_label_is_refused(channel: Channel, caller: Caller) -> None:
    make_label(channel, "dev")
    assert code(caller.post(LABELS, {"name": "a b"})) == (422, "bad_label")
    assert code(caller.post(LABELS, {"name": "dev"})) == (409, "label_exists")
    assert code(caller.post(LABELS, {"name": "old", "expires_at": "2020-01-01"})) == (422, "bad_expiry")
    assert [label.name for label in Label.objects.all()] == ["dev"]


def test_expiry_is_changed_unless_the_etag_is_old(channel: Channel, caller: Caller) -> None:
    make_label(channel, "dev")
    etag = caller.get(f"{LABELS}/dev").headers["ETag"]
    soon = (timezone.now() + timedelta(days=3)).replace(microsecond=0)
    answer = caller.patch(f"{LABELS}/dev", {"expires_at": soon.isoformat()}, **{"If-Match": etag})
    assert (answer.status_code, Label.objects.get().expires_at) == (200, soon)
    answer = caller.patch(f"{LABELS}/dev", {"expires_at": None}, **{"If-Match": etag})
    assert code(answer) == (412, "changed_meanwhile")
    assert caller.patch(f"{LABELS}/dev", {"expires_at": None}).json()["expires_at"] is None
    assert code(caller.patch(f"{LABELS}/dev", {})) == (422, "invalid_value")


def test_label_of_files_without_another_is_deleted_with_them_on_request(channel: Channel, caller: Caller) -> None:
    artifact = make_artifact(channel, is_main=False)
    make_label(channel, "dev").artifacts.add(artifact)
    assert code(caller.delete(f"{LABELS}/dev")) == (409, "last_label")
    assert caller.delete(f"{LABELS}/dev?with_files=true").status_code == 204
    artifact.refresh_from_db()
    assert artifact.removal == Removal.DELETED


def test_artifact_names_its_labels(channel: Channel, caller: Caller) -> None:
    make_artifact(channel)
    assert caller.get(FILE).json()["labels"] == ["main"]
    assert caller.patch(f"{FILE}/labels", {"add": ["rc", "dev"]}).json()["labels"] == ["main", "dev", "rc"]
    assert caller.patch(f"{FILE}/labels", {"remove": ["main"]}).json()["labels"] == ["dev", "rc"]
    assert caller.patch(f"{FILE}/labels", {"labels": ["main"]}).json()["labels"] == ["main"]
    assert caller.get("channels/demo/artifacts").json()["items"][0]["labels"] == ["main"]
    [file] = caller.get("channels/demo/packages/demo/versions/1.0").json()["artifacts"]
    assert file["labels"] == ["main"]
    assert code(caller.patch(f"{FILE}/labels", {"remove": ["main"]})) == (409, "last_label")
    assert code(caller.patch(f"{FILE}x/labels", {"add": ["dev"]})) == (404, "no_such_file")


@pytest.mark.parametrize(
    "body", [{}, {"labels": []}, {"add": ["a"], "labels": ["b"]}, {"add": ["a"], "removes": ["b"]}]
)
def test_change_of_no_clear_kind_is_refused(channel: Channel, caller: Caller, body: dict[str, Any]) -> None:
    make_artifact(channel)
    assert code(caller.patch(f"{FILE}/labels", body)) == (422, "invalid_value")


def test_selection_changes_as_its_dry_run_says(channel: Channel, caller: Caller) -> None:
    one, two = make_artifact(channel), make_artifact(channel, "other")
    make_label(channel, "dev").artifacts.add(two)
    body = {"filter": {"subdir": "noarch"}, "add": ["dev"]}
    plan = caller.post(CHANGES, body | {"dry_run": True})
    assert changed(plan) == {one.file_name: ["dev", "main"]}
    assert queries.names_of([one])[one.pk] == {"main"}
    make_artifact(channel, "third")
    body |= {"fingerprint": plan.json()["fingerprint"]}
    assert code(caller.post(CHANGES, body)) == (409, "selection_changed")
    body |= {"fingerprint": caller.post(CHANGES, body | {"dry_run": True}).json()["fingerprint"]}
    assert len(changed(caller.post(CHANGES, body))) == 2
    assert queries.names_of([one, two]) == {one.pk: {"main", "dev"}, two.pk: {"main", "dev"}}


def test_selection_by_label_moves_files_with_one_change_for_each_index(channel: Channel, caller: Caller) -> None:
    for version in ("1.0", "1.1"):
        make_label(channel, "dev").artifacts.add(make_artifact(channel, version=version, is_main=False))
    make_artifact(channel, "other")
    before = dict(SubdirIndex.objects.filter(subdir__endswith="noarch").values_list("label", "requested_revision"))
    answer = caller.post(CHANGES, {"filter": {"label": "dev"}, "add": ["main"], "remove": ["dev"]})
    assert changed(answer) == {"demo-1.0-0.conda": ["main"], "demo-1.1-0.conda": ["main"]}
    after = dict(SubdirIndex.objects.filter(subdir__endswith="noarch").values_list("label", "requested_revision"))
    assert {label: after[label] - before.get(label, 0) for label in after} == {"": 1, "dev": 1}
    assert caller.get("channels/demo/artifacts?label=dev").json()["items"] == []
    assert len(caller.get("channels/demo/artifacts?label=main").json()["items"]) == 3


def test_contributor_adds_labels_and_removes_none(channel: Channel, olga: User) -> None:
    make_artifact(channel)
    carla = make_user("carla")
    make_member(channel, carla, Role.CONTRIBUTOR)
    caller = by_session(carla)
    assert caller.patch(f"{FILE}/labels", {"add": ["dev"]}).status_code == 200
    for answer in (
        caller.patch(f"{FILE}/labels", {"remove": ["dev"]}),
        caller.patch(f"{FILE}/labels", {"labels": ["dev"]}),
        caller.patch(f"{LABELS}/dev", {"expires_at": None}),
        caller.delete(f"{LABELS}/dev"),
    ):
        assert code(answer) == (403, "role_missing")


def test_dry_run_lists_files_only_for_readers(channel: Channel, olga: User) -> None:
    make_artifact(channel)
    body = {"filter": {"name": "demo"}, "add": ["dev"], "dry_run": True}
    assert code(by_key(olga, "upload").post(CHANGES, body)) == (403, "scope_missing")
    assert not AuditEvent.objects.filter(action="artifact.label").exists()


def test_label_of_another_channel_is_not_found(channel: Channel, sam: User) -> None:
    make_label(channel, "dev")
    make_channel("sams", owner=sam)
    caller = by_session(sam)
    path = "channels/sams/labels/dev"
    for answer in (caller.get(path), caller.patch(path, {"expires_at": None}), caller.delete(path)):
        assert code(answer) == (404, "no_such_label")


def test_file_beyond_its_50_labels_is_refused_and_may_lose_some(channel: Channel, caller: Caller) -> None:
    make_artifact(channel)
    assert caller.patch(f"{FILE}/labels", {"add": [f"l{number}" for number in range(49)]}).status_code == 200
    for add in (["new"], ["l1", "new"]):
        assert code(caller.patch(f"{FILE}/labels", {"add": add})) == (409, "labels_limit")
    for dry_run in (True, False):
        change = {"filter": {"name": "demo"}, "add": ["new"], "dry_run": dry_run}
        assert code(caller.post(CHANGES, change)) == (409, "labels_limit")
    assert not Label.objects.filter(name="new").exists()
    assert caller.patch(f"{FILE}/labels", {"add": ["new"], "remove": ["l1"]}).status_code == 200
    assert len(caller.get(FILE).json()["labels"]) == 50


def test_file_with_more_than_50_labels_may_lose_some(channel: Channel, caller: Caller) -> None:
    artifact = make_artifact(channel)
    for number in range(60):
        make_label(channel, f"l{number}").artifacts.add(artifact)
    assert code(caller.patch(f"{FILE}/labels", {"add": ["new"], "remove": ["l1"]})) == (409, "labels_limit")
    assert caller.patch(f"{FILE}/labels", {"remove": ["l1"]}).status_code == 200
