"""importchannel in separate processes: killed, interrupted, and two at once."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.storage.folder import FolderStore
from publishing.management.commands import importchannel
from tests.archives import make_conda
from tests.live import MANAGE, LiveHub, own_services

COUNT = 300
ARGUMENTS = ("importchannel", "demo", "--owner", "olga")
END_S = 120
STATE = """
from channels_app.models import Artifact, AuditEvent
from publishing.models import Reservation, SubdirIndex
events = AuditEvent.objects.filter(action="artifact.import").values_list("target", flat=True)
answer = {
    "rows": Artifact.objects.count(), "events": events.count(), "targets": len(set(events)),
    "claims": Reservation.objects.count(),
    "stale": [index.subdir for index in SubdirIndex.objects.all() if index.requested_revision > index.built_revision],
}
"""
WHOLE = {"rows": COUNT, "events": COUNT, "targets": COUNT, "claims": 0, "stale": []}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    """Yield a stopped hub with packages that have no row in its database."""
    with own_services() as services:
        hub = LiveHub(tmp_path / "data", **services)
        hub.take_tables()
        hub.shell("from tests.builders import make_user; make_user()")
        store = FolderStore(hub.data_dir / "channels")
        for number in range(COUNT):
            path = make_conda(tmp_path, name=f"lib-{number // 3}", version=f"1.{number % 3}")
            store.put(f"demo/noarch/{path.name}", path)
        yield hub


def started_import(hub: LiveHub) -> subprocess.Popen[bytes]:
    return hub.logged([*MANAGE, *ARGUMENTS], hub.environment)


def state(hub: LiveHub) -> dict[str, Any]:
    found: dict[str, Any] = hub.shell(STATE)
    return found


def until_some_are_in(hub: LiveHub, process: subprocess.Popen[bytes]) -> None:
    """Wait until a package was read; the first batch is recorded soon after."""
    uploads = hub.data_dir / "uploads"
    deadline = time.monotonic() + END_S
    while time.monotonic() < deadline and process.poll() is None:
        if any(uploads.glob("import-*")):
            return
        time.sleep(0.001)


@pytest.mark.parametrize("delay_s", [0, 0.1, 0.3])
def test_import_killed_goes_on_where_it_ended(hub: LiveHub, delay_s: float) -> None:
    process = started_import(hub)
    until_some_are_in(hub, process)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= importchannel.NICE
    time.sleep(delay_s)
    process.kill()
    process.wait(END_S)
    before = state(hub)
    assert before["rows"] == before["events"] == before["targets"]
    assert "not imported: 0" in hub.manage(*ARGUMENTS)
    assert state(hub) == WHOLE


def test_import_interrupted_leaves_no_reservation(hub: LiveHub) -> None:
    process = started_import(hub)
    until_some_are_in(hub, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(END_S) in (0, 130)
    assert "Traceback" not in hub.log()
    assert (state(hub)["claims"], list((hub.data_dir / "uploads").iterdir())) == (0, [])
    hub.manage(*ARGUMENTS)
    assert state(hub) == WHOLE


def test_imports_at_once_take_each_package_in_once(hub: LiveHub) -> None:
    hub.manage("createchannel", "demo", "--owner", "olga")
    processes = [started_import(hub), started_import(hub)]
    codes = [process.wait(END_S) for process in processes]
    found = state(hub)
    assert (found["rows"], found["events"], found["targets"], found["claims"]) == (COUNT, COUNT, COUNT, 0)
    assert codes == [0, 0], hub.log()
