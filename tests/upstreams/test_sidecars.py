"""Attestation sidecars of an upstream (CEP 50): fetched once, by the hash in the record, and only of listed records."""

import hashlib

import pytest
from django.test import Client

from channels_app.models import Channel, User
from hub.storage import store
from publishing.index import builds
from publishing.models import CachedFile, Upstream
from publishing.upstreams import cache
from publishing.upstreams.wanted import SIDECAR_MAX_BYTES
from publishing.verification import verification
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_cache import body, get
from tests.upstreams.test_sync import listed, poll
from tests.virtual.channels import build_all, make_virtual

pytestmark = pytest.mark.django_db
FILE = "noarch/numpy-1.0-0.conda"
SIDECAR = b'[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}]'


@pytest.fixture(autouse=True)
def _nothing_missing() -> None:
    cache._missing.clear()


def attest(forge: FakeUpstream, content: bytes = SIDECAR) -> str:
    """Publish a package with this sidecar, and return its path."""
    digest = hashlib.sha256(content).hexdigest()
    forge.publish(record("numpy", attestations_sha256=digest))
    forge.files[f"{FILE}.sigs.{digest}"] = content
    return f"{FILE}.sigs.{digest}"


def refused(path: str) -> tuple[int, str]:
    answer = get(path)
    return answer.status_code, answer["X-Error-Code"]


@pytest.mark.parametrize("form", ["shards", "json"])
def test_sidecar_comes_along_and_is_fetched_once(mirror: Channel, forge: FakeUpstream, form: str) -> None:
    path = attest(forge)
    state = path.rpartition(".")[2]
    forge.publish(record("numpy", attestations_sha256=state), forms=(form,))
    poll(mirror)
    assert listed(mirror)["numpy-1.0-0.conda"]["attestations_sha256"] == state
    answer = get(path)
    assert (body(answer), answer["Content-Type"]) == (SIDECAR, "application/json")
    assert "immutable" in answer["Cache-Control"]
    newest = get(f"{FILE}.sigs")
    assert (body(newest), newest["ETag"]) == (SIDECAR, answer["ETag"])
    assert "no-cache" in newest["Cache-Control"]
    assert Client().head(f"/mirror/{path}")["Content-Length"] == str(len(SIDECAR))
    assert forge.requests[path] == 1


def test_sidecar_is_asked_for_only_if_the_record_states_one(mirror: Channel, forge: FakeUpstream) -> None:
    path = attest(forge)
    forge.publish(record("numpy", attestations_sha256="../../other"))
    poll(mirror)
    assert refused(path) == refused(f"{FILE}.sigs") == (404, "no_attestation")
    assert "attestations_sha256" not in listed(mirror)["numpy-1.0-0.conda"]
    assert forge.requests[path] == 0


def test_sidecar_of_a_hidden_record_is_not_served(mirror: Channel, forge: FakeUpstream) -> None:
    path = attest(forge)
    poll(mirror)
    body(get(path))
    digest = path.rpartition(".")[2]
    forge.publish(record("numpy", content=b"other", attestations_sha256=digest))
    poll(mirror)
    assert refused(path) == (404, "held_back")


def test_virtual_channel_serves_the_sidecar_of_its_member(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    make_virtual(olga, "mirror")
    path = attest(forge)
    poll(mirror)
    build_all()
    assert body(get(path, "all")) == body(get(path)) == SIDECAR


def test_missing_sidecar_is_asked_for_once_until_the_next_poll(mirror: Channel, forge: FakeUpstream) -> None:
    path = attest(forge)
    del forge.files[path]
    poll(mirror)
    assert [refused(path), refused(path)] == [(404, "upstream_not_found")] * 2
    assert forge.requests[path] == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" + b" " * SIDECAR_MAX_BYTES + b"]", (503, "upstream_too_large")),
        (b"<html>", (503, "upstream_unreadable")),
        (b'{"a":1}', (503, "upstream_unreadable")),
    ],
)
def test_sidecar_that_is_no_bounded_list_is_not_served(
    mirror: Channel, forge: FakeUpstream, content: bytes, code: tuple[int, str]
) -> None:
    path = attest(forge, content)
    poll(mirror)
    assert [refused(path), refused(path)] == [code, code]
    assert forge.requests[path] == 1
    assert not CachedFile.objects.exists()


def test_sidecar_with_other_bytes_than_its_name_is_not_served(mirror: Channel, forge: FakeUpstream) -> None:
    path = attest(forge)
    forge.files[path] = b"[]"
    poll(mirror)
    assert refused(path) == (502, "upstream_wrong_bytes")


def test_sidecar_is_verified_and_evicted_as_packages(mirror: Channel, forge: FakeUpstream, old_files: None) -> None:
    path = attest(forge)
    poll(mirror)
    body(get(path))
    builds.build_channel(mirror)
    assert list(verification.verify(mirror, is_hashed=True).differences) == []
    CachedFile.objects.all().delete()
    [leftover] = verification.verify(mirror).differences
    assert (str(leftover.kind), leftover.key) == ("leftover", f"mirror/{path}")
    body(get(path))
    Upstream.objects.update(max_cached_bytes=1)
    cache.remove(CachedFile.objects.get())
    assert store().stat(f"mirror/{path}") is None
