"""A live hub and Debian's Chromium. Console errors of every page that a test opens fail the test."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.clients.plain import seconds_until
from tests.live import LiveHub, live_hub
from tests.oidc import FakeIssuer, fake_issuer
from tests.sign_in_provider import SignInProvider, sign_in_provider

# The headless shell is the same browser without its windows, and takes half of the processor time.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ("no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync")
PASSWORD = "tungsten-Lantern-7"
# Long, because a busy machine is slow; elements that exist are found at once.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
PEOPLE = ("olga", "max", "sam", "ada")
# Well below ACCOUNT_REAUTHENTICATION_TIMEOUT, after which the hub asks for another sign-in.
SESSION_S = 5 * 60
# The browser's own console messages about intended error responses. Messages of scripts and policies look different.
EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of (403|404|409|422) ")

NODE_MODULES = Path(__file__).parents[2] / "build" / "npm" / "node_modules"


def needed(path: Path, what: str) -> Path:
    """Return `path`, or skip the test with the command that installs it. In CI, fail instead."""
    if not path.exists():
        assert "CI" not in os.environ, f"{what} is missing"
        pytest.skip(f"{what} is missing; `.ci/browser` installs it")
    return path


@dataclass
class Person:
    """A user with their own browser. `page` is signed in, except for an anonymous visitor."""

    page: Page
    url: str

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.url}{path}")
        return self.page


Visit = Callable[..., Person]
# (URL of the hub, username) → cookies and the time at which they are signed in anew
Sessions = dict[tuple[str, str], tuple[list[Any], float]]
UNLIMITED = ("HUB_USER_CHANNELS", "HUB_USER_BYTES", "HUB_USER_PACKAGES_A_DAY", "HUB_USER_KEYS")


def shared_settings() -> dict[str, str]:
    """Return settings without limits: all tests of a process come from one address and share a few users."""
    from channels_app.rate_limits.counters import LIMITS  # needs Django's settings, which the screenshots lack

    rate_limits = ",".join(f"{name}=100000" for name in LIMITS)
    own = {"HUB_DOWNLOAD_COUNT_S": "1", "HUB_RATE_LIMITS": rate_limits, "HUB_SIGN_UP": "open"}
    return own | dict.fromkeys(UNLIMITED, "0")


@pytest.fixture(scope="package")
def issuer() -> Iterator[FakeIssuer]:
    """Run an issuer of GitHub-like identity tokens. `hub` may fetch its keys."""
    with fake_issuer() as issuer:
        yield issuer


@pytest.fixture(scope="package")
def provider() -> Iterator[SignInProvider]:
    """Run a sign-in provider that `hub` calls Acme."""
    with sign_in_provider() as provider:
        yield provider


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory, issuer: FakeIssuer, provider: SignInProvider) -> Iterator[LiveHub]:
    folder = tmp_path_factory.mktemp("hub")
    with live_hub(folder, **shared_settings(), HUB_INTERNAL_HOSTS=issuer.host, **provider.settings()) as hub:
        make_people(hub)
        yield hub


def make_people(hub: LiveHub) -> None:
    hub.shell(f"for name in {PEOPLE}: User.objects.create_user(name, password='{PASSWORD}')")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    needed(Path(CHROMIUM), "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in FLAGS])
        yield browser
        # Beside an open event loop, Django has other connections than those that it closes after the tests.
        connections.close_all()
        browser.close()


@pytest.fixture(scope="package")
def sessions() -> Sessions:
    return {}


@pytest.fixture
def visit(hub: LiveHub, browser: Browser, sessions: Sessions) -> Iterator[Visit]:
    """Return `visit(username or None, javascript=…, width=…, of=hub)` → Person. It is watched until the test ends.

    A user's tests share a session, so a test that signs out calls `sign_in()` itself.
    """
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def watch(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED.match(message.text):
            problems.append(f"{message.page and message.page.url}: {message.text}")

    def enter(username: str | None, *, javascript: bool = True, width: int = 1280, of: LiveHub = hub) -> Person:
        context = browser.new_context(
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=of.url)
        context.on("console", watch)
        context.on("weberror", lambda error: problems.append(str(error.error)))
        person = Person(context.new_page(), of.url)
        if username:
            resume(sessions, person, username)
        return person

    yield enter
    for context in contexts:
        context.close()
    assert problems == []


def copied(page: Page, beginning: str) -> str:
    """Return the clipboard once it begins with `beginning`; the page's script runs after the click."""

    def read() -> str:
        content: str = page.evaluate("navigator.clipboard.readText()")
        return content

    seconds_until(lambda: read().startswith(beginning))
    return read()


def sign_in(person: Person, username: str) -> None:
    page = person.open("/accounts/login/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{person.url}/")


def resume(sessions: Sessions, person: Person, username: str) -> None:
    """Continue the user's session, or sign in for one."""
    cookies, ends_at = sessions.get((person.url, username), ([], 0.0))
    if monotonic() < ends_at:
        person.page.context.add_cookies(cookies)
    else:
        sign_in(person, username)
        sessions[person.url, username] = person.page.context.cookies(), monotonic() + SESSION_S
