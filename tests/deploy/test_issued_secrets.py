"""Tests of the plugin that looks for secrets in logs: its own run, with tests that log secrets."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEST = """
import logging
import secrets

import jwt
from django.contrib.auth.models import User
from django.utils.crypto import get_random_string

from channels_app.authentication import api_keys as keys
from tests import issued_secrets

"""
MADE = "WARNING hub [-]: made "
LEAK = 'logging.getLogger("hub").warning("made %s", secrets.token_urlsafe(32))'


def run(folder: Path, statements: Iterable[str], *options: str) -> subprocess.CompletedProcess[str]:
    path = folder / "test_logs.py"
    tests = [f"def test_{number}():\n    {statement}\n" for number, statement in enumerate(statements)]
    path.write_text(TEST + "\n".join(tests))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.issued_secrets"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), *options, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_each_secret_in_a_log_is_shown_and_fails_the_run(tmp_path: Path) -> None:
    shown = {
        LEAK: MADE,
        'logging.getLogger("hub").error("for %s.", get_random_string(20))': "ERROR hub [-]: for ",
        'issued_secrets.note_log(f"GET /t/{keys.new_secret()}/demo/noarch/repodata.json")': "GET /t/[hidden]/demo/",
    }
    done = run(tmp_path, shown)
    assert (done.returncode, "3 passed" in done.stdout) == (1, True)
    found = [line for line in done.stdout.splitlines() if line.startswith("SECRET IN A LOG: ")]
    assert [start for start in shown.values() if not any(start in line for line in found)] == []


def test_secrets_in_logs_of_xdist_workers_are_reported(tmp_path: Path) -> None:
    done = run(tmp_path, [LEAK], "-n", "1")
    assert (done.returncode, MADE in done.stdout) == (1, True)


def test_a_run_without_any_passes(tmp_path: Path) -> None:
    statements = (
        "secrets.token_urlsafe(32)",
        'logging.getLogger("hub").warning("made %s", keys.new_secret())',
        'issued_secrets.note_log("Administrator: admin, password: Ab1_-cdefghijklm (shown this once)")',
        'issued_secrets.note_log("Content-Type: text/plain; charset=utf-8\\n/invitations/abc\\n" + "-" * 79 + "\\n")',
    )
    done = run(tmp_path, statements)
    assert done.returncode == 0, done.stdout
    assert "0 lines of logs hold one" in done.stdout
