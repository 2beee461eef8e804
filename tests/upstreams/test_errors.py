"""Failures of an upstream: each has a code, and the last index goes on."""

import json

import msgpack
import pytest
import zstandard
from django.utils import timezone

from channels_app.models import Channel
from publishing.models import Upstream, UpstreamSubdir
from publishing.upstreams import source, sync
from tests.upstreams.fake import FakeUpstream, Spoiled, record
from tests.upstreams.test_sync import SHARD_INDEX, listed, poll

pytestmark = pytest.mark.django_db

FAULTS: dict[str, Spoiled] = {
    "upstream_unauthorized": (401, {}, b""),
    "upstream_forbidden": (403, {}, b""),
    "upstream_busy": (429, {}, b""),
    "upstream_failing": (503, {}, b""),
    "upstream_unexpected": (206, {}, b""),
    "upstream_truncated": (200, {"Content-Length": "1000"}, b"short"),
    "upstream_unreadable": (200, {}, b"garbage"),
    "upstream_private": (302, {"Location": "https://127.0.0.1:9/repodata.json"}, b""),
    "upstream_url": (302, {"Location": "ftp://example.org/"}, b""),
    "upstream_redirects": (302, {"Location": "repodata_shards.msgpack.zst"}, b""),
}


@pytest.mark.parametrize("code", FAULTS)
def test_failing_poll_records_its_code_and_the_index_goes_on(mirror: Channel, forge: FakeUpstream, code: str) -> None:
    forge.publish(record("numpy"))
    poll(mirror)
    forge.publish(record("numpy"), record("zlib"))
    forge.spoiled[SHARD_INDEX] = FAULTS[code]
    upstream = poll(mirror)
    assert (upstream.error_code, bool(upstream.failing_since)) == (code, True)
    assert sorted(listed(mirror)) == ["numpy-1.0-0.conda"]
    del forge.spoiled[SHARD_INDEX]
    upstream = poll(mirror)
    assert (upstream.error_code, upstream.failing_since) == ("", None)
    assert sorted(listed(mirror)) == ["numpy-1.0-0.conda", "zlib-1.0-0.conda"]


def test_upstream_without_any_index_is_not_found(mirror: Channel, forge: FakeUpstream) -> None:
    assert poll(mirror).error_code == "upstream_not_found"


def test_missing_subdir_is_no_error_while_another_exists(mirror: Channel, forge: FakeUpstream) -> None:
    Upstream.objects.update(subdirs=["noarch", "linux-64"])
    forge.publish(record("numpy"))
    assert poll(mirror).error_code == ""


def test_vanished_index_is_an_error(mirror: Channel, forge: FakeUpstream) -> None:
    Upstream.objects.update(subdirs=["noarch", "linux-64"])
    forge.publish(record("numpy"))
    forge.publish(record("zlib"), subdir="linux-64")
    poll(mirror)
    del forge.files["linux-64/repodata_shards.msgpack.zst"]
    assert poll(mirror).error_code == "upstream_not_found"


def test_shard_with_other_bytes_is_refused(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    [path] = [path for path in forge.files if "shards/" in path]
    forge.files[path] = zstandard.compress(b"\x80")
    assert poll(mirror).error_code == "upstream_unreadable"


@pytest.mark.parametrize("form", [SHARD_INDEX, "noarch/repodata.json.zst"])
def test_bomb_is_refused(mirror: Channel, forge: FakeUpstream, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SHARD_INDEX_MAX_PLAIN_BYTES", 10_000)
    monkeypatch.setattr(source, "INDEX_MAX_PLAIN_BYTES", 10_000)
    forge.files[form] = zstandard.compress(b" " * 1_000_000)
    assert poll(mirror).error_code == "upstream_too_large"


def test_body_above_the_limit_is_refused(mirror: Channel, forge: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "INDEX_MAX_BYTES", 100)
    forge.files["noarch/repodata.json"] = json.dumps({"packages": {}, "packages.conda": {}, "x": "y" * 1000}).encode()
    assert poll(mirror).error_code == "upstream_too_large"


def test_slow_upstream_is_given_up(mirror: Channel, forge: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "INDEX_TIMEOUT_S", 0.2)

    def slow() -> Spoiled:
        import time

        time.sleep(0.5)
        return 200, {}, b""

    forge.spoiled[SHARD_INDEX] = slow
    assert poll(mirror).error_code == "upstream_slow"


def test_closed_upstream_is_unreachable(mirror: Channel, settings: object) -> None:
    Upstream.objects.update(url="http://127.0.0.1:9")
    settings.HUB_INTERNAL_HOSTS = ["127.0.0.1:9"]  # type: ignore[attr-defined]
    assert poll(mirror).error_code == "upstream_unreachable"


def test_failing_since_stays_at_the_first_failure(mirror: Channel) -> None:
    first = poll(mirror).failing_since
    assert first
    assert poll(mirror).failing_since == first < timezone.now()


def test_poll_that_is_not_due_sends_no_request(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    poll(mirror)
    forge.requests.clear()
    sync.sync(mirror.pk)
    assert not forge.requests


@pytest.mark.parametrize("value", ["2" * 30, r'"\ud800"', '{"a": ' * 30 + "1" + "}" * 30])
def test_record_that_cannot_be_stored_does_not_stop_the_others(
    mirror: Channel, forge: FakeUpstream, value: str
) -> None:
    odd = json.dumps(record("odd"))[:-1] + f', "odd": {value}}}'
    good = json.dumps(record("numpy"))
    packages = f'{{"odd-1.0-0.conda": {odd}, "numpy-1.0-0.conda": {good}}}'
    forge.files["noarch/repodata.json"] = f'{{"packages": {{}}, "packages.conda": {packages}}}'.encode()
    assert poll(mirror).error_code == ""
    assert "numpy-1.0-0.conda" in listed(mirror)


def test_headers_and_urls_with_control_characters_are_not_kept(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    forge.spoiled[SHARD_INDEX] = (200, {"ETag": "a\x01b"}, forge.files[SHARD_INDEX])
    assert poll(mirror).error_code == ""
    assert UpstreamSubdir.objects.get().etag == ""
    info = {"base_url": "a\0b/", "shards_base_url": "./shards/"}
    forge.spoiled[SHARD_INDEX] = (200, {}, zstandard.compress(msgpack.packb({"info": info, "shards": {}})))
    assert poll(mirror).error_code == "upstream_unreadable"


@pytest.mark.parametrize("base_url", ["https://[::", "https://[x]/", "https://a\uff0fb/"])
def test_json_index_with_a_wrong_base_url_is_unreadable(mirror: Channel, forge: FakeUpstream, base_url: str) -> None:
    forge.files["noarch/repodata.json"] = json.dumps({"info": {"base_url": base_url}, "packages": {}}).encode()
    assert poll(mirror).error_code == "upstream_unreadable"
