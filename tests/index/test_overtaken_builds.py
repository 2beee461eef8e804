"""Builds that lose their lock to another build: one more build makes the files consistent."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from django.db import DatabaseError, connection

from channels_app.models import Channel
from hub.storage import StoreError
from hub.storage.folder import FolderStore
from publishing.index import builds, turns
from publishing.models import SubdirIndex
from publishing.verification import stored_indexes
from tests.builders import make_artifact
from tests.sample_channel import REPODATA, read
from tests.threads import at_once


def build(channel: Channel) -> SubdirIndex:
    row = SubdirIndex.objects.get(channel=channel, subdir="noarch")
    builds.build_until_current(row.pk)
    row.refresh_from_db()
    return row


def add_and_build(channel: Channel) -> None:
    make_artifact(channel, "second")
    build(channel)


def listed() -> set[str]:
    return set(json.loads(read(REPODATA))["packages.conda"])


def during_next_build(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Run `meanwhile` right before the next build puts its repodata.json."""
    original = FolderStore.put
    stopped: list[str] = []

    def put(self: FolderStore, key: str, source: Path | bytes, **options: str) -> None:
        if key.endswith("/repodata.json") and not stopped:
            stopped.append(key)
            meanwhile()
        original(self, key, source, **options)

    monkeypatch.setattr(FolderStore, "put", put)


def test_a_build_that_lost_its_lock_is_healed_by_one_more(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(channel, "first")
    monkeypatch.setattr(builds, "try_lock", lambda name: nullcontext(True))
    during_next_build(monkeypatch, lambda: add_and_build(channel))
    row = build(channel)
    assert (row.built_revision, row.builds) == (row.requested_revision, 2)
    assert listed() == {"first-1.0-0.conda", "second-1.0-0.conda"}
    assert list(stored_indexes.check(channel)) == []


def test_a_build_that_lost_its_lock_and_fails_is_healed_by_the_schedule(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel, "first")
    make_artifact(channel, "old")

    def fail() -> None:
        add_and_build(channel)
        raise StoreError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(builds, "try_lock", lambda name: nullcontext(True))
        during_next_build(patch, fail)
        with pytest.raises(StoreError):
            build(channel)
    row = SubdirIndex.objects.get(subdir="noarch")
    assert row.requested_revision == row.built_revision + 1
    assert [turn.index_id for turn in turns.stale() if not turn.is_whole_channel] == [row.pk]
    build(channel)
    assert list(stored_indexes.check(channel)) == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="file locks end with their process alone")
@pytest.mark.django_db(transaction=True)
def test_a_build_whose_connection_ended_is_done_again(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(channel, "first")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]

    def take_over() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        add_and_build(channel)

    during_next_build(monkeypatch, lambda: at_once(take_over))
    with pytest.raises(DatabaseError):
        build(channel)
    row = SubdirIndex.objects.get(subdir="noarch")
    assert row.requested_revision == row.built_revision + 1
    assert listed() == {"first-1.0-0.conda"}
    build(channel)
    assert list(stored_indexes.check(channel)) == []
