"""`/api/v1/channels`: channels, their settings, policies and activity."""

from datetime import datetime
from io import BytesIO
from typing import Annotated, Any, Literal

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.channels import channels, logos, queries, storage
from channels_app.models import Channel, ChannelKind
from channels_app.quotas import channel_quotas
from channels_app.rest.bodies import Body
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request, user_of

router = Router(tags=["Channels"])
Text = Annotated[str, Query(max_length=200)]
IMAGE = {"schema": {"type": "string", "format": "binary"}}
LOGO_BODY = {"requestBody": {"required": True, "content": {f"image/{kind.lower()}": IMAGE for kind in logos.FORMATS}}}


class ChannelState(Schema):
    """A channel and its settings."""

    name: str
    description: str
    kind: ChannelKind = Field(description="The source of its packages.")
    is_private: bool
    created_at: datetime
    logo_url: str | None = Field(description="Path of the logo, a PNG.")
    package_count: int = Field(description="Packages with at least one file in the index.")
    size_bytes: int = Field(description="Of all stored files; deleted ones count until they are purged.")
    updated_at: datetime | None = Field(description="Time of the last change of a package.")
    role: str | None = Field(description="Role of the credential's user; null without one.")

    @staticmethod
    def resolve_logo_url(channel: Any) -> str | None:
        return reverse("channel-logo", args=[channel.name]) if channel.has_logo else None


class NewChannel(Body):
    """A channel to create. The signed-in user becomes its owner."""

    name: str = Field(max_length=200)
    is_private: bool = True
    kind: Literal[ChannelKind.PACKAGES, ChannelKind.VIRTUAL] = Field(
        ChannelKind.PACKAGES, description="`virtual`: it has the packages of other channels; set them at …/virtual."
    )
    description: str = Field("", max_length=500)


class ChannelChange(Body):
    """Settings to change. A setting that is left out or null stays as it is."""

    description: str | None = Field(None, max_length=500)
    is_private: bool | None = None


class Policies(Body):
    """The upload policies of a channel. They apply to every upload, by every role and key."""

    allow_overwrite: bool
    allow_revision_3: bool = Field(description="Accept packages of repodata revision 3 (CEP 48).")
    only_trusted_publishers: bool
    require_attestation: bool
    max_upload_bytes: int | None = Field(ge=1, le=2**63 - 1, description="Null: the limit of the hub.")


class Quota(Body):
    """The limit of a channel's stored bytes."""

    quota_bytes: int | None = Field(ge=0, le=2**63 - 1, description="Null: the default of the hub; 0: no limit.")


class StorageState(Schema):
    """The stored bytes of a channel, and their limit."""

    size_bytes: int = Field(description="Of all stored files; deleted ones count until they are purged.")
    limit_bytes: int | None = Field(description="Null: no limit.")
    quota_bytes: int | None = Field(description="The channel's own limit; null: the default of the hub.")
    is_nearly_full: bool = Field(description="Whether 80 % of the limit are used.")


class NewOwner(Body):
    """The user to whom a channel is transferred."""

    username: str = Field(max_length=150)


class DeletedChannel(Schema):
    """A deleted channel, which an owner can restore until `purge_at`."""

    name: str
    description: str
    deleted_at: datetime
    purge_at: datetime


@router.get("/channels", response=list[ChannelState], url_name="channels")
@paginate(Pages, ordering=("name",))
def list_channels(request: Request, mine: bool = False, search: Text = "") -> QuerySet[Channel]:
    """List the channels that the credential can see; with `mine`, those in which its user has a role."""
    return queries.channel_cards(request.auth, mine=mine, text=search)


@router.post("/channels", response={201: ChannelState}, openapi_extra=SESSION_ONLY)
def create_channel(request: Request, new: NewChannel, response: HttpResponse) -> Status[Any]:
    """Create a channel."""
    channel = channels.create(owner=user_of(request), **new.model_dump())
    response.headers["Location"] = f"{request.path}/{channel.name}"
    return Status(201, _state(request, channel))


@router.get("/channels/{channel}", response=ChannelState, url_name="channel")
def get_channel(request: Request, channel: str) -> Channel:
    return _state(request, channel_for(request.auth, channel, Permission.READ))


@router.patch("/channels/{channel}", response=ChannelState, openapi_extra=IF_MATCH)
def change_channel(request: Request, channel: str, change: ChannelChange) -> Channel:
    """Change the settings. Changing the visibility requires a session."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.MANAGE)
        check_match(request, ChannelState.from_orm(_state(request, locked)))
        channels.update(actor=request.auth, channel=locked, **change.model_dump(exclude_none=True))
    return _state(request, found)


@router.put("/channels/{channel}/logo", response={204: None}, url_name="channel-logo", openapi_extra=LOGO_BODY)
def set_logo(request: Request, channel: str) -> Status[None]:
    """Set the logo: the body is a PNG, JPEG, WebP or GIF. The hub crops it to a square PNG of 128 pixels."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    channels.update(actor=request.auth, channel=found, logo=logos.encode(BytesIO(request.body)))
    return Status(204, None)


@router.delete("/channels/{channel}/logo", response={204: None})
def remove_logo(request: Request, channel: str) -> Status[None]:
    channels.update(actor=request.auth, channel=channel_for(request.auth, channel, Permission.MANAGE), logo=None)
    return Status(204, None)


@router.delete("/channels/{channel}", response={204: None}, openapi_extra=SESSION_ONLY)
def delete_channel(request: Request, channel: str) -> Status[None]:
    """Delete the channel. An owner can restore it within the grace period."""
    channels.delete(actor=request.auth, channel=channel_for(request.auth, channel, Permission.OWN))
    return Status(204, None)


@router.get("/deleted-channels", response=list[DeletedChannel], url_name="deleted-channels")
@paginate(Pages, ordering=("name",))
def list_deleted_channels(request: Request) -> QuerySet[Channel]:
    """List the deleted channels that the signed-in user can restore."""
    return queries.deleted_channels(request.auth)


@router.post(
    "/deleted-channels/{channel}/restore",
    response=ChannelState,
    url_name="deleted-channel-restore",
    openapi_extra=SESSION_ONLY,
)
def restore_channel(request: Request, channel: str) -> Channel:
    deleted = get_object_or_404(queries.deleted_channels(request.auth), name=channel)
    return _state(request, channels.restore(actor=request.auth, channel=deleted))


@router.post(
    "/channels/{channel}/transfer", response=ChannelState, url_name="channel-transfer", openapi_extra=SESSION_ONLY
)
def transfer_channel(request: Request, channel: str, to: NewOwner) -> Channel:
    """Transfer the channel to another owner, and become a maintainer."""
    found = channel_for(request.auth, channel, Permission.OWN)
    channels.transfer(actor=request.auth, channel=found, username=to.username)
    return _state(request, found)


@router.get("/channels/{channel}/policies", response=Policies, url_name="channel-policies")
def get_policies(request: Request, channel: str) -> Channel:
    return channel_for(request.auth, channel, Permission.MANAGE)


@router.put("/channels/{channel}/policies", response=Policies, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_policies(request: Request, channel: str, policies: Policies) -> Channel:
    """Set the upload policies."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.MANAGE)
        check_match(request, Policies.from_orm(locked))
        return channels.change_policies(actor=request.auth, channel=locked, **policies.model_dump())


@router.get("/channels/{channel}/quota", response=StorageState, url_name="channel-quota")
def get_quota(request: Request, channel: str) -> dict[str, Any]:
    """Return the stored bytes and the quota."""
    return _storage(channel_for(request.auth, channel, Permission.MANAGE))


@router.put("/channels/{channel}/quota", response=StorageState, openapi_extra=SESSION_ONLY)
def set_quota(request: Request, channel: str, quota: Quota) -> dict[str, Any]:
    """Set the quota. Only administrators can do this."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    return _storage(storage.set_quota(actor=request.auth, channel=found, quota_bytes=quota.quota_bytes))


def _storage(channel: Channel) -> dict[str, Any]:
    used = channel_quotas.usage(channel)
    return {
        "size_bytes": used.stored_bytes,
        "limit_bytes": used.limit_bytes,
        "quota_bytes": channel.quota_bytes,
        "is_nearly_full": used.is_nearly_full,
    }


def _state(request: Request, channel: Channel) -> Channel:
    """Return the channel with the values of queries.channel_cards()."""
    return queries.channel_cards(request.auth).get(pk=channel.pk)
