"""The API of keys. `/api/v1/whoami` describes the credential; `/api/v1/keys/current` lets a key revoke itself.

Keys are created and listed only in a browser session: a leaked key must not create another that outlives it.
"""

from typing import Any

import orjson
from allauth.idp.oidc.models import Token
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from channels_app.access import permissions
from channels_app.access.permissions import Actor
from channels_app.authentication import actors, api_keys
from channels_app.models import ApiKey, Channel
from hub.errors import bad_request, forbidden, unauthenticated
from hub.http.decorators import allow

CHANNELS_MAX = 20


@csrf_exempt
@allow("GET", "HEAD")
def whoami(request: HttpRequest) -> HttpResponse:
    """Describe the credential of the request, without its secret.

    `?channel=` adds its permissions in that channel: none if there is no such channel.
    """
    names = request.GET.getlist("channel")
    if len(names) > CHANNELS_MAX:
        raise bad_request(
            "too_many_channels", f"{len(names)} channels were asked for; expected at most {CHANNELS_MAX}."
        )
    actor = actors.actor(request)
    document = {"credential": actors.credential_source(request), **described(actor), "may": _rights(actor, names)}
    content = orjson.dumps(document, option=orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z | orjson.OPT_INDENT_2)
    headers = {"Cache-Control": "no-store", "Vary": "Authorization, Cookie"}
    return HttpResponse(content + b"\n", content_type="application/json", headers=headers)


@csrf_exempt
@allow("DELETE")
def current(request: HttpRequest) -> HttpResponse:
    """DELETE: revoke the key of the request, and answer with 204."""
    actor = actors.key_actor(request)
    if actor.token:
        raise forbidden("not_a_key", "This is the token of an application; expected an API key.")
    if actor.key is None:
        raise unauthenticated("credential_needed", "No key was sent; send the key that is to be revoked.")
    api_keys.revoke(key=actor.key, actor=actor)
    return HttpResponse(status=204)


def described(actor: Actor) -> dict[str, Any]:
    """Describe the actor without the secret. Values that don't apply are None."""
    nothing = dict.fromkeys(("kind", "name", "hint", "robot_of", "scopes", "channels", "package_globs", "expires_at"))
    return {**nothing, "user": actor.user and actor.user.username, **_described_credential(actor)}


def _described_credential(actor: Actor) -> dict[str, Any]:
    if actor.key:
        return _described_key(actor.key)
    return _described_token(actor.token) if actor.token else {}


def _described_key(key: ApiKey) -> dict[str, Any]:
    channels = None if key.all_channels else sorted(key.channels.values_list("name", flat=True))
    return {
        "kind": key.kind,
        "name": key.name,
        "hint": key.hint,
        "robot_of": key.robot_of and key.robot_of.name,
        "scopes": key.scopes,
        "channels": channels if key.owner else None,
        "package_globs": key.package_globs,
        "expires_at": key.expires_at,
    }


def _described_token(token: Token) -> dict[str, Any]:
    return {
        "kind": "application",
        "name": token.client.name if token.client else None,
        "scopes": permissions.channel_scopes(token),
        "expires_at": token.expires_at,
    }


def _rights(actor: Actor, names: list[str]) -> dict[str, list[permissions.Permission]]:
    """Return the actor's permissions in each channel of `names`."""
    found = Channel.objects.filter(name__in=[name for name in names if "\0" not in name], deleted_at=None)
    by_name = {channel.name: channel for channel in found.defer("logo")}
    return {name: permissions.sorted_permissions(actor, by_name.get(name)) for name in names}
