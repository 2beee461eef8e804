"""The schema of `POST /api/graphql` and its execution. `graphql` loads it at the first query."""

from itertools import accumulate
from typing import Any

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

# Five times the size of pixi's query. It suffices for introspection, whose nesting graphql-core limits.
TOKENS_MAX = 500
DEPTH_MAX = 20

VIEWER = GraphQLObjectType("Viewer", {"login": GraphQLField(GraphQLNonNull(GraphQLString))})
SCHEMA = GraphQLSchema(GraphQLObjectType("Query", {"viewer": GraphQLField(VIEWER)}))


def execute(query: str, operation: str | None, root: dict[str, Any]) -> ExecutionResult:
    """Execute the query on `root`. The result has errors if the query is invalid or too deep."""
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
