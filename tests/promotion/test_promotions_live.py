"""A promotion whose hub is killed while the store copies, on an S3 server in another process."""

import json
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.archives import make_conda
from tests.clients.plain import ask, fetched, records, upload
from tests.clients.relay import relay
from tests.live import LiveHub, live_hub
from tests.stores import moto_server

HEALED_S = 60
PROMOTIONS = "/api/v1/channels/production/promotions"


def promote(hub: LiveHub, key: str) -> None:
    body = json.dumps({"from": "staging", "filter": {"name": "demo"}}).encode()
    with suppress(OSError, HTTPException):
        ask(hub, PROMOTIONS, key, method="POST", body=body, headers={"Content-Type": "application/json"})


def state(hub: LiveHub, key: str) -> Any:
    [promotion] = json.loads(ask(hub, PROMOTIONS, key).body)["items"]
    return promotion["state"]


def test_promotion_of_a_killed_hub_is_completed_within_a_minute(tmp_path: Path) -> None:
    with (
        moto_server() as server,
        relay(urlsplit(server.endpoint_url).port or 0) as between,
        live_hub(tmp_path, **replace(server, endpoint_url=between.url).environment()) as hub,
    ):
        hub.shell("User.objects.create_user('olga')")
        for channel in ("staging", "production"):
            hub.manage("createchannel", channel, "--owner", "olga")
        key = hub.manage("createapikey", "olga", "--name", "ci", "--scope", "read", "--scope", "upload")
        packages = [make_conda(tmp_path, version=f"{number}.0") for number in range(3)]
        for package in packages:
            assert upload(hub, "staging", package, key).status == 201
        between.gate.clear()
        thread = threading.Thread(target=promote, args=(hub, key))
        thread.start()
        assert between.held.wait(HEALED_S)
        while not json.loads(ask(hub, PROMOTIONS, key).body)["items"]:
            time.sleep(0.1)
        hub.kill()
        thread.join()
        between.gate.set()
        hub.start()
        begun = time.monotonic()
        assert state(hub, key) == "running"
        while state(hub, key) == "running" or len(records(hub, "production", "noarch", key)) < len(packages):
            assert time.monotonic() < begun + HEALED_S
            time.sleep(0.2)
        assert state(hub, key) == "done"
        for package in packages:
            assert fetched(hub, f"/production/noarch/{package.name}", key) == package.read_bytes()
