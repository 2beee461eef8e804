"""Acts on many files whose hub is killed in the middle: a selection, a patch import and a night of retention."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from typing import Any

import pytest

from tests.clients.plain import ask, records, shard_records, until_settled, until_true, zst_records
from tests.live import LiveHub, live_hub

HEALED_S = 60
NAMES, VERSIONS = 30, 50
FILES = NAMES * VERSIONS
# No act reads the bytes, so these are no packages.
FILL = f"""
import hashlib
from django.db import transaction
from channels_app.packages import packages
from hub.storage import store
from publishing.index import builds
channel = Channel.objects.get(name="CHANNEL")
made = [Package.objects.create(channel=channel, name=f"lib-{{number}}") for number in range({NAMES})]
rows = []
for number in range({FILES}):
    package, version = made[number % {NAMES}], f"1.{{number // {NAMES}}}"
    name = package.name
    file_name, content = f"{{name}}-{{version}}-0.conda", str(number).encode()
    store().put(f"{{channel}}/noarch/{{file_name}}", content)
    facts = {{"name": name, "version": version, "build": "0", "build_number": 0, "subdir": "noarch", "depends": []}}
    rows.append(Artifact(
        channel=channel, package=package, subdir="noarch", file_name=file_name, version=version, build="0",
        build_number=0, revision=1, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(), index_json=facts, indexed_timestamp=1_790_000_000_000,
    ))
with transaction.atomic():
    Artifact.objects.bulk_create(rows)
    packages.refresh_each(Package.objects.filter(channel=channel))
    builds.schedule_build(channel, "noarch", sorted({{row.package.name for row in rows}}))
"""
YANKED = "answer = Artifact.objects.filter(removal='yanked', channel__name='{}').count()"
EVENTS = "answer = AuditEvent.objects.filter(action='{}', channel__name='{}').count()"
PATCHES = "from publishing.models import Patch\nanswer = Patch.objects.filter(ended_at=None).count()"
# The rule waits since the day before yesterday.
ADD_RULE = """
from datetime import timedelta
from django.utils import timezone
waits_since = timezone.now() - timedelta(days=2)
channel = Channel.objects.get(name='{}')
RetentionRule.objects.create(channel=channel, title="keep two", keep_versions=2, ran_at=waits_since)
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with live_hub(tmp_path_factory.mktemp("killed")) as hub:
        hub.shell("User.objects.create_user('olga')")
        yield hub


@pytest.fixture(scope="module")
def key(hub: LiveHub) -> str:
    scopes = [word for scope in ("read", "delete", "manage") for word in ("--scope", scope)]
    return hub.manage("createapikey", "olga", "--name", "ci", *scopes)


def fill(hub: LiveHub, channel: str) -> None:
    """Create a channel with files and a complete index."""
    hub.manage("createchannel", channel, "--owner", "olga", "--public")
    hub.shell(FILL.replace("CHANNEL", channel))
    until_settled(hub)


def check(hub: LiveHub, channel: str, listed: int) -> None:
    """Check that each form of the index has so many files, and that verification finds no difference."""
    until_settled(hub)
    for form in (records, zst_records, shard_records):
        assert len(form(hub, channel, "noarch")) == listed
    hub.manage("verify", channel, "--hash")


def killed(hub: LiveHub, act: Callable[[], object], after_s: float) -> None:
    """Begin the act, kill the hub after a moment, and start it again."""

    def begin() -> None:
        with suppress(OSError, HTTPException):
            act()

    thread = threading.Thread(target=begin)
    thread.start()
    time.sleep(after_s)
    hub.kill()
    thread.join()
    hub.start()


def send(hub: LiveHub, path: str, key: str, body: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    answer = ask(hub, f"/api/v1/channels/{path}", key, method="POST", body=json.dumps(body).encode(), headers=headers)
    assert answer.status < 300, answer.text


def test_selection_of_a_killed_hub_is_yanked_whole_or_not_at_all(hub: LiveHub, key: str) -> None:
    channel = "selected"
    fill(hub, channel)

    def yank_each() -> None:
        for name in range(NAMES):
            body = {"action": "yank", "reason": "killed", "filter": {"name": f"lib-{name}"}}
            send(hub, f"{channel}/removals", key, body)

    killed(hub, yank_each, after_s=0.4)
    yanked = hub.shell(YANKED.format(channel))
    assert (yanked % VERSIONS, yanked) == (0, hub.shell(EVENTS.format("artifact.yank", channel)))
    check(hub, channel, FILES - yanked)


def test_patches_of_a_killed_hub_are_imported_whole_or_not_at_all(hub: LiveHub, key: str) -> None:
    channel = "patched"
    fill(hub, channel)
    files = [f"lib-{name}-1.{version}-0.conda" for name in range(NAMES) for version in range(VERSIONS)]
    changes = {file_name: {"depends": ["six"]} for file_name in files}
    body = {"patch_instructions_version": 1, "packages": {}, "packages.conda": changes, "revoke": [], "remove": []}
    killed(hub, partial(send, hub, f"{channel}/patches/imports?subdir=noarch", key, body), after_s=0.5)
    check(hub, channel, FILES)
    patched = sum(record["depends"] == ["six"] for record in records(hub, channel, "noarch").values())
    assert (hub.shell(PATCHES), patched) in [(0, 0), (1, FILES)]


@pytest.mark.parametrize("part", ["worker", "hub"])
def test_retention_that_is_killed_goes_on_within_a_minute(hub: LiveHub, part: str) -> None:
    channel = f"retention-{part}"
    fill(hub, channel)
    hub.shell(ADD_RULE.format(channel))
    until_true(hub, f"Artifact.objects.filter(removal='yanked', channel__name='{channel}').exists()", HEALED_S)
    if part == "hub":
        hub.kill()
        hub.start()
    for pid in hub.part(part):
        os.kill(pid, signal.SIGKILL)
    until_true(hub, f"AuditEvent.objects.filter(action='retention.run', channel__name='{channel}').exists()", HEALED_S)
    yanked = FILES - NAMES * 2
    assert hub.shell(EVENTS.format("retention.run", channel)) == 1
    assert hub.shell(YANKED.format(channel)) == hub.shell(EVENTS.format("artifact.yank", channel)) == yanked
    check(hub, channel, FILES - yanked)
