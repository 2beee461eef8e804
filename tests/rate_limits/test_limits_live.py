"""Tests of sign-in limits without Redis: a real hub counts them in its database."""

import re
import time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

from deploy.local import free_port
from tests.live import LiveHub, own_services

MOST = 3
WINDOW_S = 300
# Long enough for all tries to fall into one window.
FAST_ENOUGH_S = 60


def test_sign_ins_are_limited_while_redis_is_down(tmp_path: Path) -> None:
    settings = {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "HUB_ADMIN_PASSWORD": "correct horse battery",
        "HUB_RATE_LIMITS": f"sign-in-by-account={MOST}",
    }
    with own_services() as services:
        hub = LiveHub(tmp_path / "data", **services | settings)
        hub.take_tables()
        hub.start()
        if (left_s := WINDOW_S - time.time() % WINDOW_S) < FAST_ENOUGH_S:
            time.sleep(left_s)
        try:
            answers = [sign_in(hub, "wrong horse battery") for _ in range(MOST)] + [
                sign_in(hub, "correct horse battery")
            ]
        finally:
            hub.kill()
    assert [status for status, _ in answers] == [200] * MOST + [429]
    assert 0 < int(answers[-1][1] or 0) <= WINDOW_S
    assert "correct horse battery" not in hub.log()


def sign_in(hub: LiveHub, password: str) -> tuple[int, str | None]:
    """Return the status of a sign-in, and its Retry-After."""
    address = f"{hub.url}/accounts/login/"
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    page = browser.open(address, timeout=60).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    form = {"login": "admin", "password": password, "csrfmiddlewaretoken": token[1] if token else ""}
    try:
        answer = browser.open(Request(address, urlencode(form).encode()), timeout=60)
    except HTTPError as error:
        return error.code, error.headers.get("Retry-After")
    return answer.status, None
