"""Answers of a hostile upstream: they avoid no cooldown, empty no index, fill no memory, and show no addresses."""

import hashlib
import json
import tracemalloc
from datetime import timedelta
from typing import Any

import msgpack
import pytest
import zstandard
from django.utils import timezone

from channels_app.models import Channel
from hub.sizes import MIB
from publishing.models import Upstream, UpstreamName, UpstreamSubdir
from publishing.upstreams import json_index, source
from publishing.upstreams.errors import UpstreamError
from publishing.upstreams.transport import HttpTransport
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_cache import BYTES, FILE, get
from tests.upstreams.test_sync import SHARD_INDEX, listed, poll

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def break_shard(forge: FakeUpstream, name: str) -> None:
    index = msgpack.unpackb(zstandard.decompress(forge.files[SHARD_INDEX]))
    del forge.files[f"noarch/shards/{index['shards'][name].hex()}.msgpack.zst"]


def test_first_poll_that_never_ends_does_not_avoid_the_cooldown(mirror: Channel, forge: FakeUpstream) -> None:
    Upstream.objects.update(cooldown_days=7)
    forge.publish(record("numpy"), record("broken"))
    break_shard(forge, "broken")
    assert poll(mirror).error_code == "upstream_unreadable"
    UpstreamSubdir.objects.update(first_sync_at=timezone.now() - WEEK)
    forge.publish(record("numpy"), record("numpy", "2.0", timestamp=1), record("broken"))
    break_shard(forge, "broken")
    poll(mirror)
    forge.publish(record("numpy"), record("numpy", "2.0", timestamp=1))
    poll(mirror)
    assert "numpy-2.0-0.conda" not in listed(mirror)


def test_subdir_that_appears_later_does_not_avoid_the_cooldown(mirror: Channel, forge: FakeUpstream) -> None:
    Upstream.objects.update(cooldown_days=7, subdirs=["linux-64", "noarch"])
    forge.publish(record("zlib"), subdir="linux-64")
    assert poll(mirror).error_code == ""
    assert poll(mirror).error_code == ""
    forge.publish(record("numpy", timestamp=1))
    assert poll(mirror).error_code == ""
    assert UpstreamName.objects.get(name="numpy").waiting_count == 1


def test_first_sight_is_no_earlier_than_the_first_index(mirror: Channel, forge: FakeUpstream) -> None:
    poll(mirror)
    began = timezone.now()
    forge.publish(record("numpy"))
    poll(mirror)
    assert UpstreamName.objects.get().first_seen["numpy-1.0-0.conda"][1] >= int(began.timestamp() * 1000)


def test_304_to_a_request_without_conditions_is_an_error(mirror: Channel, forge: FakeUpstream) -> None:
    forge.spoiled[SHARD_INDEX] = (304, {}, b"")
    assert poll(mirror).error_code == "upstream_unexpected"


@pytest.mark.parametrize("document", [{}, {"error": "maintenance"}, {"info": {}}])
def test_document_without_records_does_not_empty_the_channel(
    mirror: Channel, forge: FakeUpstream, document: dict[str, Any]
) -> None:
    forge.publish(record("numpy"), forms=("json",))
    poll(mirror)
    forge.files["noarch/repodata.json"] = json.dumps(document).encode()
    assert poll(mirror).error_code == "upstream_unreadable"
    assert list(listed(mirror)) == ["numpy-1.0-0.conda"]


@pytest.mark.parametrize("item", [b"\x90", b"\x80"])
@pytest.mark.parametrize("nested", [False, True])
def test_msgpack_of_many_empty_values_takes_little_memory(
    mirror: Channel, forge: FakeUpstream, item: bytes, nested: bool
) -> None:
    bomb = b"\xdd" + (2_000_000).to_bytes(4, "big") + item * 2_000_000
    bomb = b"\x81\xa1x" + bomb if nested else bomb
    forge.files[SHARD_INDEX] = zstandard.compress(bomb)
    tracemalloc.start()
    code = poll(mirror).error_code
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (code, peak < 80_000_000) == ("upstream_too_large", True)


@pytest.mark.parametrize("part", ["names", "info", "name"])
def test_json_with_long_or_many_names_takes_little_memory(
    mirror: Channel, forge: FakeUpstream, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_index, "NAME_MAX_BYTES", 3_000_000)
    many = {f"{n}": "x" * 2_000_000 for n in range(30)}
    packages: dict[str, Any] = {}
    if part == "names":
        packages = {f"a{n}-1-0.conda": {"name": f"{value}{n}"} for n, value in many.items()}
    if part == "name":
        packages = {f"a-{n}-0.conda": {"name": "a", "x": value} for n, value in many.items()}
    info = many if part == "info" else {}
    text = json.dumps({"info": info, "packages": {}, "packages.conda": packages})
    forge.files["noarch/repodata.json.zst"] = zstandard.compress(text.encode())
    tracemalloc.start()
    poll(mirror)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


def test_public_upstream_directs_the_hub_to_no_internal_host(
    forge: FakeUpstream,
) -> None:
    """The URL is one of an index's base_url or of a redirect."""
    forge.files["x"] = b"secret"
    transport = HttpTransport("https://conda.example.org/channel")
    with pytest.raises(UpstreamError) as raised, transport, transport.get(f"{forge.url}/x", timeout_s=5):
        pass
    assert (raised.value.code, forge.requests.total()) == ("upstream_private", 0)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 206])
def test_reader_gets_no_address_of_the_upstream(mirror: Channel, forge: FakeUpstream, status: int) -> None:
    forge.publish(forge.add_package("numpy", BYTES))
    poll(mirror)
    forge.spoiled[FILE] = (302, {"Location": "/hidden?signature=secret"}, b"")
    forge.spoiled["hidden?signature=secret"] = (status, {}, b"")
    answer = get()
    assert answer.status_code >= 400
    text = answer.content.decode()  # type: ignore[attr-defined]
    assert [word for word in ("127.0.0.1", "hidden", "secret") if word in text] == []


def test_signature_of_a_redirect_is_not_recorded(mirror: Channel, forge: FakeUpstream) -> None:
    forge.spoiled[SHARD_INDEX] = (302, {"Location": "/hidden?signature=secret"}, b"")
    forge.spoiled["hidden?signature=secret"] = (500, {}, b"")
    assert "secret" not in poll(mirror).error


@pytest.mark.parametrize("key", ["sha256", "size", "subdir", "timestamp", "build_number", "x", "license", "depends"])
def test_record_with_odd_values_stops_no_poll(mirror: Channel, forge: FakeUpstream, key: str) -> None:
    odd: list[Any] = [
        None,
        -1,
        2**63,
        2**64 - 1,
        1.5,
        float("nan"),
        float("inf"),
        "\0",
        "../..",
        [],
        {},
        b"\xff",
        [[b"x"]],
        True,
    ]
    odd += [msgpack.ExtType(5, b"x"), msgpack.Timestamp(1, 1), "x" * 70_000]
    packages: dict[Any, Any] = {}
    for n, value in enumerate(odd):
        each = record("odd", str(n))
        each |= {"sha256": bytes.fromhex(each["sha256"]), key: value}
        packages[f"odd-{n}-0.conda"] = each
    paths = [
        "../odd-1-0.conda",
        "odd-1-0.conda\0",
        "ODD-1-0.conda",
        "odd-1-0.CONDA",
        b"odd-1-0.conda",
        "noarch/odd-7-0.conda",
    ]
    packages |= {path: record("odd", "1") for path in paths}
    shard = zstandard.compress(msgpack.packb({"packages": {}, "packages.conda": packages}))
    digest = hashlib.sha256(shard).digest()
    forge.publish(record("numpy"))
    index = msgpack.unpackb(zstandard.decompress(forge.files[SHARD_INDEX]))
    index["shards"] |= {"odd": digest, "../x": digest, "NUMPY": digest, "a\0": digest}
    forge.files[SHARD_INDEX] = zstandard.compress(msgpack.packb(index))
    forge.files[f"noarch/shards/{digest.hex()}.msgpack.zst"] = shard
    assert poll(mirror).error_code == ""
    found = listed(mirror)
    assert {each["subdir"] for each in found.values()} == {"noarch"}
    assert {"numpy"} <= {each["name"] for each in found.values()} <= {"numpy", "odd"}
    assert UpstreamName.objects.get(name="odd").held_count >= len(paths)


def test_missing_shard_does_not_lead_to_another_form(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"), record("broken"), forms=("shards", "zst", "json"))
    break_shard(forge, "broken")
    assert poll(mirror).error_code == "upstream_unreadable"


def test_redirect_to_an_invalid_url_has_a_code(mirror: Channel, forge: FakeUpstream) -> None:
    forge.spoiled[SHARD_INDEX] = (302, {"Location": "https://[::1"}, b"")
    assert poll(mirror).error_code == "upstream_url"


def test_document_that_takes_long_to_read_is_given_up_though_it_came_fast(
    forge: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.files["repodata.json.zst"] = zstandard.compress(b" " * 10 * MIB)
    transport = HttpTransport(forge.url)
    with transport, transport.get(f"{forge.url}/repodata.json.zst", timeout_s=10) as answer:
        monkeypatch.setattr(source, "INDEX_TIMEOUT_S", -1)
        with pytest.raises(UpstreamError) as given_up:
            list(source.texts("repodata.json.zst", answer))
    assert given_up.value.code == "upstream_slow"
