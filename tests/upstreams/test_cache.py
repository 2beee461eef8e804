"""Packages of an upstream: fetched once, verified, kept up to a limit, and served only while they are listed."""

import json
from datetime import timedelta
from pathlib import Path

import msgpack
import pytest
import zstandard
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from channels_app.models import Channel
from hub.storage import store
from publishing.models import CachedFile, Upstream
from publishing.upstreams import cache, credentials
from tests.threads import at_once, shared_database
from tests.upstreams.fake import FakeUpstream, Spoiled, record
from tests.upstreams.test_sync import poll

FILE = "noarch/numpy-1.0-0.conda"
SHARD_INDEX = "noarch/repodata_shards.msgpack.zst"
BYTES = b"the package" * 1000


@pytest.fixture
def numpy(mirror: Channel, forge: FakeUpstream) -> Channel:
    """Return the channel with one package, which is not yet in the cache."""
    forge.publish(forge.add_package("numpy", BYTES))
    poll(mirror)
    return mirror


def get(path: str = FILE, channel: str = "mirror") -> HttpResponseBase:
    return Client().get(f"/{channel}/{path}")


def body(answer: HttpResponseBase) -> bytes:
    return b"".join(answer)


@pytest.mark.django_db
def test_package_is_fetched_once_and_then_comes_from_the_cache(numpy: Channel, forge: FakeUpstream) -> None:
    assert [body(get()), body(get())] == [BYTES, BYTES]
    assert forge.requests[FILE] == 1
    file = CachedFile.objects.get()
    assert (file.size_bytes, file.is_listed) == (len(BYTES), True)


@pytest.mark.django_db
def test_package_of_an_index_with_an_empty_base_url_is_fetched_from_its_folder(
    mirror: Channel, forge: FakeUpstream
) -> None:
    forge.publish(forge.add_package("numpy", BYTES))
    index = msgpack.unpackb(zstandard.decompress(forge.files[SHARD_INDEX]))
    index["info"]["base_url"] = ""
    forge.files[SHARD_INDEX] = zstandard.compress(msgpack.packb(index))
    poll(mirror)
    assert body(get()) == BYTES
    plain = {"info": {"base_url": ""}, "packages.conda": {"numpy-1.0-0.conda": record("numpy", content=BYTES)}}
    forge.files = {FILE: BYTES, "noarch/repodata.json": json.dumps(plain).encode()}
    CachedFile.objects.all().delete()
    poll(mirror)
    assert body(get()) == BYTES


@pytest.mark.django_db
def test_cached_package_is_served_while_the_upstream_fails(numpy: Channel, forge: FakeUpstream) -> None:
    body(get())
    forge.spoiled[FILE] = (500, {}, b"")
    assert body(get()) == BYTES


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("spoiled", "status", "code"),
    [
        ((200, {}, b"x" * len(BYTES)), 502, "upstream_wrong_bytes"),
        ((200, {}, BYTES[:-1]), 502, "upstream_wrong_bytes"),
        ((200, {}, BYTES + b"x"), 502, "upstream_wrong_bytes"),
        ((200, {"Content-Length": str(len(BYTES))}, BYTES[:-1]), 503, "upstream_truncated"),
        ((401, {}, b""), 502, "upstream_unauthorized"),
        ((404, {}, b""), 404, "upstream_not_found"),
        ((500, {}, b""), 503, "upstream_failing"),
        ((302, {"Location": "https://127.0.0.1:9/"}, b""), 502, "upstream_private"),
    ],
)
def test_bad_package_is_neither_served_nor_stored(
    numpy: Channel, forge: FakeUpstream, spoiled: Spoiled, status: int, code: str
) -> None:
    forge.spoiled[FILE] = spoiled
    answer = get()
    assert (answer.status_code, answer["X-Error-Code"]) == (status, code)
    assert not CachedFile.objects.exists()
    assert store().stat(f"mirror/{FILE}") is None


@pytest.mark.django_db
def test_cached_package_that_the_upstream_removed_is_not_served(numpy: Channel, forge: FakeUpstream) -> None:
    body(get())
    forge.publish(forge.add_package("zlib", b"z"))
    poll(numpy)
    assert get().status_code == 404
    forge.publish(forge.add_package("numpy", BYTES))
    poll(numpy)
    assert body(get()) == BYTES
    assert forge.requests[FILE] == 1


@pytest.mark.django_db
def test_credential_goes_to_the_upstream_alone(numpy: Channel, forge: FakeUpstream) -> None:
    Upstream.objects.update(encrypted_credential=credentials.encrypt("secret-token"))
    forge.spoiled[FILE] = (302, {"Location": forge.url.replace("127.0.0.1", "localhost") + "/other"}, b"")
    forge.headers.clear()
    get()
    assert [each.get("Authorization") for each in forge.headers] == ["Bearer secret-token"]


@pytest.mark.django_db
def test_eviction_keeps_the_files_that_were_used_last(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(*(forge.add_package(f"lib{n}", b"x" * 100) for n in range(4)))
    poll(mirror)
    for n in range(4):
        body(get(f"noarch/lib{n}-1.0-0.conda"))
        age = timedelta(hours=4 - n) if n < 3 else timedelta(0)
        CachedFile.objects.filter(name=f"lib{n}").update(last_used_at=timezone.now() - age)
    Upstream.objects.update(max_cached_bytes=250)
    cache.evict()
    assert sorted(CachedFile.objects.values_list("name", flat=True)) == ["lib2", "lib3"]
    assert store().stat("mirror/noarch/lib0-1.0-0.conda") is None
    assert body(get("noarch/lib0-1.0-0.conda")) == b"x" * 100


@pytest.mark.django_db
def test_package_larger_than_the_cache_is_not_fetched(numpy: Channel, forge: FakeUpstream) -> None:
    Upstream.objects.update(max_cached_bytes=len(BYTES) - 1)
    answer = get()
    assert (answer.status_code, answer["X-Error-Code"], forge.requests[FILE]) == (507, "cache_too_small", 0)


@pytest.mark.django_db
def test_files_in_use_take_at_most_twice_the_limit(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(*(forge.add_package(f"lib{n}", b"x" * 100) for n in range(5)))
    poll(mirror)
    Upstream.objects.update(max_cached_bytes=200)
    for n in range(4):
        body(get(f"noarch/lib{n}-1.0-0.conda"))
    answer = get("noarch/lib4-1.0-0.conda")
    assert (answer.status_code, answer["X-Error-Code"]) == (503, "cache_full")
    CachedFile.objects.filter(name="lib0").update(last_used_at=timezone.now() - timedelta(hours=1))
    assert body(get("noarch/lib4-1.0-0.conda")) == b"x" * 100


@pytest.mark.django_db(transaction=True)
def test_many_requests_at_once_cost_one_fetch(numpy: Channel, forge: FakeUpstream, tmp_path: Path) -> None:
    with shared_database(tmp_path):
        bodies = at_once(*[lambda: body(get())] * 6)
    assert (bodies, forge.requests[FILE]) == ([BYTES] * 6, 1)
