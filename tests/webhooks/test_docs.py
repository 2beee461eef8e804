"""Test of the receiver in docs/webhooks.md: it accepts signed messages only."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from channels_app.docs.views import FOLDER
from channels_app.webhooks import signing
from deploy.local import free_port
from hub import fetching
from hub.fetching import FetchError

LINES_MAX = 20


def post(url: str, headers: dict[str, str], body: bytes) -> int:
    """Send a message, and wait for the receiver to start."""
    for _ in range(100):
        try:
            return fetching.post(url, body, headers, max_bytes=10).status
        except FetchError:
            time.sleep(0.1)
    pytest.fail("The receiver does not answer.")


def test_receiver_of_the_docs_accepts_signed_messages_only(tmp_path: Path, settings: Settings) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (FOLDER / "webhooks.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= LINES_MAX
    (tmp_path / "receiver.py").write_text(code)
    secret, port = signing.new_secret(), free_port()
    settings.HUB_INTERNAL_HOSTS = [f"127.0.0.1:{port}"]
    environment = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, tmp_path / "receiver.py"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as receiver:
        try:
            body, now, url = b'{"type":"index.built"}', int(time.time()), f"http://127.0.0.1:{port}/"
            headers = signing.headers(secret, message_id="msg_1", timestamp_s=now, body=body)
            assert post(url, headers, body) == 204
            assert post(url, headers, body + b" ") == 401
            assert post(url, headers | {"webhook-id": "msg_2"}, body) == 401
            assert post(url, signing.headers(secret, message_id="msg_1", timestamp_s=now - 400, body=body), body) == 401
            other = signing.headers(signing.new_secret(), message_id="msg_1", timestamp_s=now, body=body)
            assert post(url, other, body) == 401
        finally:
            receiver.terminate()
        assert receiver.communicate()[0] == b"index.built\n"
