"""The OpenAPI document: complete, public, and with the headers that work."""

from typing import Any

import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from channels_app.rest.document import document

METHODS = ("get", "post", "put", "patch", "delete")


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, each) for path, found in document()["paths"].items() for method, each in found.items()]


def headers(path: str, method: str) -> set[str]:
    parameters = document()["paths"][path][method]["parameters"]
    return {parameter["$ref"].rpartition("/")[2] for parameter in parameters if "$ref" in parameter}


@pytest.mark.django_db
def test_document_is_public_and_is_not_sent_again() -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.json()["openapi"].startswith("3.1")
    assert answer.headers["Cache-Control"].startswith("public")
    again = Client().get("/api/v1/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_every_operation_has_a_tag_an_id_and_its_errors() -> None:
    found = operations()
    assert len({each["operationId"] for _, _, each in found}) == len(found)
    described = {tag["name"] for tag in document()["tags"] if tag["description"]}
    for path, method, each in found:
        assert method in METHODS, path
        assert set(each["tags"]) <= described, path
        assert "default" in each["responses"], path
        assert each["security"], path


def test_every_reference_has_its_target() -> None:
    schema = document()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [each for part in value.values() for each in references(part)]
        return [each for part in value for each in references(part)] if isinstance(value, list) else []

    for reference in references(schema):
        target: Any = schema
        for word in reference.removeprefix("#/").split("/"):
            target = target[word]


def test_every_path_is_a_route() -> None:
    for path, _, _ in operations():
        address = path.replace("{publisher_id}", "1").replace("{", "").replace("}", "")
        try:
            route = resolve(address).route
        except Resolver404:
            route = resolve("".join("1" if part.startswith("{") else part for part in path.split("/"))).route
        assert "path:path" not in route, path


def test_headers_are_documented_where_they_work() -> None:
    assert headers("/api/v1/channels", "get") == {"IfNoneMatch"}
    assert headers("/api/v1/channels", "post") == {"IdempotencyKey"}
    assert headers("/api/v1/channels/{channel}", "delete") == set()
