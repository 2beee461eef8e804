"""Tests of `manage.py check --deploy`: no warning for a correct hub, one warning for each mistake."""

import logging
import os
import subprocess
from pathlib import Path

import pytest
from pytest_django import Settings

from hub import deployment
from hub.storage.probes import ProbeOutcome, ProbeResult
from tests.forked import run_manage

PRODUCTION = {
    "HUB_PUBLIC_URL": "https://hub.example.org",
    "HUB_PROXIES": "1",
    "EMAIL_URL": "smtp+tls://hub:word@mail.example.org:587",
    "SECRET_KEY": "",
}
# Mistake → the variables that make it, and a part of its warning.
WRONG = {
    "no https": (
        {"HUB_PUBLIC_URL": "http://hub.example.org"},
        "(hub.W001) HUB_PUBLIC_URL is http://hub.example.org; expected https, because over http keys",
    ),
    "no proxy": (
        {"HUB_PROXIES": "0"},
        "(hub.W002) HUB_PUBLIC_URL is https and HUB_PROXIES 0; expected the number of proxies",
    ),
    "printed mails": ({"EMAIL_URL": "consolemail://"}, "(hub.W003) Mails are printed; expected EMAIL_URL, such as"),
    "a queue for everybody": (
        {"REDIS_URL": "redis://redis.example.org:6379/0"},
        "(hub.W005) REDIS_URL has no password or a well-known one; set a secret password.",
    ),
    "debugging": ({"HUB_DEBUG": "true"}, "(security.W018) You should not have DEBUG set to True in deployment."),
}


def check(tmp_path: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    own = ("HUB_", "AWS_", "DATABASE_", "REDIS_", "DJANGO_ALLOW_ASYNC_UNSAFE")
    keep = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment = keep | {"HUB_DATA_DIR": str(tmp_path / "data")} | PRODUCTION | changed
    return run_manage("check", "--deploy", "--fail-level", "WARNING", environment=environment)


def test_production_settings_are_clean(tmp_path: Path) -> None:
    found = check(tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert "no issues" in found.stdout


@pytest.mark.parametrize(("changed", "sentence"), WRONG.values(), ids=WRONG)
def test_each_bad_setting_gives_one_warning(tmp_path: Path, changed: dict[str, str], sentence: str) -> None:
    found = check(tmp_path, **changed)
    assert found.returncode != 0
    assert sentence in found.stderr
    # Without TLS, Django adds its own warnings.
    assert found.stderr.count("(hub.") == ("(hub." in sentence)


@pytest.mark.parametrize(
    ("host", "password", "is_weak"),
    [
        ("redis.example.org", None, True),
        ("redis.example.org", "changeme", True),
        ("redis.example.org", "Zq0wq8", False),
        ("127.0.0.1", None, False),
        ("/run/redis.sock", None, False),
        (None, None, False),
    ],
)
def test_only_servers_of_this_machine_may_do_without_a_password(
    host: str | None, password: str | None, is_weak: bool
) -> None:
    assert bool(deployment._weak("REDIS_URL", host, password)) is is_weak


@pytest.mark.parametrize(
    ("vendor", "storage", "is_said"),
    [("postgresql", "s3", True), ("postgresql", "filesystem", False), ("sqlite", "s3", False)],
)
def test_generated_secret_key_with_several_machines_gives_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: str, storage: str, is_said: bool
) -> None:
    monkeypatch.setattr(deployment, "connection", type("Connection", (), {"vendor": vendor}))
    settings.HUB_DATA_DIR, settings.HUB_STORAGE, settings.SECRET_KEY = tmp_path, storage, "kept"
    assert deployment.secret_key() == ""
    (tmp_path / "secret_key").write_text("kept")
    assert deployment.secret_key().startswith("SECRET_KEY is the one in the data folder") is is_said


def test_a_log_that_shows_secrets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.root, "handlers", [logging.StreamHandler()])
    assert deployment.redaction().startswith("A log handler shows secrets")


@pytest.mark.parametrize(
    ("finding", "is_grave"),
    [
        (ProbeResult("private", ProbeOutcome.LIMITED, "Everybody reads it."), True),
        (ProbeResult("put and get", ProbeOutcome.BROKEN, "Nothing is there."), True),
        (ProbeResult("latency", ProbeOutcome.LIMITED, "It is slow."), False),
        (ProbeResult("private", ProbeOutcome.WORKS, "Nobody reads it."), False),
    ],
)
def test_missing_or_public_store_gives_a_warning(
    monkeypatch: pytest.MonkeyPatch, finding: ProbeResult, is_grave: bool
) -> None:
    monkeypatch.setattr(deployment, "check", lambda store: [finding])
    assert deployment.package_store() == (finding.sentence if is_grave else "")
