"""`/api/v1/channels/{channel}/relations`: the channels that clients load with a channel (CEP 42)."""

from typing import Any

from django.db import transaction
from ninja import Field, Router, Schema

from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.rest.bodies import Body
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.service import SESSION_ONLY, Request
from publishing.models import ChannelRelations
from publishing.relations import relations

router = Router(tags=["Channels"])
PATH = "/channels/{channel}/relations"


class Relations(Schema):
    """The related channels."""

    base: str | None = Field(description="Name of the channel that clients search before this one.")
    overrides: str | None = Field(description="Name of the channel that clients search after this one.")
    listed: dict[str, str] = Field(description="What the index files state. Empty if clients could not follow it.")

    @staticmethod
    def resolve_base(stored: ChannelRelations) -> Any:
        return stored.base and stored.base.name

    @staticmethod
    def resolve_overrides(stored: ChannelRelations) -> Any:
        return stored.overrides and stored.overrides.name


class RelatedNames(Body):
    """Names of channels of this hub; null means none."""

    base: str | None = Field(max_length=200)
    overrides: str | None = Field(max_length=200)


@router.get(PATH, response=Relations, url_name="channel-relations")
def get_relations(request: Request, channel: str) -> ChannelRelations:
    return relations.of(channel_for(request.auth, channel, Permission.MANAGE))


@router.put(PATH, response=Relations, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_relations(request: Request, channel: str, names: RelatedNames) -> ChannelRelations:
    """Set the related channels. The next builds of the index list them."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.MANAGE)
        check_match(request, Relations.from_orm(relations.of(locked)))
        return relations.change(
            actor=request.auth, channel=locked, base=names.base or "", overrides=names.overrides or ""
        )
