"""The explorer at /api/docs: every operation of the OpenAPI document, with a form that sends it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from channels_app.rest.document import document
from channels_app.rest.schemas import Schemas

JSON, PROBLEM = "application/json", "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of an operation, or a member of its body."""

    name: str
    place: str
    type: str
    is_required: bool
    description: str
    choices: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A documented answer: its status, its type, and an example of its body."""

    status: str
    description: str
    type: str
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method and a path."""

    id: str
    method: str
    path: str
    title: str
    description: str
    parameters: list[Parameter]
    members: list[Parameter]
    body: str
    file_types: list[str]
    answers: list[Answer]
    needs_key: bool
    curl: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """Operations of one kind."""

    id: str
    name: str
    description: str
    operations: list[Operation]


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    context = {"tags": tags(), "operations": _rendered(settings.HUB_PUBLIC_URL)}
    return render(request, "rest/explorer.html", context)


@cache
def _rendered(public_url: str) -> SafeString:
    """Return the part of the page that is the same for all visitors."""
    return render_to_string("rest/operations.html", {"tags": tags()})


def tags() -> list[Tag]:
    """Return the operations by their first tag, in the order of the document."""
    described = {tag["name"]: tag["description"] for tag in document()["tags"]}
    found: dict[str, list[Operation]] = {name: [] for name in described}
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_operation(path, method.upper(), operation))
    return [
        Tag(id=f"tag-{slugify(name)}", name=name, description=described[name], operations=operations)
        for name, operations in found.items()
        if operations
    ]


def _operation(path: str, method: str, operation: dict[str, Any]) -> Operation:
    schemas = Schemas(document()["components"]["schemas"])
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get(JSON, {}).get("schema")
    body = json.dumps(schemas.example(schema), indent=2) if schema else ""
    return Operation(
        id=operation["operationId"],
        method=method,
        path=path,
        title=operation["summary"].capitalize(),
        description=operation.get("description", ""),
        parameters=[_parameter(schemas, each) for each in operation["parameters"]],
        members=[_member(schemas, *each) for each in schemas.properties(schema)] if schema else [],
        body=body,
        file_types=[kind for kind in content if kind != JSON],
        answers=[_answer(schemas, status, each) for status, each in operation["responses"].items()],
        needs_key=not any("session" in each for each in operation["security"]),
        curl=list(_curl(path, method, operation, body)) if {"bearer": []} in operation["security"] else [],
    )


def _parameter(schemas: Schemas, found: dict[str, Any]) -> Parameter:
    parameter = _resolved("parameters", found)
    return Parameter(
        name=parameter["name"],
        place=parameter["in"],
        type=schemas.type_name(parameter["schema"]),
        is_required=parameter.get("required", False),
        description=parameter.get("description", ""),
        choices=_texts(schemas.choices(parameter["schema"])),
    )


def _member(schemas: Schemas, name: str, schema: dict[str, Any], is_required: bool) -> Parameter:
    return Parameter(
        name=name,
        place="body",
        type=schemas.type_name(schema),
        is_required=is_required,
        description=schema.get("description", ""),
        choices=[],
    )


def _answer(schemas: Schemas, status: str, found: dict[str, Any]) -> Answer:
    answer = _resolved("responses", found)
    content: dict[str, Any] = answer.get("content", {})
    kind = next(iter(content), "")
    schema = content.get(JSON, {}).get("schema")
    return Answer(
        status="other" if status == "default" else status,
        description=answer["description"],
        type=schemas.type_name(schema) if schema else kind.removeprefix(PROBLEM),
        example=json.dumps(schemas.example(schema), indent=2) if schema else "",
    )


def _curl(path: str, method: str, operation: dict[str, Any], body: str) -> Iterator[str]:
    """Return the parts of the command. Words in capitals are to be replaced."""
    yield "curl --fail-with-body"
    if method not in ("GET", "POST"):
        yield f"-X {method}"
    yield '-H "Authorization: Bearer KEY"'
    content = operation.get("requestBody", {}).get("content", {})
    if body:
        compact = json.dumps(json.loads(body)).replace("'", "'\\''")
        yield f"--json '{compact}'"
    elif "multipart/form-data" in content:
        yield '-F "file=@FILE"'
    elif method == "POST":
        yield "-X POST"
    query = "&".join(
        f"{each['name']}={each['name'].upper()}"
        for each in operation["parameters"]
        if each.get("in") == "query" and each.get("required")
    )
    yield f'"{settings.HUB_PUBLIC_URL}{_capitals(path)}{"?" if query else ""}{query}"'


def _capitals(path: str) -> str:
    return "/".join(part[1:-1].upper() if part.startswith("{") else part for part in path.split("/"))


def _resolved(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    reference = found.get("$ref")
    resolved: dict[str, Any] = document()["components"][kind][reference.rpartition("/")[2]] if reference else found
    return resolved


def _texts(choices: list[Any]) -> list[str]:
    return [json.dumps(value) if isinstance(value, bool) else str(value) for value in choices if value is not None]
