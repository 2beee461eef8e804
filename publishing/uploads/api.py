"""`/api/v1/channels/{channel}/uploads`: the uploaded files of a channel and their states."""

from datetime import datetime
from typing import Annotated

from django.db.models import QuerySet
from django.urls import reverse
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, decide
from channels_app.models import Artifact
from channels_app.packages import packages
from channels_app.rest.bodies import UserName
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Request
from hub.errors import forbidden
from publishing.uploads import queries

router = Router(tags=["Uploads"])
FILES_MAX = 100
Path = Annotated[str, Field(max_length=300)]


class UploadFilters(Schema):
    """The uploads to list."""

    mine: bool = Field(False, description="Only those of the credential's user, or of the key if it has no user.")
    file: list[Path] = Field([], max_length=FILES_MAX, description="SUBDIR/FILE; it can be repeated.")


class UploadState(Schema):
    """An uploaded file. Its upload is `POST /api/v1/upload/{channel}`, which is not part of this document."""

    subdir: str
    file_name: str
    sha256: str
    size_bytes: int
    state: str = Field(
        description="published (not in the index yet), indexed, set aside (unreadable for a client), yanked or deleted."
    )
    uploaded_by: UserName = Field(description="The user; null for keys without one.")
    uploaded_at: datetime
    url: str = Field(description="The page of the file.")

    @staticmethod
    def resolve_state(artifact: Artifact) -> str:
        return queries.state(artifact)

    @staticmethod
    def resolve_uploaded_at(artifact: Artifact) -> datetime:
        return packages.indexed_at(artifact)

    @staticmethod
    def resolve_url(artifact: Artifact) -> str:
        return reverse("artifact", args=[artifact.channel.name, artifact.subdir, artifact.file_name])


@router.get("/channels/{channel}/uploads", response=list[UploadState], url_name="channel-uploads")
@paginate(Pages, ordering=("-pk",))
def list_uploads(request: Request, channel: str, filters: Query[UploadFilters]) -> QuerySet[Artifact]:
    """List the uploads of the channel, newest first.

    It requires the right to upload, and without `mine` also the right to read.
    """
    found, granted = decide(request.auth, channel, Permission.UPLOAD)
    if not filters.mine and Permission.READ not in granted:
        raise forbidden("scope_missing", "The uploads of others require the scope 'read'; your own are at ?mine=true.")
    return queries.uploads(found, by=request.auth if filters.mine else None, paths=filters.file)
