"""The API of keys: describe the credential, let a key revoke itself, list and revoke keys of users and channels.

Keys are created only on pages: a leaked key must not create another that outlives it. It can't list others either.
"""

from datetime import datetime
from typing import Any

import orjson
from allauth.idp.oidc.models import Token
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access import permissions
from channels_app.access.permissions import Actor, Permission, channel_for
from channels_app.authentication import actors, api_keys
from channels_app.models import ApiKey, Channel
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request, user_of
from hub.errors import bad_request, forbidden, unauthenticated
from hub.http.decorators import allow

CHANNELS_MAX = 20
router = Router(tags=["Keys"])


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


class ChannelKey(Schema):
    """A key that belongs to a channel. Its secret is not stored."""

    id: int
    name: str
    hint: str = Field(description="The first characters of the key.")
    scopes: list[str]
    package_globs: list[str] = Field(description="The package names to which it is limited; empty means all.")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class UserKey(ChannelKey):
    """A key of a user. Its secret is not stored."""

    channels: list[str] | None = Field(description="The channels to which it is limited; null means all.")

    @staticmethod
    def resolve_channels(key: Any) -> list[str] | None:
        return None if key.all_channels else sorted(channel.name for channel in key.channels.all())


@router.get("/account/keys", response=list[UserKey], url_name="account-keys", openapi_extra=SESSION_ONLY)
@paginate(Pages, ordering=("-pk",))
def list_user_keys(request: Request) -> QuerySet[ApiKey]:
    """List the user's keys that are not revoked, the newest first."""
    return user_of(request).keys.filter(revoked_at=None).prefetch_related("channels")


@router.delete("/account/keys/{key}", response={204: None}, url_name="account-key", openapi_extra=SESSION_ONLY)
def revoke_user_key(request: Request, key: int) -> Status[None]:
    """Revoke a key of the user."""
    found = get_object_or_404(user_of(request).keys.filter(revoked_at=None), pk=key)
    api_keys.revoke(key=found, actor=request.auth)
    return Status(204, None)


@router.get("/channels/{channel}/robots", response=list[ChannelKey], url_name="channel-robots")
@paginate(Pages, ordering=("-pk",))
def list_channel_keys(request: Request, channel: str) -> QuerySet[ApiKey]:
    """List the channel keys that are not revoked, the newest first."""
    return channel_for(request.auth, channel, Permission.MANAGE).robots.filter(revoked_at=None)


@router.delete(
    "/channels/{channel}/robots/{key}", response={204: None}, url_name="channel-robot", openapi_extra=SESSION_ONLY
)
def revoke_channel_key(request: Request, channel: str, key: int) -> Status[None]:
    """Revoke a channel key, as an owner."""
    found = channel_for(request.auth, channel, Permission.OWN)
    api_keys.revoke(key=get_object_or_404(found.robots.filter(revoked_at=None), pk=key), actor=request.auth)
    return Status(204, None)
