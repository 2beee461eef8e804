"""`/api/v1/channels/{channel}/publishers`: a channel's trusted publishers as JSON."""

from collections.abc import Callable
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from channels_app.access.permissions import Actor, Permission, channel_for
from channels_app.models import Channel
from channels_app.rest.service import CREDENTIAL
from hub.errors import bad_request, not_found, unprocessable
from hub.http.decorators import allow
from publishing.id_tokens.claims import BadFields
from publishing.id_tokens.provider import Provider
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted import publishers, queries


def _is_text(value: Any) -> bool:
    """Tell whether `value` is a string that PostgreSQL can store."""
    return isinstance(value, str) and "\0" not in value


# Accepted members of the body: the type in words, and its check.
MEMBERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "provider": ("a text", _is_text),
    "issuer": ("a text", _is_text),
    "fields": ("an object of texts", lambda value: isinstance(value, dict) and all(map(_is_text, value.values()))),
    "pins": ("an object of texts", lambda value: isinstance(value, dict) and all(map(_is_text, value.values()))),
    "package_globs": ("a list of texts", lambda value: isinstance(value, list) and all(map(_is_text, value))),
    "may_upload": ("true or false", lambda value: isinstance(value, bool)),
    "may_read": ("true or false", lambda value: isinstance(value, bool)),
}


@csrf_exempt
@allow("GET", "HEAD", "POST")
def collection(request: HttpRequest, channel: str) -> HttpResponse:
    """List the publishers for GET: `{"publishers": […]}`. For POST, add one, and respond with 201 and the publisher."""
    actor, found = _channel(request, channel)
    if request.method == "POST":
        sent = arguments(_checked(request.body))
        return _json(_described(publishers.add(actor=actor, channel=found, **sent)), status=201)
    return _json({"publishers": [_described(publisher) for publisher in queries.active(found)]})


@csrf_exempt
@allow("DELETE")
def one(request: HttpRequest, channel: str, publisher_id: int) -> HttpResponse:
    """Remove the publisher for DELETE, and respond with 204."""
    actor, found = _channel(request, channel)
    publisher = found.publishers.select_related("channel", "issuer").filter(pk=publisher_id).first()
    if publisher is None:
        raise not_found("no_such_publisher", f"'{found}' has no trusted publisher {publisher_id} (any more).")
    publishers.remove(actor=actor, publisher=publisher)
    return HttpResponse(status=204)


def _channel(request: HttpRequest, name: str) -> tuple[Actor, Channel]:
    actor = CREDENTIAL(request)
    return actor, channel_for(actor, name, Permission.MANAGE)


def arguments(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of publishers.add() from a checked JSON object with some of MEMBERS."""
    provider = PROVIDERS.get(sent.pop("provider", ""))
    if provider is None:
        raise unprocessable("unknown_provider", f"Expected as provider one of: {', '.join(PROVIDERS)}.")
    unknown = sent.get("pins", {}).keys() - set(provider.pins)
    if unknown:
        raise unprocessable(
            "bad_publisher",
            f"{provider.title} has no stable ids {', '.join(sorted(unknown))}; "
            f"expected some of: {', '.join(provider.pins) or 'none'}.",
        )
    try:
        fields = provider.clean(sent.pop("fields", {}))
    except BadFields as error:
        raise unprocessable("bad_publisher", str(error)) from None
    return sent | {"issuer": _issuer(provider, sent.get("issuer", provider.issuer)), "fields": fields}


def _checked(body: bytes) -> dict[str, Any]:
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request("bad_json", f"The body is no JSON: {error}.") from None
    if not isinstance(sent, dict):
        raise bad_request("bad_json", "The body is no JSON object.")
    for name, value in sent.items():
        if name not in MEMBERS:
            raise bad_request("bad_json", f"'{name[:60]}' is not known here; expected some of: {', '.join(MEMBERS)}.")
        kind, is_right = MEMBERS[name]
        if not is_right(value):
            raise bad_request("bad_json", f"'{name}' is of the wrong kind; expected {kind}.")
    return sent


def _issuer(provider: Provider, url: str) -> Issuer:
    issuer = Issuer.objects.filter(provider=provider.name, url=url, is_enabled=True).first()
    if issuer is None:
        known = ", ".join(each.url for each in Issuer.objects.filter(provider=provider.name, is_enabled=True))
        raise unprocessable(
            "unknown_issuer",
            f"'{url[:200]}' is no issuer of {provider.title} on this hub; expected one of: {known or 'none yet'}.",
        )
    return issuer


def _described(publisher: TrustedPublisher) -> dict[str, Any]:
    return {
        "id": publisher.pk,
        "provider": publisher.issuer.provider,
        "issuer": publisher.issuer.url,
        "fields": publisher.fields,
        "pins": publisher.pins,
        "may_upload": publisher.may_upload,
        "may_read": publisher.may_read,
        "package_globs": publisher.package_globs,
        "created_by": publisher.created_by and publisher.created_by.username,
        "created_at": publisher.created_at,
        "expires_at": publisher.ends_at,
        "last_used_at": publisher.last_used_at,
    }


def _json(document: dict[str, Any], status: int = 200) -> HttpResponse:
    content = orjson.dumps(document, option=orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z)
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(content, status=status, content_type="application/json", headers=headers)
