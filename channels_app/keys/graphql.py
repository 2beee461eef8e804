"""`POST /api/graphql`: the one question that clients ask by GraphQL, whose key this is.

Source: prefix-dev/pixi and conda/rattler, `auth login`, which ask it before they keep a key. A `viewer` of null is a
key that is not valid, in an answer of status 200.
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

BODY_MAX_BYTES = 16 * 1024
# Five times what pixi sends, and enough for introspection, whose nesting graphql-core itself limits.
TOKENS_MAX = 500
DEPTH_MAX = 20

VIEWER = GraphQLObjectType("Viewer", {"login": GraphQLField(GraphQLNonNull(GraphQLString))})
SCHEMA = GraphQLSchema(GraphQLObjectType("Query", {"viewer": GraphQLField(VIEWER)}))


@csrf_exempt
@allow("POST")
def endpoint(request: HttpRequest) -> HttpResponse:
    """By key alone; a browser's session is no viewer."""
    query, operation = _sent(request)
    result = _executed(query, operation, {"viewer": _viewer(request)})
    content = orjson.dumps(result.formatted)
    status = 200 if result.data is not None else 400
    return HttpResponse(content, status=status, content_type="application/json", headers={"Cache-Control": "no-store"})


def _sent(request: HttpRequest) -> tuple[str, str | None]:
    """The query, and which of its operations is meant. Variables have no place in this schema."""
    # Not request.body, which would read up to Django's own limit first.
    body = request.read(BODY_MAX_BYTES + 1)
    if len(body) > BODY_MAX_BYTES:
        raise too_large("too_large", f"The body is over {BODY_MAX_BYTES:,} bytes; expected a query of a line or two.")
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
    """Whose the key is: a user's, else the key itself, such as a robot's."""
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
    """By brackets, before anything descends into them."""
    steps = ((character in "{[(") - (character in "}])") for character in query)
    if max(accumulate(steps), default=0) > DEPTH_MAX:
        raise GraphQLError(f"The query is nested deeper than {DEPTH_MAX} levels.")
