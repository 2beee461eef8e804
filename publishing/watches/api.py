"""`/api/v1/channels/{channel}/watch`: whether a channel takes in files below its prefix of the store."""

from datetime import datetime

from django.db.models import QuerySet
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for
from channels_app.rest.bodies import UserName
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request
from publishing.models import Watch, WatchedFile
from publishing.watches import watches

router = Router(tags=["Watches"])
PATH = "/channels/{channel}/watch"


class WatchState(Schema):
    """A watch that is on, and its last pass."""

    created_by: UserName
    created_at: datetime
    adopted_files: int = Field(description="That it took in since it was turned on.")
    refused_files: int
    passed_at: datetime | None = Field(description="When the last pass ended.")
    listed_at: datetime | None = Field(description="When a pass last reached the last file.")
    pass_s: float = Field(description="How long the last pass took, in seconds.")
    failing_since: datetime | None
    error_code: str
    error: str = Field(description="What stopped the last pass.")

    @staticmethod
    def resolve_refused_files(watch: Watch) -> int:
        return watch.refused.count()


class WatchRefusal(Schema):
    """A file below the prefix that was not taken in. It is checked again when it changes."""

    subdir: str
    file_name: str
    size_bytes: int
    code: str
    reason: str
    seen_at: datetime


@router.get(PATH, response=WatchState, url_name="channel-watch")
def get_watch(request: Request, channel: str) -> Watch:
    """Return the state of the watch; 404 `no_watch` if it is off."""
    return watches.of(channel_for(request.auth, channel, Permission.MANAGE))


@router.put(PATH, response=WatchState, openapi_extra=SESSION_ONLY)
def start_watch(request: Request, channel: str) -> Watch:
    """Turn the watch on. Within a minute, files that lie below the prefix are checked and taken in."""
    return watches.start(actor=request.auth, channel=channel_for(request.auth, channel, Permission.OWN))


@router.delete(PATH, response={204: None}, openapi_extra=SESSION_ONLY)
def stop_watch(request: Request, channel: str) -> Status[None]:
    """Turn the watch off. Files that it took in stay."""
    watches.stop(actor=request.auth, channel=channel_for(request.auth, channel, Permission.OWN))
    return Status(204, None)


@router.get(f"{PATH}/refused", response=list[WatchRefusal], url_name="channel-watch-refused")
@paginate(Pages, ordering=("id",))
def list_watch_refusals(request: Request, channel: str) -> QuerySet[WatchedFile]:
    """List the files that were not taken in."""
    watch = watches.of(channel_for(request.auth, channel, Permission.MANAGE))
    return WatchedFile.objects.filter(watch=watch)


@router.post(f"{PATH}/retry", response={202: WatchState}, url_name="channel-watch-retry")
def retry_watch(request: Request, channel: str) -> Status[Watch]:
    """Check the refused files again, as after a change of the channel's settings."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    return Status(202, watches.retry(actor=request.auth, channel=found))
