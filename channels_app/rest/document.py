"""The OpenAPI document: django-ninja's, completed by the rules of all endpoints and by the endpoints before it."""

import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from channels_app.rest.conditional import answer_if_changed
from channels_app.rest.service import Problem, api, tags
from hub.http.decorators import allow

PREFIX = "/api/v1/"
# Endpoints without django-ninja: they are on the hot path, or older than it.
OTHER_ENDPOINTS = Path(__file__).with_name("other_endpoints.json")

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or the access token of an application."},
    "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password, with any user name."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "A browser session. Changes need a recent sign-in and the CSRF token.",
    },
    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRFToken", "description": "The CSRF token of the session."},
}
READ: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"basic": []}, {"session": []}]
CHANGE: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}, {"session": [], "csrf": []}]

PARAMETERS = {
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of an earlier read: 304 if nothing changed.",
        "schema": {"type": "string"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of a read: 412 if it was changed since.",
        "schema": {"type": "string"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A text of your choice: a repeated request returns the first response, for a day.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    },
}
ERRORS = {
    "400": ("BadRequest", "A malformed value or body."),
    "401": ("Unauthenticated", "An invalid key, or none where one is needed."),
    "403": ("Forbidden", "The credential may not do this."),
    "404": ("NotFound", "There is no such thing, or the credential can't see it."),
    "409": ("Conflict", "The current state does not allow it."),
    "412": ("ChangedMeanwhile", "It was changed since it was read."),
    "422": ("Unprocessable", "An invalid value."),
    "default": ("Error", "Another error. It is plain text if it arose before the API, as for too large bodies."),
}
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
TEXT = {"text/plain": {"schema": {"type": "string"}}}


@csrf_exempt
@allow("GET", "HEAD")
def view(request: HttpRequest) -> HttpResponseBase:
    """Return the document to everybody."""
    content = json.dumps(document(), ensure_ascii=False)
    headers = {"Cache-Control": "public, no-cache", "Access-Control-Allow-Origin": "*"}
    return answer_if_changed(request, HttpResponse(content, content_type="application/json", headers=headers))


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return {**_document(), "servers": [{"url": settings.HUB_PUBLIC_URL}]}


@cache
def _document() -> dict[str, Any]:
    import_module(settings.ROOT_URLCONF)  # it adds the routers
    # As JSON, so that all keys are texts and nothing is shared with django-ninja.
    schema: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(path_prefix=PREFIX)))
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    others = json.loads(OTHER_ENDPOINTS.read_text())
    if same := others["schemas"].keys() & schema["components"]["schemas"].keys():
        raise ValueError(f"two schemas have one name: {sorted(same)}")
    for path, operations in others["paths"].items():
        schema["paths"].setdefault(path, {}).update(operations)
    schema["components"] = {
        "schemas": schema["components"]["schemas"] | others["schemas"] | {"Problem": Problem.json_schema()},
        "securitySchemes": SECURITY,
        "parameters": PARAMETERS,
        "responses": _error_responses(),
    }
    schema["tags"] = [{"name": name, "description": _sentence(lines)} for name, lines in tags.items()] + others["tags"]
    return schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add the headers, the likely errors and the credentials to an operation of django-ninja."""
    parameters, responses = operation["parameters"], operation["responses"]
    statuses = {"401", "403", "default"} | ({"404"} if "{" in path else set())
    if method == "get":
        statuses |= {"400"} if parameters else set()
        if "application/json" in responses.get("200", {}).get("content", {}):
            parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
            responses["200"]["headers"] = {"ETag": {"schema": {"type": "string"}}}
            responses["304"] = {"description": "Nothing changed since the read with this ETag."}
    else:
        statuses |= {"400", "409"} | ({"422"} if "requestBody" in operation or method == "post" else set())
    if method == "post":
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if operation.pop("x-if-match", False):
        parameters.append({"$ref": "#/components/parameters/IfMatch"})
        statuses.add("412")
    for status in sorted(statuses):
        responses.setdefault(status, {"$ref": f"#/components/responses/{ERRORS[status][0]}"})
    security = READ if method == "get" else CHANGE
    if operation.pop("x-session-only", False):
        operation["description"] = f"{operation.get('description', '')} This requires a session.".strip()
        security = [each for each in security if "session" in each]
    operation["security"] = security


def _error_responses() -> dict[str, Any]:
    """Return the errors. Those of middleware are sentences, not problems."""
    return {
        name: {"description": description, "content": PROBLEM | (TEXT if status in ("400", "404", "default") else {})}
        for status, (name, description) in ERRORS.items()
    }


def _sentence(lines: list[str]) -> str:
    """Return the descriptions in the first lines of modules, after their paths."""
    texts = [line.rpartition("`: ")[2] for line in dict.fromkeys(lines)]
    return " ".join(text[:1].upper() + text[1:] for text in texts)
