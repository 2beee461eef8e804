"""Trusted publishers over the API: permissions, responses, and errors with their messages."""

from typing import Any

import orjson
import pytest
from django.test import Client

from channels_app.models import Channel, Role, User
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import TrustedPublisher
from tests.builders import make_channel, make_key, make_member, make_publisher, make_short_lived_token
from tests.pages import events
from tests.rest.calls import by_session

pytestmark = pytest.mark.django_db

URL = "/api/v1/channels/demo/publishers"
GITHUB = {"provider": "github", "fields": {"repository": "octo-org/sample", "workflow": "release.yml"}}


@pytest.fixture
def key(channel: Channel, olga: User) -> str:
    return make_key(olga, scopes=("read", "upload", "manage"))


def ask(client: Client, method: str, path: str, key: str = "", body: Any = None) -> Any:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return client.generic(method, path, content, "application/json", headers=headers)


def test_session_adds_and_removes_a_publisher(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    added = caller.post("channels/demo/publishers", GITHUB)
    assert added.status_code == 201
    assert [found["id"] for found in caller.get("channels/demo/publishers").json()["publishers"]] == [
        added.json()["id"]
    ]
    path = f"channels/demo/publishers/{added.json()['id']}"
    old = by_session(olga, is_fresh=False).delete(path)
    assert (old.status_code, old.headers["X-Error-Code"]) == (403, "reauthentication_needed")
    assert caller.delete(path).status_code == 204


def test_a_publisher_is_added_listed_and_removed(client: Client, key: str) -> None:
    added = ask(
        client, "POST", URL, key, GITHUB | {"may_read": True, "package_globs": ["a*"], "pins": {"repository_id": "7"}}
    )
    assert added.status_code == 201
    publisher = added.json()
    assert publisher.pop("created_at").endswith("Z")
    number = publisher.pop("id")
    assert publisher == {
        "provider": "github",
        "issuer": "https://token.actions.githubusercontent.com",
        "fields": {
            "repository": "octo-org/sample",
            "workflow": "release.yml",
            **dict.fromkeys(
                ("environment", "reusable_workflow", "ref", "ref_type", "runner_environment", "events"), ""
            ),
        },
        "pins": {"repository_id": "7"},
        "may_upload": True,
        "may_read": True,
        "package_globs": ["a*"],
        "created_by": "olga",
        "expires_at": None,
        "last_used_at": None,
    }
    listed = ask(client, "GET", URL, key)
    assert listed.headers["Content-Type"] == "application/json"
    assert listed.headers["Cache-Control"] == "no-store"
    assert [each["id"] for each in listed.json()["publishers"]] == [number]
    removed = ask(client, "DELETE", f"{URL}/{number}", key)
    assert (removed.status_code, removed.content) == (204, b"")
    assert ask(client, "GET", URL, key).json() == {"publishers": []}
    assert [action for action, _, _ in events()[1:]] == ["publisher.add", "publisher.remove"]


@pytest.mark.parametrize(("method", "path"), [("GET", URL), ("POST", URL), ("DELETE", f"{URL}/1")])
def test_other_credentials_are_refused(
    client: Client, channel: Channel, olga: User, max_: User, sam: User, method: str, path: str
) -> None:
    make_member(channel, max_, Role.VIEWER)
    uploads, reads = make_key(olga, scopes=("read", "upload")), make_key(max_, scopes=("read", "manage"))
    refusals = [
        (ask(client, method, path), 401, "credential_needed"),
        (ask(client, method, path, make_key(sam, scopes=("manage",))), 403, "no_access"),
        (ask(client, method, path, uploads), 403, "scope_missing"),
        (ask(client, method, path, reads), 403, "role_missing"),
        (ask(client, method, path, make_short_lived_token(make_publisher(channel))[1]), 403, "no_access"),
        (ask(client, method, path, "chub-nonsense"), 401, "invalid_key"),
    ]
    assert [(answer.status_code, answer.headers["X-Error-Code"]) for answer, _, _ in refusals] == [
        (status, code) for _, status, code in refusals
    ]


@pytest.mark.parametrize(("method", "path"), [("PUT", URL), ("DELETE", URL), ("GET", f"{URL}/1"), ("POST", f"{URL}/1")])
def test_other_methods_are_405(client: Client, key: str, method: str, path: str) -> None:
    answer = ask(client, method, path, key)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (405, "wrong_method")
    assert answer.headers["Allow"] in ("GET, HEAD, POST", "DELETE")


@pytest.mark.parametrize(
    ("body", "status", "code", "sentence"),
    [
        (b"", 400, "bad_json", "The body is no JSON: "),
        (b"{", 400, "bad_json", "The body is no JSON: "),
        (b"[]", 400, "bad_json", "The body is no JSON object."),
        (GITHUB | {"channel": "demo"}, 400, "bad_json", "'channel' is not known here; expected some of: provider,"),
        (GITHUB | {"may_read": "yes"}, 400, "bad_json", "'may_read' is of the wrong kind; expected true or false."),
        (GITHUB | {"fields": []}, 400, "bad_json", "'fields' is of the wrong kind; expected an object of texts."),
        (GITHUB | {"fields": {"repository": 7}}, 400, "bad_json", "'fields' is of the wrong kind"),
        (
            GITHUB | {"package_globs": "a"},
            400,
            "bad_json",
            "'package_globs' is of the wrong kind; expected a list of texts.",
        ),
        (
            {},
            422,
            "unknown_provider",
            f"Expected as provider one of: {', '.join(PROVIDERS)}.",
        ),
        ({"provider": "travis"}, 422, "unknown_provider", "Expected as provider one of: github,"),
        ({"provider": "github"}, 422, "bad_publisher", "Repository is missing; expected OWNER/NAME"),
        (GITHUB | {"fields": {"repo": "a/b"}}, 422, "bad_publisher", "GitHub Actions publishers have no field 'repo'"),
        (
            GITHUB | {"pins": {"sub": "1"}},
            422,
            "bad_publisher",
            "GitHub Actions has no stable ids sub; expected some of: repository_id,",
        ),
        (
            GITHUB | {"issuer": "https://gitlab.com"},
            422,
            "unknown_issuer",
            "'https://gitlab.com' is no issuer of GitHub Actions on this hub",
        ),
        (
            {"provider": "generic", "fields": {"conditions": "sub = a"}},
            422,
            "unknown_issuer",
            "'' is no issuer of OpenID Connect on this hub; expected one of: none yet.",
        ),
        (GITHUB | {"issuer": "\0"}, 400, "bad_json", "'issuer' is of the wrong kind; expected a text."),
        (GITHUB | {"pins": {"repository_id": "\0"}}, 400, "bad_json", "'pins' is of the wrong kind"),
        (GITHUB | {"may_upload": False}, 400, "no_right", "The publisher may neither upload nor read"),
        (GITHUB | {"package_globs": ["x" * 300]}, 400, "bad_globs", "A publisher takes at most 50 package names"),
    ],
)
def test_publisher_with_bad_input_gets_an_error_code(
    client: Client, key: str, body: Any, status: int, code: str, sentence: str
) -> None:
    answer = ask(client, "POST", URL, key, body)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (status, code)
    assert sentence in answer.content.decode()
    assert not TrustedPublisher.objects.exists()


def test_the_same_publisher_is_a_conflict(client: Client, key: str) -> None:
    ask(client, "POST", URL, key, GITHUB)
    answer = ask(client, "POST", URL, key, GITHUB)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (409, "publisher_exists")


def test_another_channels_publisher_stays(client: Client, key: str, sam: User) -> None:
    other = make_publisher(make_channel("other", owner=sam))
    answer = ask(client, "DELETE", f"{URL}/{other.pk}", key)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "no_such_publisher")
    assert answer.content.decode() == f"'demo' has no trusted publisher {other.pk} (any more).\n"
    assert TrustedPublisher.objects.exists()


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain"]
)
def test_body_that_is_no_json_is_refused_for_every_content_type(client: Client, key: str, content_type: str) -> None:
    """A form had been read from the connection, and could not be read again: that was an error of the server's."""
    form = b'--x\r\nContent-Disposition: form-data; name="provider"\r\n\r\ngithub\r\n--x--\r\n'
    answer = client.generic("POST", URL, form, content_type, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (400, "bad_json")
