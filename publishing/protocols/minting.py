"""`POST /api/oidc/mint_token`: exchanges a CI's identity token for a short-lived token.

Source: conda/rattler, crates/rattler_networking/src/trusted_publishing.rs. The client takes the whole body of a 2xx as
the token, and shows the body of every other response.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from channels_app.rate_limits import counters
from hub.errors import unprocessable
from hub.http.decorators import allow, bounds_own_body
from hub.http.request_body import Body, json_object
from hub.protocols import Protocol
from hub.sizes import KIB, human_size
from publishing.id_tokens.claims import Code
from publishing.trusted.exchange import exchange

BODY_MAX_BYTES = 32 * KIB


@csrf_exempt
@bounds_own_body
@allow("POST")
def mint_token(request: HttpRequest) -> HttpResponse:
    counters.hit("mint-by-address", counters.address(request), "exchanges of tokens from this address")
    unverified_jwt = _token(Body(request))
    return HttpResponse(exchange(unverified_jwt), content_type="text/plain", headers={"Cache-Control": "no-store"})


def _token(body: Body) -> str:
    """Return the `token` of a JSON object of at most 32 KiB. Raise HubError 422 if the body is something else."""
    content = b""
    for chunk in body.chunks():
        content += chunk
        if len(content) > BODY_MAX_BYTES:
            raise unprocessable(Code.MALFORMED, f"The body is over {human_size(BODY_MAX_BYTES)}.")
    document = json_object(content)
    if document is None or not isinstance(document.get("token"), str):
        raise unprocessable(
            Code.MALFORMED, 'The body is no JSON object with a text "token"; expected {"token": "<JWT>"}.'
        )
    return str(document["token"])


PROTOCOL = Protocol(
    routes=(path("api/oidc/mint_token", mint_token, name="mint-token"),),
)
