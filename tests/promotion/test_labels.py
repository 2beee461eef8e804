"""Promotions into a label of the target."""

import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import ApiKey, AuditEvent, Channel, Label, Removal, Role, User
from hub.storage import store
from publishing.labels import artifact_labels, edits, labels, queries
from publishing.models import Promotion, PromotionState, Reservation, SubdirIndex
from publishing.promotion import approvals, copying, promotions, records, rollback, rules
from publishing.promotion import queries as promotion_queries
from publishing.removal import removal
from tests.builders import make_artifact, make_channel, make_key, make_member
from tests.pages import signed_in
from tests.promotion.calls import promote, refusal
from tests.promotion.test_promotions import ALL, Killed, indexed
from tests.rest.calls import by_key, code
from tests.sample_channel import build_index, found, read
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db


def labels_of(channel: Channel) -> dict[str, set[str]]:
    """Return file name → labels of the channel's files that are not deleted."""
    artifacts = list(channel.artifacts.exclude(removal=Removal.DELETED).order_by("file_name"))
    names = queries.names_of(artifacts)
    return {artifact.file_name: set(names[artifact.pk]) for artifact in artifacts}


def listed(channel: Channel, label: str) -> list[str]:
    """Return the file names in the index of the label."""
    build_index(channel)
    return sorted(json.loads(read(f"{channel}/label/{label}/noarch/repodata.json"))["packages.conda"])


def names_in(channel: Channel) -> list[str]:
    return sorted(channel.artifacts.filter(removal=Removal.NONE).values_list("file_name", flat=True))


def revisions(channel: Channel) -> dict[str, int]:
    """Return the label of each index of noarch → its number of changes."""
    found = SubdirIndex.objects.filter(channel=channel, subdir__endswith="noarch")
    return dict(found.values_list("label", "requested_revision"))


def rolled_back(promotion: Promotion, by: User) -> None:
    rollback.roll_back(actor=Actor(user=by), promotion=promotion)


def test_new_files_get_exactly_the_label(staging: Channel, channel: Channel, olga: User) -> None:
    promotion = promote(staging, channel, olga, label="rc")
    assert (promotion.state, promotion.label) == (PromotionState.DONE, "rc")
    assert labels_of(channel) == {name: {"rc"} for name in ALL}
    assert (listed(channel, "rc"), indexed(channel)) == (ALL, [])
    assert found(channel, is_hashed=True) == []
    events = AuditEvent.objects.filter(channel=channel, action="artifact.promote")
    assert [event.detail["labels"] for event in events] == [{"to": ["rc"]}] * 3
    assert AuditEvent.objects.filter(channel=channel, action="label.create", target="rc", actor=olga).count() == 1


def test_present_files_get_the_label_in_addition(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga, {"version": "1.0"})
    promotion = promote(staging, channel, olga, label="rc")
    assert dict(promotion.files.values_list("file_name", "change")) == {
        ALL[0]: "labeled",
        ALL[1]: "labeled",
        ALL[2]: "new",
    }
    assert labels_of(channel) == {ALL[0]: {"main", "rc"}, ALL[1]: {"main", "rc"}, ALL[2]: {"rc"}}
    assert (listed(channel, "rc"), indexed(channel)) == (ALL, ALL[:2])
    events = AuditEvent.objects.filter(channel=channel, action="artifact.label")
    assert {(event.target, event.detail["promotion"]) for event in events} == {
        (f"noarch/{name}", promotion.pk) for name in ALL[:2]
    }
    assert events[0].detail["labels"] == {"from": ["main"], "to": ["main", "rc"]}
    again = promote(staging, channel, olga, label="rc")
    assert (again.state, again.files.count()) == (PromotionState.DONE, 0)
    promote(staging, channel, olga)
    assert labels_of(channel) == {name: {"main", "rc"} for name in ALL}


def test_promotion_into_a_label_is_one_change_of_its_index(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga, {"version": "2.0"})
    labels.create(actor=Actor(user=olga), channel=channel, name="rc")
    before = revisions(channel)
    promotion = promote(staging, channel, olga, label="rc")
    assert revisions(channel) == before | {"rc": before["rc"] + 1}
    build_index(channel)
    rolled_back(promotion, olga)
    assert listed(channel, "rc") == []


def test_rollback_takes_the_label_and_deletes_new_files(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga, {"version": "1.0"})
    promotion = promote(staging, channel, olga, label="rc", is_move=True)
    assert names_in(staging) == []
    rolled_back(promotion, olga)
    assert labels_of(channel) == {ALL[0]: {"main"}, ALL[1]: {"main"}}
    assert (listed(channel, "rc"), indexed(channel), indexed(staging)) == ([], ALL[:2], ALL)


def test_rollback_that_would_take_the_last_label_is_refused(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga, {"version": "1.0"})
    promotion = promote(staging, channel, olga, label="rc")
    sole = channel.artifacts.filter(file_name=ALL[0])
    artifact_labels.edit_selection(actor=Actor(user=olga), channel=channel, selection=sole, edit=edits.exactly(["rc"]))
    assert refusal(lambda: rolled_back(promotion, olga)) == (409, "last_label")
    assert labels_of(channel) == {ALL[0]: {"rc"}, ALL[1]: {"main", "rc"}, ALL[2]: {"rc"}}
    removal.delete(actor=Actor(user=olga), artifact=channel.artifacts.get(file_name=ALL[0]), reason="")
    rolled_back(promotion, olga)
    assert labels_of(channel) == {ALL[1]: {"main"}}


def test_origin_of_a_labeled_file_is_the_promotion_that_published_it(
    staging: Channel, channel: Channel, olga: User
) -> None:
    first = promote(staging, channel, olga, {"version": "2.0"})
    promote(staging, channel, olga, {"version": "2.0"}, label="rc")
    assert promotion_queries.origin(channel.artifacts.get()) == first


def test_restored_and_replaced_files_have_the_label_alone(staging: Channel, channel: Channel, olga: User) -> None:
    Channel.objects.filter(pk=channel.pk).update(allow_overwrite=True)
    channel.refresh_from_db()
    promote(staging, channel, olga, {"version": "1.0"}, label="old")
    removal.delete(actor=Actor(user=olga), artifact=channel.artifacts.get(file_name=ALL[0]), reason="")
    channel.artifacts.filter(file_name=ALL[1]).update(sha256="0" * 64)
    promotion = promote(staging, channel, olga, {"version": "1.0"}, label="rc", replaces=True)
    assert set(promotion.files.values_list("change", flat=True)) == {"restored", "replaced"}
    assert labels_of(channel) == {name: {"rc"} for name in ALL[:2]}
    assert (listed(channel, "rc"), listed(channel, "old"), indexed(channel)) == (ALL[:2], [], [])


@pytest.mark.parametrize(
    "place", [(labels, "ensure"), (copying, "copy_files"), (copying, "put_sidecars"), (records, "record")]
)
def test_killed_promotion_is_completed_in_its_label(
    staging: Channel, channel: Channel, olga: User, place: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    promote(staging, channel, olga, {"version": "2.0"})
    with monkeypatch.context() as patched:
        patched.setattr(*place, kill)
        with pytest.raises(Killed):
            promote(staging, channel, olga, label="rc")
    Promotion.objects.update(started_at=timezone.now() - promotions.ABANDONED_AFTER)
    promotions.finish_abandoned()
    assert set(Promotion.objects.values_list("state", flat=True)) == {PromotionState.DONE}
    assert labels_of(channel) == {ALL[0]: {"rc"}, ALL[1]: {"rc"}, ALL[2]: {"main", "rc"}}
    assert listed(channel, "rc") == ALL
    assert not Reservation.objects.exists()


def requested_label(staging: Channel, channel: Channel, olga: User, max_: User) -> Promotion:
    """Return Olga's request for the label `rc` of files that the channel has. Max may approve it."""
    promote(staging, channel, olga)
    for where in (staging, channel):
        make_member(where, max_, Role.MAINTAINER)
    rules.save(actor=Actor(user=olga), channel=channel, source="*", needs="upload", needs_approval=True)
    return promote(staging, channel, olga, label="rc")


def test_label_of_present_files_waits_for_a_second_person(
    staging: Channel, channel: Channel, olga: User, max_: User
) -> None:
    promotion = requested_label(staging, channel, olga, max_)
    assert promotion.state == PromotionState.WAITING
    assert not Label.objects.exists()
    approvals.approve(actor=Actor(user=max_), promotion=promotion)
    assert labels_of(channel) == {name: {"main", "rc"} for name in ALL}


def test_file_that_is_purged_before_the_approval_is_copied(
    staging: Channel, channel: Channel, olga: User, max_: User
) -> None:
    """Its bytes were not copied: the request had found them in the channel."""
    promotion = requested_label(staging, channel, olga, max_)
    removal.delete(actor=Actor(user=olga), artifact=channel.artifacts.get(file_name=ALL[0]), reason="")
    channel.artifacts.filter(file_name=ALL[0]).update(removed_at=timezone.now() - timedelta(days=99))
    removal.purge_deleted()
    approvals.approve(actor=Actor(user=max_), promotion=promotion)
    assert dict(promotion.files.values_list("file_name", "change"))[ALL[0]] == "restored"
    assert labels_of(channel)[ALL[0]] == {"rc"}
    build_index(channel)
    assert found(channel, is_hashed=True) == []


def test_attestation_is_required_of_new_files_in_a_label(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga, {"version": "1.0"})
    Channel.objects.filter(pk=channel.pk).update(require_attestation=True)
    channel.refresh_from_db()
    assert refusal(lambda: promote(staging, channel, olga, label="rc")) == (422, "attestation_missing")
    promote(staging, channel, olga, {"version": "1.0"}, label="rc")
    assert labels_of(channel) == {name: {"main", "rc"} for name in ALL[:2]}


def test_contributor_promotes_into_a_label_by_the_names_of_the_key(
    staging: Channel, channel: Channel, sam: User
) -> None:
    make_member(staging, sam, Role.VIEWER), make_member(channel, sam, Role.CONTRIBUTOR)
    make_key(sam, package_globs=["tool"])
    actor = Actor(user=sam, key=ApiKey.objects.get())
    assert refusal(lambda: promote(staging, channel, actor, label="rc")) == (403, "name_not_allowed")
    assert not Label.objects.exists()
    promote(staging, channel, actor, {"package__name": "tool"}, label="rc")
    assert labels_of(channel) == {name: {"rc"} for name in ALL[1:]}


@pytest.mark.parametrize("label", ["", "a b", "x" * 65])
def test_bad_label_is_refused(staging: Channel, channel: Channel, olga: User, label: str) -> None:
    assert refusal(lambda: promote(staging, channel, olga, label=label)) == (422, "bad_label")
    assert not Promotion.objects.exists()


def test_label_beyond_the_limit_is_refused_by_the_preview(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "LABELS_MAX", 0)
    new = {"from": "staging", "filter": {"name": "tool"}, "label": "rc", "dry_run": True}
    assert code(by_key(olga, "read", "upload").post("channels/demo/promotions", new)) == (409, "labels_limit")
    form = {"name": "tool", "target": "demo", "label": "rc", "action": "preview"}
    answer = signed_in(olga).post("/channels/staging/promote", form)
    assert (answer.status_code, "can have 0 labels at most" in answer.content.decode()) == (422, True)
    assert refusal(lambda: promote(staging, channel, olga, label="rc")) == (409, "labels_limit")
    assert not Promotion.objects.exists()


def test_file_beyond_its_labels_is_refused_by_the_preview(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(staging, channel, olga, {"version": "1.0"})
    monkeypatch.setattr(artifact_labels, "FILE_LABELS_MAX", 1)
    new = {"from": "staging", "filter": {"version": "1.0"}, "label": "rc", "dry_run": True}
    files = by_key(olga, "read", "upload").post("channels/demo/promotions", new).json()["files"]
    assert [file["code"] for file in files] == ["labels_limit"] * 2
    assert refusal(lambda: promote(staging, channel, olga, label="rc"))[0] == 409
    assert not Label.objects.exists()
    promote(staging, channel, olga, {"version": "2.0"}, label="rc")


def test_label_beyond_the_limit_meanwhile_undoes_the_promotion(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = promotions.start

    def start_and_fill(*arguments: Any) -> Any:
        monkeypatch.setattr(labels, "LABELS_MAX", 0)
        return reserve(*arguments)

    monkeypatch.setattr(promotions, "start", start_and_fill)
    assert refusal(lambda: promote(staging, channel, olga, label="rc")) == (409, "labels_limit")
    assert Promotion.objects.get().state == PromotionState.FAILED
    assert not Reservation.objects.exists()


def test_label_that_is_deleted_meanwhile_undoes_the_promotion(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure = labels.ensure

    def ensure_and_delete(**arguments: Any) -> None:
        ensure(**arguments)
        labels.delete(actor=Actor(user=olga), channel=channel, name="rc")

    monkeypatch.setattr(labels, "ensure", ensure_and_delete)
    assert refusal(lambda: promote(staging, channel, olga, label="rc")) == (409, "label_deleted")
    assert not channel.artifacts.exists()
    assert [key for key in store().list("demo/") if key.endswith(".conda")] == []


def test_promotion_into_a_label_makes_a_constant_number_of_queries(channel: Channel, olga: User) -> None:
    source, counts = make_channel("many", owner=olga), []
    labels.create(actor=Actor(user=olga), channel=channel, name="rc")
    for label in ("rc", "main"):
        for name, files in (("few", 3), ("many", 30)):
            for number in range(files if label == "rc" else 0):
                store().put(str(make_artifact(source, name, f"1.{number}", size_bytes=1)), b"x")
            with CaptureQueriesContext(connection) as captured:
                promote(source, channel, olga, {"package__name": name}, label=label)
            counts.append(len(captured))
    assert (counts[1] <= counts[0], counts[3] <= counts[2]) == (True, True), counts


@pytest.mark.django_db(transaction=True)
def test_promotions_into_a_new_label_at_once_create_it_once(
    staging: Channel, channel: Channel, olga: User, tmp_path: Path
) -> None:
    def into(name: str) -> str:
        return str(promote(staging, channel, olga, {"package__name": name}, label="rc").state)

    with shared_database(tmp_path):
        states = at_once(partial(into, "tool"), partial(into, "lib"))
        [after] = at_once(partial(labels_of, channel))
    assert (states, after) == (["done", "done"], {name: {"rc"} for name in ALL})
