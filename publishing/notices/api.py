"""`/api/v1/…/notices`: messages to users of a channel (CEP 6), and of the hub."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access import administrators
from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.rest.bodies import Body, Time, UserName
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Request
from publishing.models import ChannelNotice, NoticeLevel
from publishing.notices import notices, queries

router = Router(tags=["Notices"])
NOTICE = "/channels/{channel}/notices/{int:notice_id}"
HUB_NOTICE = "/notices/{int:notice_id}"
SEE = "see and change the notices of the hub"


class NoticeState(Schema):
    """A notice. `uid` is its id in notices.json."""

    id: int
    uid: UUID
    level: NoticeLevel
    message: str
    created_at: datetime
    expires_at: datetime
    created_by: UserName


class NewNotice(Body):
    """A notice to add."""

    level: NoticeLevel = NoticeLevel.INFO
    message: str = Field(min_length=1, max_length=notices.MESSAGE_MAX_CHARACTERS)
    expires_at: Time = Field(description="Within a year.")


class NoticeChange(Body):
    """Values to change. A value that is left out or null stays as it is."""

    level: NoticeLevel | None = None
    message: str | None = Field(None, min_length=1, max_length=notices.MESSAGE_MAX_CHARACTERS)
    expires_at: Time | None = None


class HubNoticeState(NoticeState):
    """A notice of the hub, which every page shows."""

    for_clients: bool = Field(description="Whether the notices.json of every channel has it.")


class NewHubNotice(NewNotice):
    """A notice of the hub to add."""

    for_clients: bool = Field(False, description="Add it to the notices.json of every channel.")


class HubNoticeChange(NoticeChange):
    """Values to change. A value that is left out or null stays as it is."""

    for_clients: bool | None = None


@router.get("/channels/{channel}/notices", response=list[NoticeState], url_name="notices")
@paginate(Pages, ordering=("id",))
def list_notices(request: Request, channel: str) -> QuerySet[ChannelNotice]:
    """List the notices that have not expired."""
    return queries.current(channel_for(request.auth, channel, Permission.MANAGE))


@router.post("/channels/{channel}/notices", response={201: NoticeState})
def add_notice(request: Request, channel: str, new: NewNotice, response: HttpResponse) -> Status[Any]:
    """Add a notice. Clients show it within a minute, unless they have older notices that have not expired."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    notice = notices.add(actor=request.auth, channel=found, **new.model_dump())
    response.headers["Location"] = f"{request.path}/{notice.pk}"
    return Status(201, notice)


@router.get(NOTICE, response=NoticeState, url_name="notice")
def get_notice(request: Request, channel: str, notice_id: int) -> ChannelNotice:
    return _notice(request, channel, notice_id)


@router.patch(NOTICE, response=NoticeState, openapi_extra=IF_MATCH)
def change_notice(request: Request, channel: str, notice_id: int, change: NoticeChange) -> ChannelNotice:
    """Change the notice. With another message, clients show it again."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    notice = queries.notice_of(found, notice_id)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.MANAGE)
        check_match(request, NoticeState.from_orm(queries.notice_of(locked, notice_id)))
        return notices.change(actor=request.auth, notice=notice, **change.model_dump(exclude_none=True))


@router.delete(NOTICE, response={204: None})
def remove_notice(request: Request, channel: str, notice_id: int) -> Status[None]:
    """Remove the notice. Clients that have it show it until it expires."""
    notices.remove(actor=request.auth, notice=_notice(request, channel, notice_id))
    return Status(204, None)


@router.get("/notices", response=list[HubNoticeState], url_name="hub-notices")
@paginate(Pages, ordering=("id",))
def list_hub_notices(request: Request) -> QuerySet[ChannelNotice]:
    """List the notices of the hub that have not expired, for administrators."""
    administrators.check(request.auth, SEE)
    return queries.current(None)


@router.post("/notices", response={201: HubNoticeState})
def add_hub_notice(request: Request, new: NewHubNotice, response: HttpResponse) -> Status[Any]:
    """Add a notice of the hub. Every page shows it within 10 seconds."""
    notice = notices.add(actor=request.auth, channel=None, **new.model_dump())
    response.headers["Location"] = f"{request.path}/{notice.pk}"
    return Status(201, notice)


@router.get(HUB_NOTICE, response=HubNoticeState, url_name="hub-notice")
def get_hub_notice(request: Request, notice_id: int) -> ChannelNotice:
    return _hub_notice(request, notice_id)


@router.patch(HUB_NOTICE, response=HubNoticeState, openapi_extra=IF_MATCH)
def change_hub_notice(request: Request, notice_id: int, change: HubNoticeChange) -> ChannelNotice:
    """Change the notice. With another message, clients show it again."""
    notice = _hub_notice(request, notice_id)
    with transaction.atomic():
        locked = ChannelNotice.objects.select_for_update(no_key=True).get(pk=notice.pk)
        check_match(request, HubNoticeState.from_orm(locked))
        return notices.change(actor=request.auth, notice=locked, **change.model_dump(exclude_none=True))


@router.delete(HUB_NOTICE, response={204: None})
def remove_hub_notice(request: Request, notice_id: int) -> Status[None]:
    notices.remove(actor=request.auth, notice=_hub_notice(request, notice_id))
    return Status(204, None)


def _hub_notice(request: Request, notice_id: int) -> ChannelNotice:
    administrators.check(request.auth, SEE)
    return queries.notice_of(None, notice_id)


def _notice(request: Request, channel: str, notice_id: int) -> ChannelNotice:
    return queries.notice_of(channel_for(request.auth, channel, Permission.MANAGE), notice_id)
