"""Tests of numbers with thousands of digits wherever a request can have one: 400 or 416, never 500."""

import re
from http import HTTPStatus
from itertools import cycle, product
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from channels_app.rate_limits.counters import LIMITS
from hub.http.middleware import is_number_up_to
from tests.access.test_matrix import ARGUMENTS, address, is_admins
from tests.callers import CALLERS, make_world
from tests.routes import every_route, path_values

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
LONG = "9" * 5000
# Spellings that int() accepts.
SPELLINGS = [LONG, "-" + LONG, "1_0" * 2500, "٣" * 5000, "%39" * 2000, "0x" + LONG, LONG + ".5"]
FIELDS = ["id", "pk", "page", "revoke", "retry", "dismiss", "code", "max_upload_bytes", "lifetime", "channels",
          "query", "token", "grant_type", "client_id", "user_code", "form-TOTAL_FORMS", "_selected_action", "action",
          "role"]  # fmt: skip
HEADERS = ["Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cookie", "If-Match", "If-Modified-Since",
           "If-None-Match", "If-Range", "If-Unmodified-Since", "Origin", "Referer", "User-Agent", "X-File-Name",
           "X-File-SHA256", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID", "Content-Type"]  # fmt: skip


@pytest.fixture(autouse=True)
def world(settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = dict.fromkeys(LIMITS, 10**6)
    make_world()


def parameters() -> set[str]:
    """Return the names of all query parameters that views read."""
    found = set()
    for folder in ("channels_app", "publishing", "hub"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(re.findall(r'GET(?:\.get|\.getlist)?[(\[]"(\w+)"', path.read_text()))
    return found | {
        "page",
        "next",
        "p",
        "q",
        "o",
        "id__exact",
        "_facets",
        "revoke",
        "code",
        "state",
        "client_id",
        "max_age",
    }


def paths() -> list[str]:
    """Return a path of every route; of the admin, only the list pages."""
    own = [address(route) for route in every_route() if not is_admins(route) and not route.startswith("/")]
    admin = [reverse(route) for route in every_route() if route.startswith("admin:") and route.endswith("_changelist")]
    return [*own, *admin]


@pytest.mark.parametrize("caller", ["anon", "admi", "kRea"])
def test_long_number_in_a_query_is_refused(caller: str) -> None:
    """Send a parameter to each path, and each parameter to some path: the refusal comes before the route's view."""
    client = CALLERS[caller]()
    names = sorted(parameters())
    assert len(names) < len(paths())
    for path, name in zip(paths(), cycle(names), strict=False):
        answer = client.get(f"{path}?{name}={LONG}")
        assert answer.status_code == HTTPStatus.BAD_REQUEST, (path, name)


@pytest.mark.parametrize("number", SPELLINGS)
def test_long_number_in_every_spelling_gets_400(number: str) -> None:
    expected = (400, "number_too_long")
    for path in (f"/channels?page={number}", f"/channels/{number}", f"/channels?{number}=1", f"/demo/noarch/{number}"):
        answer = Client().get(path)
        assert (answer.status_code, answer.headers["X-Error-Code"]) == expected, path


def test_as_an_argument_of_every_route() -> None:
    client = CALLERS["admi"]()
    for route, pattern in every_route().items():
        if "<" not in pattern:
            continue
        if route.startswith("/") or "<subdir:" in pattern:
            path = "/" + re.sub(r"<[^>]*>", LONG, pattern).partition("^")[0]
        elif is_admins(route):
            path = "/" + re.sub(r"<[^>]*>|\(\?P<[^>]*>[^)]*\)", LONG, pattern).rstrip("$")
        else:
            count = len(ARGUMENTS.get(route) or path_values(pattern))
            path = reverse(route, args=[LONG] * count) if route not in ("reserved-word", "doc") else f"/{route}s/{LONG}"
        for method in ("GET", "POST", "DELETE"):
            assert client.generic(method, path).status_code == HTTPStatus.BAD_REQUEST, (route, method)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json", "text/plain"])
def test_long_number_in_a_body_is_refused(content_type: str) -> None:
    """Send all field names of forms and views to every route."""
    for caller in ("admi", "kMan"):
        client = CALLERS[caller]()
        client.raise_request_exception = False
        for path in paths():
            if content_type == "application/json":
                bodies = [LONG, f'{{"a":{LONG},"token":{LONG},"query":{LONG},"issuer":{LONG}}}']
            else:
                bodies = ["&".join(f"{name}={LONG}" for name in FIELDS)]
            for body in bodies:
                answer = client.generic("POST", path, body.encode(), content_type=content_type)
                assert answer.status_code < 500, (caller, path, body[:30])


def test_a_form_is_refused() -> None:
    answer = CALLERS["owne"]().post("/channels/new", {"name": LONG})
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (400, "number_too_long")


def test_long_number_in_a_header_is_refused() -> None:
    paths = ("/demo/noarch/repodata.json", "/open/noarch/repodata.json", "/static/css/base.css", "/channels")
    for caller in ("anon", "owne"):
        client = CALLERS[caller]()
        client.raise_request_exception = False
        for name, value in product(HEADERS, (LONG, f"a;q={LONG}", f"bytes={LONG}-", f"127.0.0.1:{LONG}")):
            for path in paths:
                assert client.get(path, headers={name: value}).status_code < 500, (caller, path, name, value[:20])
            answer = client.post("/api/v1/upload/open", b"x", "application/octet-stream", headers={name: value})
            assert answer.status_code < 500, (caller, name, value[:20])


@pytest.mark.parametrize("value", [f"bytes={LONG}-", f"bytes={LONG}-{LONG}", f"bytes=-{LONG}", f"bytes=0-{LONG}"])
def test_long_number_in_a_range_is_ignored(value: str) -> None:
    for path in ("/open/noarch/repodata.json", "/static/css/base.css"):
        assert Client().get(path, headers={"Range": value}).status_code in (200, 206, 416), path


@pytest.mark.parametrize("length", [LONG, "-" + LONG, "²" * 10, "1_0"])
def test_as_the_length_of_a_body(length: str) -> None:
    client = CALLERS["owne"]()
    client.raise_request_exception = False
    for path in ("/channels/new", "/demo", "/api/v1/upload/demo"):
        for one in (client, CALLERS["kUpl"]()):
            answer = one.post(path, b"", "application/octet-stream", CONTENT_LENGTH=length)
            assert answer.status_code < 500, path


def test_short_number_is_accepted() -> None:
    assert is_number_up_to("10", 10)
    assert not is_number_up_to("11", 10)
    assert not is_number_up_to(LONG, 10)
    assert not is_number_up_to("²", 10)
    assert Client().get(f"/channels?page={'9' * 300}").status_code == HTTPStatus.OK
    assert Client().get(f"/channels?q={'9a' * 500}").status_code == HTTPStatus.OK
