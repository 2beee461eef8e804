"""Tests of the queue: events of uploads, removals and index builds, in order, without cost for uploads."""

from pathlib import Path

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoCaptureOnCommitCallbacks

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, User, WebhookDelivery
from channels_app.webhooks import events, queue
from channels_app.webhooks.events import KINDS
from publishing.index import builds
from publishing.labels import artifact_labels, labels
from publishing.models import SubdirIndex
from publishing.removal import removal
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import received
from tests.webhooks.receiver import make_webhook

pytestmark = pytest.mark.django_db


def publish(channel: Channel, owner: User, folder: Path, name: str = "pack") -> Artifact:
    return upload.publish(
        actor=Actor(user=owner), channel=channel, received=received(make_conda(folder, name=name))
    ).artifact


def build(channel: Channel) -> None:
    builds.build_until_current(SubdirIndex.objects.get(channel=channel, subdir="noarch").pk)


def kinds() -> list[str]:
    return list(WebhookDelivery.objects.order_by("pk").values_list("kind", flat=True))


def test_upload_and_removal_are_queued_before_the_build_with_them(
    channel: Channel,
    olga: User,
    tmp_path: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    sent_jobs: list[tuple[object, ...]],
) -> None:
    make_webhook(channel, olga, events=tuple(KINDS))
    artifact = publish(channel, olga, tmp_path)
    build(channel)
    actor = Actor(user=olga)
    removal.yank(actor=actor, artifact=artifact, reason="broken")
    removal.restore(actor=actor, artifact=artifact)
    removal.delete(actor=actor, artifact=artifact, reason="broken")
    with django_capture_on_commit_callbacks(execute=True):
        build(channel)
    queue.queue_new_events()
    assert kinds() == [
        "artifact.published",
        "index.built",
        "artifact.yanked",
        "artifact.restored",
        "artifact.deleted",
        "index.built",
    ]
    assert (queue.WAKE_UP,) in sent_jobs


def test_builds_of_labels_are_queued_until_the_label_is_deleted(channel: Channel, olga: User, tmp_path: Path) -> None:
    make_webhook(channel, olga, events=(events.INDEX_BUILT,))
    publish(channel, olga, tmp_path)
    actor, files = Actor(user=olga), channel.artifacts.all()
    artifact_labels.change_selection(actor=actor, channel=channel, selection=files, add=["rc"])
    builds.build_channel(channel)
    labels.delete(actor=actor, channel=channel, name="rc")
    builds.build_channel(channel)
    sent = [orjson.loads(delivery.body)["data"] for delivery in WebhookDelivery.objects.order_by("pk")]
    assert sent == [{"channel": "demo", "subdir": "noarch", "label": label, "build": 1} for label in ("main", "rc")]


def test_upload_needs_no_query_more_with_a_webhook(channel: Channel, olga: User, tmp_path: Path) -> None:
    publish(channel, olga, tmp_path, "first")
    with CaptureQueriesContext(connection) as without:
        publish(channel, olga, tmp_path, "second")
    make_webhook(channel, olga, events=tuple(KINDS))
    with CaptureQueriesContext(connection) as with_webhook:
        publish(channel, olga, tmp_path, "third")
    assert len(with_webhook) == len(without)
    assert not any("webhook" in str(query["sql"]) for query in without.captured_queries)


def test_queueing_of_many_events_takes_few_queries(channel: Channel, olga: User, tmp_path: Path) -> None:
    webhook, _ = make_webhook(channel, olga, events=tuple(KINDS))
    for name in ("first", "second", "third"):
        publish(channel, olga, tmp_path, name)
    with CaptureQueriesContext(connection) as queries:
        queue.queue_events(webhook)
    assert WebhookDelivery.objects.count() == 3
    assert len(queries) <= 6


def test_idle_webhooks_take_one_query(channel: Channel, olga: User) -> None:
    for number in range(3):
        make_webhook(channel, olga, f"https://ci.example.org/{number}")
    channel.events.all().delete()
    with CaptureQueriesContext(connection) as queries:
        queue.queue_new_events()
    assert len(queries) == 1


def test_more_events_than_a_batch_are_queued(
    channel: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "AT_ONCE", 2)
    webhook, _ = make_webhook(channel, olga, events=tuple(KINDS))
    for name in ("a", "b", "c", "d", "e"):
        publish(channel, olga, tmp_path, name)
    queue.queue_events(webhook)
    queue.queue_events(webhook)
    assert kinds() == ["artifact.published"] * 5


def test_events_are_queued_before_the_end_of_a_build_locks_the_index(
    channel: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_webhook(channel, olga, events=tuple(KINDS))
    publish(channel, olga, tmp_path)
    queued: list[list[str]] = []
    monkeypatch.setattr(queue, "queue_build", lambda *_: queued.append(kinds()))
    build(channel)
    assert queued == [["artifact.published"]]


def test_each_action_has_one_kind() -> None:
    assert len(events.KIND_OF) == sum(len(kind.actions) for kind in KINDS.values())
