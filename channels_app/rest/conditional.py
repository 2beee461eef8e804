"""Conditional requests: ETags of reads, and `If-Match` where two editors may meet (RFC 9110, section 13)."""

import hashlib

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import parse_etags
from ninja import Schema
from ninja.renderers import JSONRenderer

from hub.errors import HubError

RENDERER = JSONRenderer()
# The extra of an operation whose view calls check_match().
IF_MATCH = {"x-if-match": True}


def answer_if_changed(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    """Set the ETag of a successful read. Return 304 if the client has this state."""
    etag = etag_of(response.content)
    response.headers["ETag"] = etag
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return get_conditional_response(request, etag=etag, response=response) or response


def check_match(request: HttpRequest, state: Schema) -> None:
    """Raise HubError 412 if `If-Match` names another state than the current one.

    Call it in the transaction of the change, after the row is locked. `state` is what a read would return.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    etag = etag_of(RENDERER.render(request, state.model_dump(), response_status=200).encode())
    if not {"*", etag} & set(parse_etags(wanted)):
        raise HubError(
            412,
            "changed_meanwhile",
            "It was changed since you read it. Read it again, and repeat your change.",
            {"ETag": etag},
        )


def etag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
