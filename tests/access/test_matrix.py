"""The authorisation matrix: the status of every route for every caller, from tests/access/matrix.txt.

A route that is missing in the table fails a test; the admin's routes have their own rule. `@open` is the same route for
a public channel.

401, 403 and 404 refuse the request, 302 leads to the sign-in or onwards. 400 and 422 mean that the caller is allowed:
the body is empty here.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone
from pytest_django import Settings

from channels_app.rate_limits.counters import LIMITS
from channels_app.rest.document import document
from tests.callers import CALLERS, HUB_NOTICE_ID, PUBLISHER_ID, make_world
from tests.pages import Response
from tests.rest.test_forms import PARAMETER
from tests.routes import every_route, path_values

pytestmark = pytest.mark.django_db

TABLE = Path(__file__).with_name("matrix.txt")
# Arguments of routes; {} stands for the channel's name. Without an entry, arguments are those of path_values().
ARGUMENTS = {
    "artifact-document": ["{}", "noarch", "pack-1.0-0.conda", "index.json"],
    "doc": ["first-steps"],
    "mfa_edit_webauthn": ["1"],
    "mfa_remove_webauthn": ["1"],
    "reserved-word": ["api"],
    "openid_connect_callback": ["other"],
    "openid_connect_login": ["other"],
    "package": ["{}", "pack"],
    "package-feed": ["{}", "pack"],
    "rest:channel-upstream-package": ["{}", "pack"],
    "rest:package": ["{}", "pack"],
    "rest:package-dependents": ["{}", "pack"],
    "rest:package-statistics": ["{}", "pack"],
    "rest:package-version": ["{}", "pack", "1.0"],
    "rest:package-versions": ["{}", "pack"],
    "publisher": ["{}", str(PUBLISHER_ID)],
    "rest:account-invitation-accept": ["1"],
    "rest:account-invitation-decline": ["1"],
    "rest:account-key": ["1"],
    "rest:channel-robot": ["{}", "1"],
    "rest:channel-invitation": ["{}", "1"],
    "rest:channel-member": ["{}", "users", "viewer"],
    "channel-label": ["{}", "dev"],
    "rest:label": ["{}", "dev"],
    "rest:patch-apply": ["{}", "2"],
    "rest:pending-publisher": ["1"],
    "rest:hub-notice": [str(HUB_NOTICE_ID)],
    "rest:team": ["team"],
    "rest:team-channels": ["team"],
    "rest:team-invitation": ["team", "1"],
    "rest:team-invitations": ["team"],
    "rest:team-member": ["team", "owner"],
    "rest:team-members": ["team"],
    "team": ["team"],
    "version": ["{}", "pack", "1.0"],
}
# JSON bodies of the REST API: it refuses others before it asks for the permission.
BODIES: dict[tuple[str, str], dict[str, object]] = {
    ("POST", "rest:channels"): {"name": "new-channel"},
    ("POST", "rest:webhooks"): {"url": "https://new.example.org/", "events": ["index.built"]},
    ("PATCH", "rest:webhook"): {"is_active": False},
    ("POST", "rest:labels"): {"name": "new"},
    ("PATCH", "rest:label"): {"expires_at": None},
    ("PATCH", "rest:artifact-labels"): {"add": ["dev"]},
    ("POST", "rest:label-changes"): {"filter": {"name": "pack"}, "remove": ["old"]},
    ("POST", "rest:notices"): {"message": "new", "expires_at": (timezone.now() + timedelta(days=9)).isoformat()},
    ("PATCH", "rest:notice"): {"level": "critical"},
    ("POST", "rest:hub-notices"): {"message": "new", "expires_at": (timezone.now() + timedelta(days=9)).isoformat()},
    ("PATCH", "rest:hub-notice"): {"level": "critical"},
    ("PUT", "rest:promotion-rule"): {"needs": "manage"},
    ("POST", "rest:imports"): {"source": "https://source.example.org/channel"},
    ("POST", "rest:promotions"): {"from": "open", "filter": {"name": "pack"}},
    ("POST", "rest:patches"): {"title": "new", "changes": {"license": "MIT"}},
    ("PUT", "rest:patch"): {"title": "new", "changes": {"license": "MIT"}},
    ("PATCH", "rest:channel"): {"description": "new"},
    ("POST", "rest:removals"): {"action": "yank", "filter": {"name": "pack"}},
    ("PATCH", "rest:channel-member"): {"role": "contributor"},
    ("PATCH", "rest:team"): {"description": "new"},
    ("PATCH", "rest:team-member"): {"is_manager": True},
    ("POST", "rest:teams"): {"name": "new-team"},
    ("POST", "publishers"): {"provider": "buildkite", "fields": {"pipeline": "acme-inc/sample"}},
    ("POST", "rest:pending-publishers"): {
        "channel_name": "new-channel",
        "provider": "buildkite",
        "fields": {"pipeline": "acme-inc/sample"},
    },
    ("POST", "rest:team-members"): {"name_or_address": "stranger"},
    ("POST", "rest:channel-members"): {"username": "stranger", "role": "viewer"},
    ("POST", "rest:channel-transfer"): {"username": "maintainer"},
    ("POST", "rest:retention-rules"): {"title": "new", "keep_versions": 3},
    ("PUT", "rest:retention-rule"): {"title": "new", "keep_versions": 3},
    ("PUT", "rest:channel-quota"): {"quota_bytes": 1000},
    ("PUT", "rest:channel-relations"): {"base": None, "overrides": None},
    ("PUT", "rest:channel-virtual"): {"members": []},
    ("POST", "rest:upstreams"): {"name": "new-channel", "url": "https://example.org/forge"},
    ("PUT", "rest:channel-upstream"): {"url": "https://example.org/forge"},
    ("PUT", "rest:channel-upstream-filters"): {"exclude": ["numpy <2"]},
    ("POST", "rest:channel-upstream-accept"): {
        "subdir": "noarch",
        "file_name": "numpy-1.0-0.conda",
        "sha256": "0" * 64,
        "reason": "built again",
    },
    ("PUT", "rest:channel-policies"): {
        "allow_overwrite": True,
        "allow_revision_3": True,
        "only_trusted_publishers": False,
        "require_attestation": False,
        "max_upload_bytes": None,
    },
}
# The keys and tokens of CALLERS that are valid.
KEYS = ("kRea", "kUpl", "kDel", "kMan", "robo", "mint", "tRea", "tUpl")
# One caller of each kind: nobody, sessions, a key, and a token, with the most rights that the kind has here.
KINDS = ("anon", "owne", "admi", "kMan", "tUpl")
NOT_ALLOWED = {HTTPStatus.METHOD_NOT_ALLOWED}
# Former paths of allauth that redirect to the current ones.
OLD = "/accounts/social/"


def rows() -> dict[tuple[str, str], list[int]]:
    """Return (method, route) → the statuses in the order of CALLERS."""
    found: dict[tuple[str, str], list[int]] = {}
    lines = [line for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    for line in lines:
        method, *rest = line.split()
        statuses = [int(word) for word in rest if word.isdigit()]
        found |= {(method, route): statuses for route in rest if not route.isdigit()}
    return found


@cache
def address(route: str, channel: str = "demo") -> str:
    name, _, other = route.partition("@")
    arguments = ARGUMENTS.get(name) or path_values(every_route()[name])
    return reverse(name, args=[argument.format(other or channel) for argument in arguments])


def is_admins(route: str) -> bool:
    return route.startswith(("admin:", "/admin/"))


@pytest.fixture(autouse=True)
def world(settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = dict.fromkeys(LIMITS, 10**6)
    make_world()


def test_every_route_is_in_the_table() -> None:
    routes = {route for route in every_route() if not is_admins(route) and not route.startswith(OLD)}
    assert {route.partition("@")[0] for _, route in rows()} == routes


def test_every_row_has_a_status_for_every_caller() -> None:
    assert {len(statuses) for statuses in rows().values()} == {len(CALLERS)}


@pytest.mark.parametrize("caller", CALLERS)
def test_the_answers_are_those_of_the_table(caller: str) -> None:
    """A method that is allowed to no caller is refused before the caller matters, so one of each kind asks."""
    column = list(CALLERS).index(caller)
    client = CALLERS[caller]()
    asked = {row: found for row, found in rows().items() if caller in KINDS or set(found) != NOT_ALLOWED}
    expected = {row: statuses[column] for row, statuses in asked.items()}
    assert answers(client, list(expected)) == expected


def test_changes_with_an_old_etag_are_refused_where_if_match_is_documented() -> None:
    changes = [(method, route) for method, route in rows() if method in ("PATCH", "PUT", "DELETE") and "@" not in route]
    found = answers(CALLERS["admi"](), [row for row in changes if row[1].startswith("rest:")], **{"If-Match": '"old"'})
    documented = operations(lambda each: {"$ref": "#/components/parameters/IfMatch"} in each["parameters"])
    assert {row for row, status in found.items() if status == HTTPStatus.PRECONDITION_FAILED} == documented


def test_operations_for_sessions_alone_are_those_that_refuse_each_key() -> None:
    column = {caller: number for number, caller in enumerate(CALLERS)}
    refused = {
        row
        for row, statuses in rows().items()
        if row[1].startswith("rest:") and "@" not in row[1]
        if {statuses[column[key]] for key in KEYS} == {403} and statuses[column["owne"]] != HTTPStatus.FORBIDDEN
    }
    without_one_to_restore = {("POST", "rest:deleted-channel-restore")}
    of_administrators = {("PUT", "rest:channel-quota"), ("POST", "rest:upstreams")}
    documented = operations(lambda each: all("session" in scheme for scheme in each["security"]))
    assert documented == refused | without_one_to_restore | of_administrators


def operations(is_wanted: Callable[[dict[str, Any]], bool]) -> set[tuple[str, str]]:
    """Return (method, route) of the wanted operations of the OpenAPI document."""
    return {
        (method.upper(), resolve(PARAMETER.sub("1", path)).view_name)
        for path, found in document()["paths"].items()
        for method, operation in found.items()
        if is_wanted(operation)
    }


def answers(client: Client, asked: list[tuple[str, str]], **headers: str) -> dict[tuple[str, str], int]:
    """Return the status of each request. Each runs on unchanged data."""
    client.raise_request_exception = False
    cookies, found = client.cookies.output(header="", sep=";"), {}
    for method, route in asked:
        client.cookies = SimpleCookie(cookies)
        with transaction.atomic():
            answer = client.generic(method, address(route), headers=headers, **body(method, route))
            found[method, route] = answer.status_code
            transaction.set_rollback(True)
    return found


def body(method: str, route: str) -> dict[str, Any]:
    """Return the arguments of a request with the JSON of BODIES, else with an empty form."""
    sent = BODIES.get((method, route.partition("@")[0]))
    if sent is None:
        return {"content_type": "application/x-www-form-urlencoded"}
    return {"data": json.dumps(sent), "content_type": "application/json"}


@pytest.mark.parametrize("caller", [caller for caller in CALLERS if caller != "admi"])
def test_the_admin_is_for_administrators(caller: str) -> None:
    """Its home refuses every caller. Every other page refuses one caller of each kind, as all share a check."""
    client = CALLERS[caller]()
    home, public = reverse("admin:index"), {"admin:login", "admin:logout", "admin:jsi18n"}
    for route, pattern in every_route().items():
        if not is_admins(route) or route in public or (route != "admin:index" and caller not in KINDS):
            continue
        path = "/" + pattern.replace("<id>", "1").replace("<path:object_id>", "1").replace("(?P<url>.*)$", "nothing")
        path = path.replace("<path:content_type_id>", "1").partition("^")[0]
        for method in ("GET", "POST"):
            answer = client.generic(method, path)
            refused = HTTPStatus.FORBIDDEN if caller == "noCS" and method == "POST" else HTTPStatus.FOUND
            assert answer.status_code == refused, (method, path)
            assert answer.headers.get("Location", home).startswith(home)


def test_administrators_sign_in_by_the_hubs_own_page() -> None:
    login = reverse("admin:login")
    assert Client().get(login).headers["Location"].startswith(reverse("account_login"))
    assert Client().post(login, {"username": "admin", "password": "x"}).status_code == HTTPStatus.FOUND
    assert CALLERS["stra"]().get(login).status_code == HTTPStatus.FORBIDDEN


def test_administrators_see_the_admin() -> None:
    assert CALLERS["admi"]().get(reverse("admin:index")).status_code == HTTPStatus.OK


@pytest.mark.parametrize(("caller", "accept"), [("anon", "*/*"), ("stra", "text/html")])
def test_private_and_missing_channels_are_answered_alike(caller: str, accept: str) -> None:
    client = CALLERS[caller]()
    asked = [(method, route) for method, route in rows() if "channel>" in every_route().get(route, "")]
    for method, route in asked:
        private, missing = (
            comparable(
                client.generic(method, address(route, name), headers={"Accept": accept}, **body(method, route)), name
            )
            for name in ("demo", "void")
        )
        assert private == missing, (method, route)


def comparable(response: Response, channel: str) -> tuple[int, str, dict[str, str]]:
    """Return the response without the channel's name, the request id, and the random mask of the CSRF token."""
    content = re.sub(r'(name="csrfmiddlewaretoken" value=)"\w+"', r"\1", response.content.decode())
    headers = {name: value.replace(channel, "") for name, value in response.headers.items() if name != "X-Request-ID"}
    return response.status_code, content.replace(channel, ""), headers
