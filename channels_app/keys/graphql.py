"""`POST /api/graphql`: the only GraphQL query of clients, for the user of a key.

Source: prefix-dev/pixi and conda/rattler, `auth login`, which send it before they store a key. For an invalid key,
`viewer` is null and the status is 200.
"""

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from channels_app.authentication import actors
from hub.errors import HubError, bad_request, too_large
from hub.http.decorators import allow
from hub.sizes import KIB, human_size

BODY_MAX_BYTES = 16 * KIB


@csrf_exempt
@allow("POST")
def endpoint(request: HttpRequest) -> HttpResponse:
    """Answer a query by key or token alone. A browser's session has no viewer."""
    from channels_app.keys import graphql_schema  # imported here, because the library takes a tenth of the start

    query, operation = _sent(request)
    result = graphql_schema.execute(query, operation, {"viewer": _viewer(request)})
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
