"""A plugin (`-p tests.issued_secrets`) that fails the run if a secret issued by the tests is in the hub's log.

It is loaded first, because other modules import the makers of secrets by name. With xdist each worker reports its own.
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import django.utils.crypto
import jwt
import oauthlib.common  # type: ignore[import-untyped]
import pytest

SHORTEST = 16
LEAK = "<- of a live hub, hidden here alone"
OF_WORKERS = pytest.StashKey[list[str]]()
ISSUED = pytest.StashKey[int]()  # number from the workers
# Printed on purpose: the administrator's first password, and mails without a mail server.
PRINTED = re.compile(r"^Administrator: .*$|^Content-Type: text/plain; charset=.*?^-{79}$", re.MULTILINE | re.DOTALL)

issued: set[str] = set()
logs: list[str] = []


def remembered(make: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `make` so that its results are recorded as secrets."""

    @wraps(make)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        if isinstance(made, str) and len(made) >= SHORTEST:
            issued.add(made)
        return made

    return wrapper


for module, name in (
    (secrets, "token_urlsafe"),
    (django.utils.crypto, "get_random_string"),
    (oauthlib.common, "generate_token"),
    (jwt, "encode"),
):
    setattr(module, name, remembered(getattr(module, name)))


class Listener(logging.Handler):
    """A log handler that stores every line in the hub's format."""

    def emit(self, record: logging.LogRecord) -> None:
        logs.append(self.format(record))


def pytest_sessionstart() -> None:
    """Wrap the makers of secrets and the log, after Django is set up."""
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.tokens import PasswordResetTokenGenerator
    from django.core.signing import Signer

    from channels_app.authentication import api_keys
    from hub.observability.logs import TextFormatter

    for holder, name in (
        (api_keys, "new_secret"),
        (PasswordResetTokenGenerator, "make_token"),
        (Signer, "sign"),
        (Signer, "sign_object"),
    ):
        setattr(holder, name, remembered(getattr(holder, name)))
    set_password = AbstractBaseUser.set_password

    def remembering(user: AbstractBaseUser, raw_password: str | None) -> None:
        if raw_password and len(raw_password) >= SHORTEST:
            issued.add(raw_password)
        set_password(user, raw_password)

    AbstractBaseUser.set_password = remembering  # type: ignore[assignment,method-assign]
    listener = Listener()
    listener.setFormatter(TextFormatter())
    logging.getLogger().addHandler(listener)


def note_log(text: str) -> None:
    """Record the log of a live hub. Its secrets are unknown here, so they are recognised by their shape."""
    from hub.observability.redaction import HIDDEN, redacted

    text = PRINTED.sub("", text)
    logs.append(text)
    found = [line for line in text.splitlines() if redacted(line) != line]
    logs.extend(f"{redacted(line)} {LEAK}" for line in found if HIDDEN in redacted(line))


def leaks() -> Iterator[str]:
    """Yield the lines that contain a secret, which is shortened."""
    begins: dict[str, list[str]] = {}
    for secret in issued:
        begins.setdefault(secret[:SHORTEST], []).append(secret)
    for line in "\n".join(logs).splitlines():
        if line.endswith(LEAK):
            yield line
        for start in range(len(line) - SHORTEST + 1):
            for secret in begins.get(line[start : start + SHORTEST], ()):
                if line.startswith(secret, start):
                    yield line.replace(secret, f"{secret[:8]}[…]")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    found = sorted(set(leaks()))
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leaks"] = found
        session.config.workeroutput["issued"] = len(issued)
        return
    reported = session.config.stash.setdefault(OF_WORKERS, [])
    reported += found
    if reported:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class Workers:
    """The hooks of the controller, which only xdist calls."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", {})
        node.config.stash.setdefault(OF_WORKERS, []).extend(output.get("leaks", []))
        node.config.stash[ISSUED] = node.config.stash.get(ISSUED, 0) + output.get("issued", 0)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Workers())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(OF_WORKERS, [])
    count = config.stash.get(ISSUED, 0) + len(issued)
    terminalreporter.write_line(f"{count} secrets were issued; {len(found)} lines of logs hold one.")
    for line in found:
        terminalreporter.write_line(f"SECRET IN A LOG: {line}", red=True)
