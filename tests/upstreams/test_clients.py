"""py-rattler reads an upstream channel of a running hub, in each form, and asks the hub alone."""

import json
from pathlib import Path
from typing import Any

import httpx2

from tests.archives import make_conda
from tests.clients.reader import Reader
from tests.live import live_hub
from tests.upstreams.fake import FakeUpstream, record, running

CREATE = """
from channels_app.models import ChannelKind
from publishing.models import Upstream
from tests.builders import make_channel
channel = make_channel("forge", is_private=False, kind=ChannelKind.UPSTREAM)
Upstream.objects.create(channel=channel, url="{url}", subdirs=["noarch"], cooldown_days=7)
"""
FILTER = """
from publishing.models import Upstream
from publishing.upstreams import sync
upstream = Upstream.objects.select_related("channel").get()
Upstream.objects.update(filters={"exclude": ["lib >=2"]}, are_rules_new=True)
assert sync.sync(upstream.channel_id)
"""
SPECS = ("app", "lib <2", "other")


def add(forge: FakeUpstream, folder: Path, name: str, version: str, *depends: str) -> dict[str, Any]:
    path = make_conda(folder, name=name, version=version, depends=depends)
    return forge.add_package(name, path.read_bytes(), version=version, depends=list(depends))


def test_client_solves_and_installs_as_from_the_upstream(tmp_path: Path) -> None:
    with running(FakeUpstream()) as forge:
        host = forge.url.removeprefix("http://")
        found = [add(forge, tmp_path, "lib", "1.0"), add(forge, tmp_path, "lib", "2.0"), record("other")]
        found.append(add(forge, tmp_path, "app", "1.0", "lib >=1"))
        forge.publish(*found, forms=("shards", "zst", "json"))
        with live_hub(tmp_path, HUB_INTERNAL_HOSTS=host, HUB_PROXIES="0") as hub:
            hub.shell(CREATE.format(url=forge.url))
            hub.manage("syncupstream", "forge")
            for shards, zstd in ((True, True), (False, True), (False, False)):
                direct, proxied = (Reader(url, shards=shards, zstd=zstd) for url in (forge.url, f"{hub.url}/forge"))
                for spec in SPECS:
                    assert proxied.solve(spec) == direct.solve(spec)
            forge.requests.clear()
            reader = Reader(f"{hub.url}/forge")
            assert {"share/demo.txt", "conda-meta/app-1.0-0.json"} <= reader.install("app").keys()
            assert reader.install("app").keys() == reader.install("app").keys()
            assert forge.requests == {f"noarch/{name}.conda": 1 for name in ("app-1.0-0", "lib-2.0-0")}
            # A forged old time hides no record from the cooldown, in any form.
            forge.publish(*found, record("lib", "3.0", timestamp=1_000_000_000_000), forms=("shards", "zst", "json"))
            hub.manage("syncupstream", "forge")
            for shards, zstd in ((True, True), (False, True), (False, False)):
                text = json.dumps(Reader(f"{hub.url}/forge", shards=shards, zstd=zstd).records())
                assert ("lib-2.0" in text, "lib-3.0" in text) == (True, False)
            # Filters hide a record in all forms, without a poll, and its package even if it is cached.
            hub.shell(FILTER)
            for shards, zstd in ((True, True), (False, True), (False, False)):
                solved = Reader(f"{hub.url}/forge", shards=shards, zstd=zstd).solve("app")
                assert solved == ["app-1.0-0.conda", "lib-1.0-0.conda"]
            answer = httpx2.get(f"{hub.url}/forge/noarch/lib-2.0-0.conda")
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "held_back")
