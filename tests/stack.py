"""The services of docker-compose.yml as a live hub: nginx, two web processes, workers and beat.

PostgreSQL, Redis and S3 are those of `.ci/services`, shared by all tests. Each stack has its own database and bucket.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from urllib.request import urlopen

from tests.live import LiveHub, live_hub, own_services, running
from tests.stores import S3Server

# A value of HUB_DELIVERY: client tests then use stacks with this delivery. Without it they use `manage.py runhub`.
DELIVERY = os.environ.get("TEST_DELIVERY", "")


class LiveStack(LiveHub):
    """The hub that `python -m deploy.stack` runs below `data_dir`. It starts the servers that no setting names."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the exported environment of the hub's processes, without settings of this process."""
        lines = shlex.split((self.data_dir / "environment").read_text())
        return self.inherited | dict(word.split("=", 1) for word in lines if word != "export")

    def spawn(self) -> subprocess.Popen[bytes]:
        return self.logged([sys.executable, "-m", "deploy.stack"], super().environment)


@contextmanager
def client_hub(folder: Path, **settings: str) -> Iterator[LiveHub]:
    """Run the hub for client tests: the stack if TEST_DELIVERY is set, else `manage.py runhub`."""
    if not DELIVERY:
        with live_hub(folder, **settings) as hub:
            yield hub
        return
    folder.mkdir(exist_ok=True)
    bucket = S3Server(os.environ["TEST_S3_URL"], "hub", "hub-secret", "").with_new_bucket()
    with own_services() as services:
        own = services | bucket.environment() | {"HUB_DELIVERY": DELIVERY}
        hub = LiveStack(folder / "data", **own, **settings)
        hub.start()
        try:
            yield hub
        finally:
            hub.kill()


def web_processes(hub: LiveHub) -> dict[int, str]:
    """Return pid → port of the two gunicorn masters, sorted by port.

    A process that is starting or ending is left out.
    """
    children = {pid: command for pid, (parent, command) in running().items() if parent == hub.process.pid}
    bound = {pid: re.search(r"gunicorn .*--bind 127.0.0.1:(\d+)", command) for pid, command in children.items()}
    return dict(sorted(((pid, found[1]) for pid, found in bound.items() if found), key=itemgetter(1)))


def is_listening(port: str) -> bool:
    try:
        urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
    except OSError:
        return False
    return True
