"""Labels beside other acts: waiting, promotions, verification, patches, relations and deleted channels."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Label, User
from channels_app.packages import queries
from hub.storage import store
from publishing import housekeeping, tasks
from publishing.index import builds
from publishing.labels import artifact_labels, edits, labels
from publishing.labels import queries as queries_of_labels
from publishing.models import SubdirIndex
from publishing.patches import patches
from publishing.patches.rules import NewRule
from publishing.promotion import promotions
from publishing.promotion.plan import Wanted
from publishing.relations import relations
from publishing.removal import removal
from publishing.verification import repairs, verification
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel
from tests.rest.calls import by_key, code
from tests.sample_channel import found, publish, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def actor(olga: User) -> Actor:
    return Actor(user=olga)


@pytest.fixture
def labeled(channel: Channel, actor: Actor, olga: User, tmp_path: Path) -> Artifact:
    """Publish `tool` with the label dev alone, and build all indexes."""
    artifact = publish(channel, olga, make_conda(tmp_path, name="tool"))
    artifact_labels.edit_selection(
        actor=actor, channel=channel, selection=channel.artifacts.all(), edit=edits.exactly(["dev"])
    )
    builds.open_channel(channel)
    builds.build_channel(channel)
    artifact.refresh_from_db()
    return artifact


def in_index(folder: str, name: str = "repodata.json") -> Any:
    return json.loads(read(f"{folder}/noarch/{name}"))


def test_wait_for_a_file_of_a_label_waits_for_the_index_of_the_label(
    channel: Channel, actor: Actor, olga: User, labeled: Artifact
) -> None:
    caller, path = by_key(olga, "read"), f"channels/demo/wait?sha256={labeled.sha256}"
    assert [file["file_name"] for file in caller.get(path).json()["files"]] == [labeled.file_name]
    artifact_labels.change_selection(
        actor=actor, channel=channel, selection=channel.artifacts.all(), add=["rc", "main"]
    )
    assert code(caller.get(path)) == (408, "not_indexed_yet")
    builds.build_until_current(channel.indexes.get(subdir="noarch", label="").pk)
    assert code(caller.get(path)) == (408, "not_indexed_yet")
    builds.build_channel(channel)
    assert [file["label"] for file in caller.get(path).json()["files"]] == ["dev", "main", "rc"]


def test_indexes_of_labels_are_listed_until_the_label_is_deleted(
    channel: Channel, actor: Actor, olga: User, labeled: Artifact
) -> None:
    def listed(query: str = "") -> list[tuple[str, str, bool]]:
        answer = by_key(olga, "read").get(f"channels/demo/indexes{query}").json()["items"]
        return [(each["label"], each["subdir"], each["is_current"]) for each in answer]

    assert listed() == [("main", "", True), ("dev", "noarch", True), ("main", "noarch", True)]
    artifact_labels.change_selection(actor=actor, channel=channel, selection=channel.artifacts.all(), add=["rc"])
    assert (listed("?label=dev"), listed("?label=rc")) == ([("dev", "noarch", True)], [("rc", "noarch", False)])
    assert listed("?label=main") == [("main", "", True), ("main", "noarch", True)]
    labels.delete(actor=actor, channel=channel, name="dev")
    assert channel.indexes.filter(label="dev").exists()
    assert listed("?label=dev") == []


def test_promotion_of_a_labeled_file_arrives_in_main(actor: Actor, olga: User, labeled: Artifact) -> None:
    target = make_channel("target", owner=olga)
    selection = labeled.channel.artifacts.all()
    promotions.promote(wanted=Wanted(actor, labeled.channel, target), selection=selection)
    builds.build_channel(target)
    assert set(in_index("target")["packages.conda"]) == {labeled.file_name}
    artifact_labels.edit_selection(
        actor=actor, channel=target, selection=target.artifacts.all(), edit=edits.exactly(["rc"])
    )
    promotions.promote(wanted=Wanted(actor, labeled.channel, target), selection=selection)
    assert set(queries_of_labels.names_of(target.artifacts.all()).values()) == {frozenset({"main", "rc"})}
    removal.delete(actor=actor, artifact=target.artifacts.get(), reason="")
    promotions.promote(wanted=Wanted(actor, labeled.channel, target), selection=selection)
    builds.build_channel(target)
    assert set(in_index("target")["packages.conda"]) == {labeled.file_name}
    assert in_index("target/label/rc")["packages.conda"] == {}


def test_verification_of_labels_finds_no_difference(labeled: Artifact) -> None:
    assert found(labeled.channel, is_hashed=True) == []


def test_verification_repairs_the_index_of_a_label(channel: Channel, labeled: Artifact) -> None:
    key = "demo/label/dev/noarch/repodata.json"
    store().put(key, b"{}")
    differences = verification.verify(channel).differences
    assert [(str(each.kind), each.key, each.place) for each in differences] == [("index", key, ("dev", "noarch"))]
    assert repairs.repair(channel, differences) == []
    assert set(in_index("demo/label/dev")["packages.conda"]) == {labeled.file_name}
    SubdirIndex.objects.filter(label="dev").delete()
    differences = verification.verify(channel).differences
    assert [(each.key, each.place) for each in differences if each.kind == "index"] == [
        ("demo/label/dev/noarch/", ("dev", "noarch"))
    ]
    assert repairs.repair(channel, differences) == []
    assert found(channel) == []


@pytest.mark.usefixtures("labeled")
def test_patch_changes_the_records_of_a_label(channel: Channel, actor: Actor) -> None:
    rule = NewRule(title="why", names=["tool"], changes={"depends": {"add": ["python"]}})
    patches.add(actor=actor, channel=channel, rule=rule)
    builds.build_channel(channel)
    [record] = in_index("demo/label/dev")["packages.conda"].values()
    [original] = in_index("demo/label/dev", "repodata_from_packages.json")["packages.conda"].values()
    assert ("python" in record["depends"], "python" in original["depends"]) == (True, False)


@pytest.mark.usefixtures("labeled")
def test_relations_of_a_label_lead_to_the_same_channels(channel: Channel, actor: Actor, olga: User) -> None:
    make_channel("base", owner=olga)
    relations.change(actor=actor, channel=channel, base="base")
    builds.build_channel(channel)
    assert in_index("demo")["info"]["channel_relations"] == {"base": "../base"}
    assert in_index("demo/label/dev")["info"]["channel_relations"] == {"base": "../../../base"}


def test_yank_and_restore_reach_the_index_of_a_label(channel: Channel, actor: Actor, labeled: Artifact) -> None:
    removal.yank(actor=actor, artifact=labeled, reason="")
    builds.build_channel(channel)
    assert in_index("demo/label/dev")["packages.conda"] == {}
    assert in_index("demo/label/dev")["removed"] == [labeled.file_name]
    assert in_index("demo")["removed"] == []
    removal.restore(actor=actor, artifact=labeled)
    builds.build_channel(channel)
    assert set(in_index("demo/label/dev")["packages.conda"]) == {labeled.file_name}


@pytest.mark.usefixtures("labeled")
def test_job_removes_expired_labels_and_their_files(channel: Channel) -> None:
    Label.objects.update(expires_at=channel.created_at)
    tasks.delete_expired_labels()
    assert not Label.objects.exists()
    assert not list(store().list("demo/label/"))


@pytest.mark.usefixtures("labeled")
def test_label_of_a_deleted_channel_does_not_expire(channel: Channel) -> None:
    Channel.objects.update(deleted_at=channel.created_at)
    Label.objects.update(expires_at=channel.created_at)
    tasks.delete_expired_labels()
    assert Label.objects.exists()


def test_files_outside_main_are_not_news_of_the_channel(channel: Channel, labeled: Artifact) -> None:

    other = make_artifact(channel, "other")
    assert list(queries.newest_in_feed(channel)) == [other]
    assert queries.channel_counts(channel)["artifacts"] == 1
    assert labeled.package.latest_version == ""
    assert not queries.installable(channel).filter(name="tool").exists()


def test_unreadable_record_leaves_the_other_indexes_too(channel: Channel, actor: Actor, labeled: Artifact) -> None:
    artifact_labels.change_selection(
        actor=actor, channel=channel, selection=channel.artifacts.all(), add=["main", "rc"]
    )
    builds.build_channel(channel)
    # As after an update of the parser that refuses it.
    Artifact.objects.update(index_json={"depends": 7})
    builds.rebuild(channel.indexes.get(label="dev"))
    builds.build_channel(channel)
    labeled.refresh_from_db()
    assert labeled.quarantine_reason
    for folder in ("demo", "demo/label/dev", "demo/label/rc"):
        assert in_index(folder)["packages.conda"] == {}, folder


@pytest.mark.usefixtures("labeled")
def test_purge_of_a_channel_removes_its_labels_and_their_indexes(channel: Channel) -> None:
    assert list(store().list("demo/label/"))
    Channel.objects.filter(pk=channel.pk).update(deleted_at=timezone.now() - timedelta(days=365))
    housekeeping.remove_leftovers()
    assert not list(store().list("demo/"))
    models = (Label, SubdirIndex, queries_of_labels.Labeled)
    assert [model.objects.count() for model in models] == [0, 0, 0]


@pytest.mark.usefixtures("labeled")
def test_index_of_a_label_has_its_packages_beside_it() -> None:
    # mamba 2.8.1 downloads a package whose URL has `..`, and then fails.
    for folder in ("demo", "demo/label/dev"):
        index = msgpack.unpackb(zstandard.decompress(read(f"{folder}/noarch/repodata_shards.msgpack.zst")))
        assert index["info"]["base_url"] == "./"
        assert "base_url" not in in_index(folder)["info"]


def test_promotion_of_new_files_leaves_the_indexes_of_labels_alone(
    channel: Channel, actor: Actor, olga: User, labeled: Artifact, tmp_path: Path
) -> None:
    source = make_channel("source", owner=olga)
    publish(source, olga, make_conda(tmp_path, name=labeled.package.name, version="2.0"))
    promotions.promote(wanted=Wanted(actor, source, channel), selection=source.artifacts.all())
    assert [index.subdir for index in channel.indexes.exclude(subdir="") if not index.is_current] == ["noarch"]
