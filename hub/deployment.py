"""Checks of `manage.py check --deploy` for a public hub, besides Django's own. Each returns its warning, or ""."""

import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.db import connection

from hub import private_files
from hub.observability.redaction import HIDDEN
from hub.storage import store
from hub.storage.checks import check
from hub.storage.probes import ProbeOutcome

LOCAL_HOSTS = {None, "", "127.0.0.1", "::1", "localhost"}
# Passwords of examples and images.
KNOWN_PASSWORDS = {"", "admin", "changeme", "hub", "password", "postgres", "redis", "secret"}
A_SECRET = "Authorization: Bearer chub-" + "0" * 40


def public_url() -> str:
    if settings.HUB_PUBLIC_URL.startswith("https://"):
        return ""
    return (
        f"HUB_PUBLIC_URL is {settings.HUB_PUBLIC_URL}; expected https, because over http keys can be read in transit."
    )


def proxies() -> str:
    if settings.HUB_PROXIES or not settings.HUB_PUBLIC_URL.startswith("https://"):
        return ""
    return "HUB_PUBLIC_URL is https and HUB_PROXIES 0; expected the number of proxies, one of which terminates TLS."


def mails() -> str:
    if not settings.EMAIL_BACKEND.endswith(".console.EmailBackend"):
        return ""
    return "Mails are printed; expected EMAIL_URL, such as smtp+tls://user:password@mail.example.org:587."


def secret_key() -> str:
    """Warn about a local key with a shared database and store: a second machine would need the same key."""
    if connection.vendor != "postgresql" or settings.HUB_STORAGE == "filesystem":
        return ""
    kept = Path(settings.HUB_DATA_DIR) / "secret_key"
    if not kept.exists() or kept.read_text() != settings.SECRET_KEY:
        return ""
    return "SECRET_KEY is the one in the data folder; set the variable, so that all machines use the same key."


def broker() -> str:
    if not settings.REDIS_URL:
        return ""
    return _weak("REDIS_URL", urlsplit(settings.REDIS_URL).hostname, urlsplit(settings.REDIS_URL).password)


def database() -> str:
    if connection.vendor != "postgresql":
        return ""
    return _weak("DATABASE_URL", connection.settings_dict["HOST"], connection.settings_dict["PASSWORD"])


def redaction() -> str:
    record = logging.makeLogRecord({"msg": A_SECRET, "levelno": logging.INFO, "levelname": "INFO"})
    if all(HIDDEN in handler.format(record) for handler in logging.root.handlers):
        return ""
    return "A log handler shows secrets; expected only handlers of hub.observability.logs, which redact them."


def package_store() -> str:
    """Probe the store itself; see `manage.py checkstore`."""
    bad = [finding for finding in check(store()) if finding.outcome is not ProbeOutcome.WORKS]
    grave = [found for found in bad if found.outcome is ProbeOutcome.BROKEN or found.probe.startswith("private")]
    return " ".join(found.sentence for found in grave)


def files() -> str:
    return private_files.open_files_warning(Path(settings.HUB_DATA_DIR), readers=settings.HUB_READERS_GROUP)


def _weak(name: str, host: str | None, password: str | None) -> str:
    """Return a warning if the password is known. Servers on this machine may have none."""
    if host in LOCAL_HOSTS or str(host).startswith("/") or (password or "") not in KNOWN_PASSWORDS:
        return ""
    return f"{name} has no password or a well-known one; set a secret password."


FINDERS = {
    "hub.W001": public_url,
    "hub.W002": proxies,
    "hub.W003": mails,
    "hub.W004": secret_key,
    "hub.W005": broker,
    "hub.W006": database,
    "hub.W007": redaction,
    "hub.W008": package_store,
    "hub.W009": files,
}


@checks.register(checks.Tags.security, deploy=True)
def check_deployment(**_: Any) -> list[checks.CheckMessage]:
    found = {number: find() for number, find in FINDERS.items()}
    return [checks.Warning(sentence, id=number) for number, sentence in found.items() if sentence]
