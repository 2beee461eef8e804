"""Tests of `POST /api/graphql`: the owner of a key; other and expensive queries are refused."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from graphql import get_introspection_query

from channels_app.keys.graphql import BODY_MAX_BYTES
from channels_app.models import ApiKey, Channel, User
from tests.builders import make_key, make_publisher, make_robot, make_short_lived_token
from tests.pages import Response

pytestmark = pytest.mark.django_db

PATH = "/api/graphql"
# The query that prefix-dev/pixi sends.
QUERY = "query { viewer { login } }"


def ask(client: Client, query: Any = QUERY, secret: str | None = None, **members: Any) -> Response:
    headers = {"authorization": f"Bearer {secret}"} if secret is not None else {}
    return client.post(PATH, json.dumps({"query": query, **members}), content_type="application/json", headers=headers)


def viewer(client: Client, secret: str | None = None) -> Any:
    answer = ask(client, secret=secret)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    document = json.loads(answer.content)
    assert document.keys() == {"data"}
    return document["data"]["viewer"]


def test_a_valid_key_has_a_viewer(client: Client, channel: Channel, olga: User) -> None:
    assert viewer(client, make_key(olga)) == {"login": "olga"}
    assert viewer(client, make_robot(channel, olga)) == {"login": "nightly"}
    _, minted = make_short_lived_token(make_publisher(channel))
    assert viewer(client, minted) == {"login": "GitHub Actions: octo-org/sample"}


def test_without_a_valid_key_there_is_none(client: Client, olga: User) -> None:
    secret = make_key(olga)
    ApiKey.objects.update(revoked_at=timezone.now())
    client.force_login(olga)
    assert [viewer(client, each) for each in (None, "", "nonsense", "chub-short", secret)] == [None] * 5


def test_graphql_introspection_returns_the_schema(client: Client) -> None:
    answer = ask(client, get_introspection_query())
    assert answer.status_code == 200
    assert json.loads(answer.content)["data"]["__schema"]["queryType"]["name"] == "Query"


def test_one_of_several_operations_is_chosen(client: Client, olga: User) -> None:
    query = "query a { viewer { login } } query b { me: viewer { login } }"
    answer = ask(client, query, make_key(olga), operationName="b")
    assert json.loads(answer.content)["data"] == {"me": {"login": "olga"}}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Syntax Error: Unexpected <EOF>."),
        ("query { viewer", "Syntax Error: Expected Name, found <EOF>."),
        ("{ viewer { password } }", "Cannot query field 'password' on type 'Viewer'."),
        ("{ viewer }", "must have a selection of subfields"),
        ("mutation { viewer { login } }", "mutation"),
        ("{ viewer { login } " + "viewer { login } " * 200 + "}", "Document contains more than 500 tokens"),
        ("{ viewer " * 21, "The query is nested deeper than 20 levels."),
        ("{ viewer(x: " + "[" * 8000 + " }", "The query is nested deeper than 20 levels."),
        ("query a { viewer { login } } query b { viewer { login } }", "Must provide operation name"),
        (
            "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
            "Maximum introspection depth exceeded",
        ),
        (
            "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
            "Cannot spread fragment 'a' within itself",
        ),
    ],
)
def test_graphql_with_an_unknown_query_is_refused(client: Client, query: str, sentence: str) -> None:
    answer = ask(client, query)
    assert answer.status_code == 400
    assert any(sentence in error["message"] for error in json.loads(answer.content)["errors"])


@pytest.mark.parametrize(
    "body", ["", "[]", '"x"', "{}", '{"query": 1}', '{"query": "{viewer{login}}", "operationName": 1}']
)
def test_graphql_with_a_bad_request_is_refused(client: Client, body: str) -> None:
    answer = client.post(PATH, body, content_type="application/json")
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "bad_json")
    assert answer.text == 'Expected a JSON object such as {"query": "query { viewer { login } }"}.\n'


def test_a_long_body_is_refused(client: Client) -> None:
    longest = BODY_MAX_BYTES - len(json.dumps({"query": QUERY}))
    for blanks, status in ((longest, 200), (longest + 1, 413)):
        assert ask(client, QUERY + " " * blanks).status_code == status


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_graphql_by_other_methods_gets_405(client: Client, method: str) -> None:
    answer = getattr(client, method)(f"{PATH}?query={QUERY}")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
