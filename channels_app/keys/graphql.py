"""`POST /api/graphql`: the only GraphQL query of clients, for the user of a key.

Source: prefix-dev/pixi and conda/rattler, `auth login`, which send it before they store a key. For an invalid key,
`viewer` is null and the status is 200.
"""

from itertools import accumulate
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    execute_sync,
    parse,
    validate,
)

from channels_app.authentication import actors
from hub.errors import HubError, bad_request, too_large
from hub.http.decorators import allow
from hub.sizes import KIB, human_size

BODY_MAX_BYTES = 16 * KIB
# Five times the size of pixi's query. It suffices for introspection, whose nesting graphql-core limits.
TOKENS_MAX = 500
DEPTH_MAX = 20

VIEWER = GraphQLObjectType("Viewer", {"login": GraphQLField(GraphQLNonNull(GraphQLString))})
SCHEMA = GraphQLSchema(GraphQLObjectType("Query", {"viewer": GraphQLField(VIEWER)}))


@csrf_exempt
@allow("POST")
def endpoint(request: HttpRequest) -> HttpResponse:
    """Answer a query by key or token alone. A browser's session has no viewer."""
    query, operation = _sent(request)
    result = _executed(query, operation, {"viewer": _viewer(request)})
    content = orjson.dumps(result.formatted)
    status = 200 if result.data is not None else 400
    return HttpResponse(content, status=status, content_type="application/json", headers={"Cache-Control": "no-store"})


def _sent(request: HttpRequest) -> tuple[str, str | None]:
    """Return the query and the name of its operation. The schema has no variables."""
    # request.body would read up to Django's larger limit.
    body = request.read(BODY_MAX_BYTES + 1)
    if len(body) > BODY_MAX_BYTES:
        raise too_large(
            "too_large", f"The body is over {human_size(BODY_MAX_BYTES)}; expected a query of a line or two."
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    query = document.get("query") if isinstance(document, dict) else None
    operation = document.get("operationName") if isinstance(document, dict) else None
    if not isinstance(query, str) or not isinstance(operation, str | None):
        raise bad_request("bad_json", 'Expected a JSON object such as {"query": "query { viewer { login } }"}.')
    return query, operation


def _viewer(request: HttpRequest) -> dict[str, str] | None:
    """Return the user of the key; for a key without a user, such as a channel key, the key's name."""
    try:
        actor = actors.key_actor(request)
    except HubError as error:
        if error.status == 401:
            return None
        raise
    return {"login": str(actor)} if actor.key or actor.token else None


def _executed(query: str, operation: str | None, root: dict[str, Any]) -> ExecutionResult:
    try:
        _check_depth(query)
        document = parse(query, max_tokens=TOKENS_MAX)
    except GraphQLError as error:
        return ExecutionResult(None, [error])
    errors = validate(SCHEMA, document)
    return ExecutionResult(None, errors) if errors else execute_sync(SCHEMA, document, root, operation_name=operation)


def _check_depth(query: str) -> None:
    """Limit the nesting by counting brackets, before the recursive parser runs."""
    steps = ((character in "{[(") - (character in "}])") for character in query)
    if max(accumulate(steps), default=0) > DEPTH_MAX:
        raise GraphQLError(f"The query is nested deeper than {DEPTH_MAX} levels.")
