"""Copies within SeaweedFS over HTTP, by its own access log and its own count of bytes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from hub.sizes import MIB
from hub.storage import s3
from hub.storage.s3 import S3Store
from tests.archives import make_conda
from tests.clients.plain import ask, fetched, until_settled, upload
from tests.live import live_hub
from tests.store_log import StoreLog, logged_seaweed_server
from tests.stores import S3Server

PART_BYTES = 5 * MIB  # the least that S3 allows


@pytest.fixture(scope="module")
def logged_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3Server, StoreLog]]:
    with logged_seaweed_server(tmp_path_factory.mktemp("seaweed") / "data") as found:
        yield found


def test_large_file_is_copied_in_parts_by_the_store(
    logged_store: tuple[S3Server, StoreLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, log = logged_store
    config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)
    monkeypatch.setattr(s3, "COPY_CONFIG", config)
    store, content = S3Store(**server.options()), os.urandom(2 * PART_BYTES + 1)
    store.put("staging/noarch/large-1.0-0.conda", content)
    before = log.traffic()
    store.copy("staging/noarch/large-1.0-0.conda", "production/noarch/large-1.0-0.conda")
    copied = log.traffic().since(before)
    assert (copied.received_bytes, copied.sent_bytes) == (0, 0)
    # Begin and complete, three parts, and a question for the size.
    assert copied.requests == {"REST.POST.OBJECT": 2, "REST.PUT.OBJECT": 3, "REST.HEAD.OBJECT": 1}
    assert b"".join(store.open("production/noarch/large-1.0-0.conda")) == content


def test_promotion_sends_no_byte_of_a_package_through_the_hub(
    logged_store: tuple[S3Server, StoreLog], tmp_path: Path
) -> None:
    server, log = logged_store
    with live_hub(tmp_path, **server.with_new_bucket().environment()) as hub:
        hub.shell("User.objects.create_user('olga')")
        for channel in ("staging", "production"):
            hub.manage("createchannel", channel, "--owner", "olga")
        key = hub.manage("createapikey", "olga", "--name", "ci", "--scope", "read", "--scope", "upload")
        packages = [
            make_conda(tmp_path, version=f"{number}.0", files={"share/payload": os.urandom(MIB)}) for number in range(3)
        ]
        for package in packages:
            assert upload(hub, "staging", package, key).status == 201
        until_settled(hub)
        before = log.traffic()
        body = json.dumps({"from": "staging", "filter": {"name": "demo"}}).encode()
        headers = {"Content-Type": "application/json"}
        path = "/api/v1/channels/production/promotions"
        assert ask(hub, path, key, method="POST", body=body, headers=headers).status == 201
        until_settled(hub)
        promoted = log.traffic().since(before)
        # The index of a channel with three packages is all that passes.
        assert promoted.received_bytes + promoted.sent_bytes < MIB // 4
        assert promoted.requests["REST.GET.OBJECT"] == 0
        assert promoted.requests["REST.PUT.OBJECT"] == len(packages)
        for package in packages:
            assert fetched(hub, f"/production/noarch/{package.name}", key) == package.read_bytes()
