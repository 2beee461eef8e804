"""Verification of upstream channels: no false differences, and repairs of true ones."""

import pytest

from channels_app.models import Channel
from hub.storage import store
from publishing.index import builds
from publishing.models import CachedFile, Fragment
from publishing.transfer import store_copy
from publishing.verification import repairs, verification
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_cache import FILE, body, get
from tests.upstreams.test_sync import listed, poll

pytestmark = pytest.mark.django_db


@pytest.fixture
def cached(mirror: Channel, forge: FakeUpstream, old_files: None) -> Channel:
    """Return the channel with a cached package and complete index files."""
    forge.publish(forge.add_package("numpy", b"bytes"), record("zlib"))
    poll(mirror)
    body(get())
    builds.build_channel(mirror)
    return mirror


def differences(channel: Channel) -> list[tuple[str, str]]:
    return [(str(each.kind), each.key) for each in verification.verify(channel, is_hashed=True).differences]


def test_upstream_channel_has_no_difference(cached: Channel) -> None:
    assert differences(cached) == []


@pytest.mark.parametrize("content", [None, b"wrong", b"longer bytes"])
def test_wrong_cached_file_is_found_and_fetched_again(cached: Channel, content: bytes | None) -> None:
    store().delete(f"mirror/{FILE}")
    if content:
        store().put(f"mirror/{FILE}", content)
    found = verification.verify(cached, is_hashed=True).differences
    assert [str(each.kind) for each in found] == ["cached file"]
    assert repairs.repair(cached, found) == []
    assert body(get()) == b"bytes"
    assert differences(cached) == []


def test_file_without_row_is_a_leftover(cached: Channel) -> None:
    CachedFile.objects.all().delete()
    found = verification.verify(cached).differences
    assert [str(each.kind) for each in found] == ["leftover"]
    repairs.repair(cached, found)
    assert store().stat(f"mirror/{FILE}") is None


def test_lost_fragments_are_rebuilt_from_the_stored_records(cached: Channel) -> None:
    Fragment.objects.filter(name="zlib").delete()
    found = verification.verify(cached).differences
    assert {each.name for each in found} >= {"zlib"}
    assert repairs.repair(cached, found) == []
    assert "zlib-1.0-0.conda" in listed(cached)


def test_copy_of_the_store_verifies_cached_files(cached: Channel) -> None:
    file = CachedFile.objects.get()
    assert store_copy._digests([f"mirror/{FILE}"]) == {f"mirror/{FILE}": file.sha256}
