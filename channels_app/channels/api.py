"""`/api/v1/channels`: channels, their settings, policies and activity."""

from datetime import datetime
from typing import Annotated, Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.channels import channels, queries
from channels_app.models import Channel
from channels_app.rest.conditional import check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Request, user_of

router = Router(tags=["Channels"])
Text = Annotated[str, Query(max_length=200)]


class ChannelState(Schema):
    """A channel and its settings."""

    name: str
    description: str
    is_private: bool
    created_at: datetime
    package_count: int = Field(description="Packages with at least one file in the index.")
    updated_at: datetime | None = Field(description="Time of the last change of a package.")
    role: str | None = Field(description="Role of the credential's user; null without one.")


class NewChannel(Schema):
    """A channel to create. The signed-in user becomes its owner."""

    name: str = Field(max_length=200)
    is_private: bool = True
    description: str = Field("", max_length=500)


class ChannelChange(Schema):
    """Settings to change. A setting that is left out or null stays as it is."""

    description: str | None = Field(None, max_length=500)
    is_private: bool | None = None


class Policies(Schema):
    """The upload policies of a channel. They apply to every upload, whatever the role or key."""

    allow_overwrite: bool
    allow_revision_3: bool = Field(description="Accept packages of repodata revision 3 (CEP 48).")
    only_trusted_publishers: bool
    require_attestation: bool
    max_upload_bytes: int | None = Field(ge=1, description="Null: the limit of the hub.")


class NewOwner(Schema):
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


@router.post("/channels", response={201: ChannelState})
def create_channel(request: Request, new: NewChannel, response: HttpResponse) -> Status[Any]:
    """Create a channel. This requires a session."""
    channel = channels.create(owner=user_of(request), **new.model_dump())
    response.headers["Location"] = f"{request.path}/{channel.name}"
    return Status(201, _state(request, channel))


@router.get("/channels/{channel}", response=ChannelState, url_name="channel")
def get_channel(request: Request, channel: str) -> Channel:
    return _state(request, channel_for(request.auth, channel, Permission.READ))


@router.patch("/channels/{channel}", response=ChannelState)
def change_channel(request: Request, channel: str, change: ChannelChange) -> Channel:
    """Change the settings. Changing the visibility requires a session."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.MANAGE)
        check_match(request, ChannelState.from_orm(_state(request, locked)))
        channels.update(actor=request.auth, channel=locked, **change.model_dump(exclude_none=True))
    return _state(request, found)


@router.delete("/channels/{channel}", response={204: None})
def delete_channel(request: Request, channel: str) -> Status[None]:
    """Delete the channel. This requires a session. An owner can restore it within the grace period."""
    channels.delete(actor=request.auth, channel=channel_for(request.auth, channel, Permission.OWN))
    return Status(204, None)


@router.get("/deleted-channels", response=list[DeletedChannel], url_name="deleted-channels")
@paginate(Pages, ordering=("name",))
def list_deleted_channels(request: Request) -> QuerySet[Channel]:
    """List the deleted channels that the signed-in user can restore."""
    return queries.deleted_channels(request.auth)


@router.post("/deleted-channels/{channel}/restore", response=ChannelState, url_name="deleted-channel-restore")
def restore_channel(request: Request, channel: str) -> Channel:
    deleted = get_object_or_404(queries.deleted_channels(request.auth), name=channel)
    return _state(request, channels.restore(actor=request.auth, channel=deleted))


@router.post("/channels/{channel}/transfer", response=ChannelState, url_name="channel-transfer")
def transfer_channel(request: Request, channel: str, to: NewOwner) -> Channel:
    """Transfer the channel to another owner, and become a maintainer. This requires a session."""
    found = channel_for(request.auth, channel, Permission.OWN)
    channels.transfer(actor=request.auth, channel=found, username=to.username)
    return _state(request, found)


@router.get("/channels/{channel}/policies", response=Policies, url_name="channel-policies")
def get_policies(request: Request, channel: str) -> Channel:
    return channel_for(request.auth, channel, Permission.MANAGE)


@router.put("/channels/{channel}/policies", response=Policies)
def change_policies(request: Request, channel: str, policies: Policies) -> Channel:
    """Set the upload policies. This requires a session."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.MANAGE)
        check_match(request, Policies.from_orm(locked))
        return channels.change_policies(actor=request.auth, channel=locked, **policies.model_dump())


def _state(request: Request, channel: Channel) -> Channel:
    """Return the channel with the values of queries.channel_cards()."""
    return queries.channel_cards(request.auth).get(pk=channel.pk)
