"""`/api/v1/channels/{channel}/wait` and `…/indexes`: waiting for the index, and its state."""

import time
from datetime import datetime
from typing import Annotated

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate

from channels_app import identifiers
from channels_app.access.permissions import ANONYMOUS, Actor, Permission, channel_for
from channels_app.authentication import decision_cache
from channels_app.models import Channel
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Credential, Request
from hub.errors import HubError
from hub.server.holding import HOLD, Hold
from publishing.index import marks, waiting
from publishing.models import SubdirIndex

router = Router(tags=["Index"])

WAIT_S = 30
# Less than the 60 seconds after which many proxies give up.
WAIT_MAX_S = 50
FILES_MAX = 100
# Each is looked up ten times a second while the request is held. A file has one for each of its labels.
HELD_NAMES_MAX = 200
LabelFilter = Annotated[str, Query(max_length=identifiers.LABEL_MAX_CHARACTERS)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class AwaitedFiles(Schema):
    """The files to wait for: by `sha256`, or by `subdir` and `file_name`."""

    sha256: list[Sha256] = Field([], max_length=FILES_MAX, description="Checksums in hex; it can be repeated.")
    subdir: str = Field("", max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    file_name: str = Field("", max_length=identifiers.FILE_NAME_MAX_CHARACTERS)
    timeout_s: float = Field(WAIT_S, ge=0, le=WAIT_MAX_S, description="Wait at most this long.")


class IndexedFile(Schema):
    """A file that the shards and the JSON files of its subdir have, for one of its labels."""

    subdir: str
    file_name: str
    sha256: str
    label: str
    build_number: int = Field(description="Number of the last build of the index of this label and subdir.")
    built_at: datetime | None


class IndexedFiles(Schema):
    """The files, all of which are in the index of each of their labels."""

    files: list[IndexedFile] = Field(description="Each once for each of its labels.")


class IndexState(Schema):
    """The index of a subdir for one label, or the files of the whole channel."""

    subdir: str = Field(alias="platform", description="Empty: the files of the whole channel.")
    label: str = Field(description="`main`: the channel's own index.")
    build_number: int = Field(alias="builds", description="Number of its last build.")
    built_at: datetime | None
    is_current: bool = Field(description="Whether it has every change.")
    lag_s: float = Field(description="Seconds that the oldest change has waited for a build; 0 if there is none.")

    @staticmethod
    def resolve_label(index: SubdirIndex) -> str:
        return index.label or identifiers.MAIN_LABEL


class AuthenticatedLater(Credential):
    """The security scheme of an operation whose view uses cached decisions, as hundreds of clients ask at once."""

    def __call__(self, request: HttpRequest) -> Actor:
        return ANONYMOUS


@router.get("/channels/{channel}/wait", response=IndexedFiles, url_name="channel-wait", auth=AuthenticatedLater())
def wait(request: Request, channel: str, awaited: Query[AwaitedFiles]) -> dict[str, list[waiting.AwaitedFile]]:
    """Wait until files are in the index. The answer is 408 after `timeout_s`: then ask again.

    It may be 408 earlier, if too many clients wait, the files have too many labels, or the hub restarts.
    """
    place = waiting.Place([each.lower() for each in awaited.sha256], awaited.subdir, awaited.file_name)
    found, files = _files(request, channel, place)
    waiting.check(found, place, files)
    held: Hold | None = request.META.get(HOLD)
    if pending := waiting.pending(files, held.wanted if held else {}):
        ends_at = held.ends_at if held else time.monotonic() + awaited.timeout_s
        if len(pending) <= HELD_NAMES_MAX:
            request.META[HOLD] = Hold(pending, waiting.are_ready, ends_at)
        sentence = f"The index of '{found}' has not all of the files yet; ask again."
        raise HubError(408, "not_indexed_yet", sentence, {"Retry-After": "1"})
    return {"files": sorted(files, key=lambda file: (file.subdir, file.file_name, file.label))}


def _files(request: HttpRequest, name: str, place: waiting.Place) -> tuple[Channel, list[waiting.AwaitedFile]]:
    """Return the channel and its files, by one query if the decision is cached."""
    if decision := decision_cache.cached(request, name, Permission.READ):
        files = waiting.files(decision.channel, place, decision.access_revision)
        if files:
            return decision.channel, files
    channel = decision_cache.channel_to_read(request, name)
    return channel, waiting.files(channel, place)


@router.get("/channels/{channel}/indexes", response=list[IndexState], url_name="channel-indexes")
@paginate(Pages, ordering=("subdir",))
def list_indexes(request: Request, channel: str, label: LabelFilter = "") -> QuerySet[SubdirIndex]:
    """List the indexes of the channel and of its labels, or of one `label`, with their builds and lags."""
    found = SubdirIndex.objects.filter(marks.IN_USE, channel=channel_for(request.auth, channel, Permission.READ))
    return found.filter(label=label if label != identifiers.MAIN_LABEL else "") if label else found
