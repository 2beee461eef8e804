"""Tests of error reports to Sentry: they arrive with version and request id, without secrets and personal data."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hub import VERSION
from tests.builders import NO_KEY

ROOT = Path(__file__).parents[2]
# A request that fails, because the database has no tables; then a log line, and a job.
PROGRAM = f"""
import django
django.setup()
import logging, sentry_sdk
from django.test import Client
from publishing.tasks import build_index
client = Client(raise_request_exception=False)
answer = client.post(
    "/t/{NO_KEY}/demo/noarch/repodata.json?token={NO_KEY}", {{"password": "tungsten-Lantern"}},
    headers={{"Authorization": "Bearer {NO_KEY}", "Cookie": "sessionid=abcdefghijkl"}},
)
client.get("/t/{NO_KEY}/demo/noarch/repodata.json?token={NO_KEY}", headers={{"Cookie": "sessionid=abcdefghijkl"}})
logging.getLogger("hub").error("it failed for %s", "{NO_KEY}")
build_index.apply(args=(7,), throw=False)
sentry_sdk.flush(10)
"""


class Sentry(ThreadingHTTPServer):
    """A server that records events. An envelope is lines of JSON (develop.sentry.dev, "Envelopes")."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[str] = []

    def events(self) -> list[dict[str, Any]]:
        items = [json.loads(line) for text in self.received for line in text.splitlines() if line.startswith("{")]
        return [item for item in items if "exception" in item or "logentry" in item]


class Handler(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.received.append((gzip.decompress(body) if is_packed else body).decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def sentry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentry]:
    """Return the events of a hub with three failures."""
    with Sentry() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        run(tmp_path_factory.mktemp("data"), f"http://public@127.0.0.1:{server.server_port}/1")
        server.shutdown()
        thread.join()
        yield server


def run(data_dir: Path, dsn: str, program: str = PROGRAM) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "DATABASE_", "REDIS_"))}
    variables = {"HUB_DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": "hub.settings", "SENTRY_DSN": dsn}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=kept | variables, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_errors_of_requests_jobs_and_the_log_arrive(sentry: Sentry) -> None:
    told = json.dumps(sentry.events())

    assert "no such table" in told
    assert "it failed for [hidden]" in told
    assert "publishing.tasks.build_index" in told


def test_each_names_the_version_and_the_request(sentry: Sentry) -> None:
    events = sentry.events()

    assert {event["release"] for event in events} == {VERSION}
    assert all(event["tags"]["request_id"] for event in events)


def test_sentry_event_contains_no_secret_and_only_the_url(sentry: Sentry) -> None:
    told = "".join(sentry.received)

    for secret in (NO_KEY, "tungsten-Lantern", "abcdefghijkl"):
        assert secret not in told
    for event in sentry.events():
        assert set(event.get("request", {})) <= {"method", "url", "query_string"}
        frames = [
            frame for each in event.get("exception", {}).get("values", []) for frame in each["stacktrace"]["frames"]
        ]
        assert not any("vars" in frame for frame in frames)
        assert "user" not in event


def test_without_the_setting_the_library_is_not_even_loaded(tmp_path: Path) -> None:
    program = "import django, sys; django.setup(); print('sentry_sdk' in sys.modules)"

    assert run(tmp_path, "", program).strip() == "False"
