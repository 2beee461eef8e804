"""Tests of the plugin that looks for secrets in logs: its own run, with one test that logs a secret."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = """
import logging
import secrets

import jwt
from django.contrib.auth.models import User
from django.utils.crypto import get_random_string

from channels_app.authentication import api_keys as keys
from tests import issued_secrets


def test_logs() -> None:
    {statement}
"""


def run(folder: Path, statement: str, *options: str) -> subprocess.CompletedProcess[str]:
    path = folder / "test_logs.py"
    path.write_text(TEST.format(statement=statement))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.issued_secrets"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), *options, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ('logging.getLogger("hub").warning("made %s", secrets.token_urlsafe(32))', "WARNING hub [-]: made "),
        ('logging.getLogger("hub").error("for %s.", get_random_string(20))', "ERROR hub [-]: for "),
        ('issued_secrets.note_log(f"GET /t/{keys.new_secret()}/demo/noarch/repodata.json")', "GET /t/[hidden]/demo/"),
    ],
)
def test_a_secret_in_a_log_fails_the_run(tmp_path: Path, statement: str, shown: str) -> None:
    done = run(tmp_path, statement)
    assert "1 passed" in done.stdout
    assert done.returncode == 1
    assert "SECRET IN A LOG: " in done.stdout
    assert shown in done.stdout


def test_secrets_in_logs_of_xdist_workers_are_reported(tmp_path: Path) -> None:
    done = run(tmp_path, 'logging.getLogger("hub").warning("made %s", secrets.token_urlsafe(32))', "-n", "1")
    assert (done.returncode, "WARNING hub [-]: made " in done.stdout) == (1, True)


@pytest.mark.parametrize(
    "statement",
    [
        "secrets.token_urlsafe(32)",
        'logging.getLogger("hub").warning("made %s", keys.new_secret())',
        'issued_secrets.note_log("Administrator: admin, password: Ab1_-cdefghijklm (shown this once)")',
        'issued_secrets.note_log("Content-Type: text/plain; charset=utf-8\\n/invitations/abc\\n" + "-" * 79 + "\\n")',
    ],
)
def test_a_run_without_any_passes(tmp_path: Path, statement: str) -> None:
    done = run(tmp_path, statement)
    assert done.returncode == 0, done.stdout
    assert "0 lines of logs hold one" in done.stdout
