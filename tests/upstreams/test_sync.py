"""Polls: the names that are read, the index afterwards, and hidden records."""

import json
from datetime import timedelta
from typing import Any

import msgpack
import pytest
import zstandard
from django.test import Client
from django.utils import timezone

from channels_app.audit import descriptions
from channels_app.models import AuditEvent, Channel
from hub.storage import store
from publishing.models import IndexedName, Upstream, UpstreamName, UpstreamSubdir
from publishing.upstreams import sync
from tests.upstreams.fake import FakeUpstream, record

pytestmark = pytest.mark.django_db
SHARD_INDEX = "noarch/repodata_shards.msgpack.zst"


def poll(channel: Channel) -> Upstream:
    assert sync.sync(channel.pk, is_forced=True)
    return Upstream.objects.get(channel=channel)


def listed(channel: Channel) -> dict[str, Any]:
    """Return the records of repodata.json. The shards have the same ones."""
    body = b"".join(store().open(f"{channel}/noarch/repodata.json"))
    found: dict[str, Any] = json.loads(body)["packages.conda"]
    in_shards: dict[str, Any] = {}
    index = msgpack.unpackb(zstandard.decompress(b"".join(store().open(f"{channel}/{SHARD_INDEX}"))))
    for digest in index["shards"].values():
        path = f"{channel}/noarch/shards/{digest.hex()}.msgpack.zst"
        in_shards |= msgpack.unpackb(zstandard.decompress(b"".join(store().open(path))))["packages.conda"]
    assert in_shards.keys() == found.keys()
    return found


@pytest.mark.parametrize("form", ["shards", "zst", "json"])
def test_first_poll_lists_all_records_with_their_unknown_keys(mirror: Channel, forge: FakeUpstream, form: str) -> None:
    forge.publish(record("numpy", new_key={"a": [1]}), record("numpy", "2.0"), record("zlib"), forms=(form,))
    upstream = poll(mirror)
    assert (upstream.error, upstream.failing_since) == ("", None)
    found = listed(mirror)
    assert sorted(found) == ["numpy-1.0-0.conda", "numpy-2.0-0.conda", "zlib-1.0-0.conda"]
    assert found["numpy-1.0-0.conda"]["new_key"] == {"a": [1]}


def test_unchanged_index_is_answered_with_304_and_costs_one_request_and_one_for_notices(
    mirror: Channel, forge: FakeUpstream
) -> None:
    forge.publish(record("numpy"))
    poll(mirror)
    forge.requests.clear()
    poll(mirror)
    assert forge.requests == {SHARD_INDEX: 1, "notices.json": 1}


def test_poll_fetches_the_shards_of_changed_names_only(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    before = dict(IndexedName.objects.values_list("name", "shard_sha256"))
    forge.requests.clear()
    forge.publish(record("numpy"), record("zlib"), record("zlib", "1.1"))
    poll(mirror)
    assert sum(count for path, count in forge.requests.items() if "shards/" in path) == 1
    after = dict(IndexedName.objects.values_list("name", "shard_sha256"))
    assert {name for name in after if after[name] != before[name]} == {"zlib"}


def test_new_record_with_an_old_timestamp_waits_for_the_cooldown(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    poll(mirror)
    Upstream.objects.update(cooldown_days=7)
    forge.publish(record("numpy"), record("numpy", "2.0", timestamp=1_000_000_000_000, indexed_timestamp=1))
    poll(mirror)
    assert sorted(listed(mirror)) == ["numpy-1.0-0.conda"]
    name = UpstreamName.objects.get()
    assert (name.record_count, name.waiting_count) == (2, 1)
    answer = Client().get("/mirror/noarch/numpy-2.0-0.conda")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "cooling_down")


def test_record_is_listed_with_its_first_time_when_the_cooldown_ends(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("zlib"))
    poll(mirror)
    Upstream.objects.update(cooldown_days=7)
    forge.publish(record("zlib"), record("numpy", indexed_timestamp=5))
    poll(mirror)
    name = UpstreamName.objects.get(name="numpy")
    first_ms = name.first_seen["numpy-1.0-0.conda"][1] - 8 * 24 * 3600 * 1000
    name.first_seen["numpy-1.0-0.conda"][1] = first_ms
    name.due_at = timezone.now()
    name.save()
    UpstreamSubdir.objects.update(first_sync_at=timezone.now() - timedelta(days=30))
    assert sync.sync(mirror.pk)
    found = listed(mirror)["numpy-1.0-0.conda"]
    assert (found["indexed_timestamp"], found["upstream_indexed_timestamp"]) == (first_ms, 5)


def test_excepted_name_has_no_cooldown(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("zlib"))
    poll(mirror)
    Upstream.objects.update(cooldown_days=7, exceptions=[["open*", "security fixes"]])
    forge.publish(record("zlib"), record("numpy"), record("openssl"))
    poll(mirror)
    assert sorted(listed(mirror)) == ["openssl-1.0-0.conda", "zlib-1.0-0.conda"]


def test_record_with_another_hash_is_held_back_and_recorded_once(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"), record("numpy", "2.0"))
    poll(mirror)
    for more in ({}, {"license": "MIT"}):
        forge.publish(record("numpy", content=b"others", **more), record("numpy", "2.0"))
        poll(mirror)
    assert sorted(listed(mirror)) == ["numpy-2.0-0.conda"]
    [event] = AuditEvent.objects.filter(action="upstream.hold")
    assert descriptions.entry(event, mirror).notes == ["Files: numpy-1.0-0.conda"]
    event.detail["number"] = 3
    assert descriptions.entry(event, mirror).notes == ["Files: numpy-1.0-0.conda and 2 more"]
    answer = Client().get("/mirror/noarch/numpy-1.0-0.conda")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "held_back")


def test_removed_record_returns_with_its_first_time(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    first = listed(mirror)["numpy-1.0-0.conda"]["indexed_timestamp"]
    forge.publish(record("zlib"))
    poll(mirror)
    assert sorted(listed(mirror)) == ["zlib-1.0-0.conda"]
    forge.publish(record("zlib"), record("numpy"))
    poll(mirror)
    assert listed(mirror)["numpy-1.0-0.conda"]["indexed_timestamp"] == first


def test_hotfix_of_the_upstream_changes_the_record(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    poll(mirror)
    forge.publish(record("numpy", depends=["python <4"]))
    poll(mirror)
    assert listed(mirror)["numpy-1.0-0.conda"]["depends"] == ["python <4"]


@pytest.mark.parametrize(
    "bad",
    [
        {"depends": [5]},
        {"sha256": ""},
        {"size": -1},
        {"name": "zlib"},
        {"version": "1.1"},
    ],
)
def test_unusable_record_is_left_out_and_counted(mirror: Channel, forge: FakeUpstream, bad: dict[str, Any]) -> None:
    good = record("numpy", "2.0")
    packages = {"numpy-1.0-0.conda": record("numpy") | bad, "numpy-2.0-0.conda": good}
    forge.files["noarch/repodata.json"] = json.dumps({"packages": {}, "packages.conda": packages}).encode()
    poll(mirror)
    assert sorted(listed(mirror)) == ["numpy-2.0-0.conda"]
    assert UpstreamName.objects.get(name="numpy").held_count == (0 if "name" in bad else 1)


def test_record_directs_no_client_elsewhere(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy", url="https://evil.example/x", fn="y.conda", channel="https://evil.example"))
    poll(mirror)
    assert not {"url", "fn", "channel"} & listed(mirror)["numpy-1.0-0.conda"].keys()
