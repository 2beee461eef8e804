"""`/api/v1/channels/CHANNEL/artifacts/SUBDIR/FILE`: one artifact. `…/removals`: changes of a selection of artifacts."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict, model_validator

from channels_app.access.permissions import Permission, channel_for, decide, permissions
from channels_app.models import Artifact, Channel, Removal
from channels_app.packages import queries, raw_documents
from channels_app.packages.api import ArtifactFilter, ArtifactState
from channels_app.rest.service import Request
from hub.errors import conflict, forbidden
from hub.sizes import KIB
from publishing.index import repodata
from publishing.removal import removal
from publishing.removal.forms import REASON_MAX_CHARACTERS
from publishing.removal.removal import Change

router = Router(tags=["Artifacts"])
ARTIFACT = "/channels/{channel}/artifacts/{subdir}/{file_name}"
# A character takes up to 12 bytes of JSON, and an answer has at most three documents.
DOCUMENT_MAX_CHARACTERS = 24 * KIB
DOCUMENTS = ("index_json", "about_json", "files")
CHANGES = {"yank": removal.YANK, "delete": removal.DELETE, "restore": removal.RESTORE}
ReasonText = Annotated[str, Field(max_length=REASON_MAX_CHARACTERS)]


class ArtifactDetail(ArtifactState):
    """An artifact with its documents. A document of more than 24 Ki characters is null; `documents` has its URL."""

    purge_at: datetime | None = Field(description="Time after which a deleted artifact can't be restored.")
    is_purged: bool
    quarantined_for: str = Field(description="Only for those who may manage the channel.")
    api_key: str | None = Field(description="Name of the API key; only for those who may upload.")
    attestations_sha256: str
    record: dict[str, Any] | None = Field(description="The record in repodata.json.")
    about: dict[str, Any] | None = Field(description="info/about.json, or its known keys.")
    file_count: int
    files: list[tuple[str, int]] | None = Field(description="Paths with their sizes in bytes.")
    documents: dict[str, str] = Field(description="URLs of the complete documents.")


class Reason(Schema):
    reason: ReasonText = ""


class Selection(ArtifactFilter):
    """Conditions on the artifacts of a change. At least one is needed."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _need_one(self) -> "Selection":
        if not any(self.model_dump().values()):
            raise ValueError("expected at least one condition")
        return self


class RemovalRequest(Schema):
    """A change of every artifact that the filter selects."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["yank", "delete", "restore"]
    filter: Selection
    reason: ReasonText = Field("", description="Ignored by a restore.")
    dry_run: bool = Field(False, description="Change nothing, and return what would change.")


class ChangedFile(Schema):
    """A selected artifact, with its state after the change."""

    subdir: str
    file_name: str
    sha256: str
    result: Literal["yanked", "deleted", "restored", "purged"] = Field(
        description="`purged`: its bytes are gone, so it can't be restored."
    )


class RemovalResult(Schema):
    """The artifacts that were selected. Those whose state the action doesn't change are not among them."""

    dry_run: bool
    files: list[ChangedFile]


@router.get(ARTIFACT, response=ArtifactDetail, url_name="artifact")
def get_artifact(request: Request, channel: str, subdir: str, file_name: str) -> Artifact:
    """Return the artifact, also a deleted one, with its record, about.json and the list of its files."""
    found = channel_for(request.auth, channel, Permission.READ)
    return _detail(_artifact(found, subdir, file_name), permissions(request.auth, found))


@router.delete(ARTIFACT, response={204: None})
def delete_artifact(request: Request, channel: str, subdir: str, file_name: str, why: Query[Reason]) -> Status[None]:
    """Delete the artifact. It can be restored until `purge_at`. The file name stays reserved."""
    _change(request, channel, subdir, file_name, removal.DELETE, why)
    return Status(204, None)


@router.post(f"{ARTIFACT}/yank", response=ArtifactState, url_name="artifact-yank")
def yank_artifact(request: Request, channel: str, subdir: str, file_name: str, why: Reason | None = None) -> Artifact:
    """Take the artifact out of the index. Its URL still works."""
    return _change(request, channel, subdir, file_name, removal.YANK, why)


@router.post(f"{ARTIFACT}/restore", response=ArtifactState, url_name="artifact-restore")
def restore_artifact(request: Request, channel: str, subdir: str, file_name: str) -> Artifact:
    """Put a yanked or deleted artifact back into the index."""
    return _change(request, channel, subdir, file_name, removal.RESTORE)


@router.post(f"{ARTIFACT}/release", response={204: None}, url_name="artifact-release")
def release_artifact(request: Request, channel: str, subdir: str, file_name: str) -> Status[None]:
    """Free the file name of a deleted artifact for other bytes. This requires an owner's session."""
    found = channel_for(request.auth, channel, Permission.OWN)
    removal.release(actor=request.auth, artifact=_artifact(found, subdir, file_name))
    return Status(204, None)


@router.post("/channels/{channel}/removals", response=RemovalResult, url_name="removals")
def change_artifacts(request: Request, channel: str, wanted: RemovalRequest) -> dict[str, Any]:
    """Yank, delete or restore every artifact that the filter selects, all or none of them, at most 500.

    The index of each subdir is changed once.
    """
    found, granted = decide(request.auth, channel, Permission.DELETE)
    if wanted.dry_run and Permission.READ not in granted:
        raise forbidden("scope_missing", "A dry run lists files of the channel, which requires the scope 'read'.")
    change = CHANGES[wanted.action]
    changed = removal.change_selection(
        actor=request.auth,
        channel=found,
        selection=queries.find_artifacts(found, **wanted.filter.model_dump()),
        change=change,
        reason=wanted.reason if change.to else "",
        dry_run=wanted.dry_run,
    )
    return {
        "dry_run": wanted.dry_run,
        "files": [
            {
                "subdir": artifact.subdir,
                "file_name": artifact.file_name,
                "sha256": artifact.sha256,
                "result": "purged" if artifact.removal != change.to else change.to or "restored",
            }
            for artifact in changed
        ],
    }


def _change(
    request: Request, channel: str, subdir: str, file_name: str, change: Change, why: Reason | None = None
) -> Artifact:
    """Change one artifact, or leave it if it has the state already. Raise HubError 409 if its state forbids it."""
    found = channel_for(request.auth, channel, Permission.DELETE)
    one = queries.find_artifacts(found, subdir=subdir, file_name=file_name)
    removal.change_selection(
        actor=request.auth, channel=found, selection=one, change=change, reason=why.reason if why else ""
    )
    artifact = _artifact(found, subdir, file_name)
    if artifact.removal == change.to:
        return artifact
    if artifact.is_purged:
        raise removal.purged(artifact)
    raise conflict("deleted", f"{artifact} is deleted; restore it first.")


def _artifact(channel: Channel, subdir: str, file_name: str) -> Artifact:
    found = queries.find_artifacts(channel, subdir=subdir, file_name=file_name)
    artifact = found.select_related("uploaded_by", "uploaded_with", "removed_by").first()
    if artifact is None:
        raise queries.no_such_file(channel, subdir, file_name)
    return artifact


def _detail(artifact: Artifact, may: frozenset[Permission]) -> Artifact:
    """Return the artifact with the additional values of ArtifactDetail."""
    light = queries.with_light_documents(Artifact.objects.filter(pk=artifact.pk), DOCUMENT_MAX_CHARACTERS)
    index, about, files = light.values_list(*(f"{name}_light" for name in DOCUMENTS)).get()
    artifact.index_json = index or {}
    key = artifact.uploaded_with if Permission.UPLOAD in may else None
    place = [artifact.channel.name, artifact.subdir, artifact.file_name]
    values = {
        "purge_at": removal.purge_at(artifact) if artifact.removal == Removal.DELETED else None,
        "quarantined_for": artifact.quarantine_reason if Permission.MANAGE in may else "",
        "api_key": key.name if key else None,
        "record": repodata.record(artifact) if index else None,
        "about": about,
        "files": files,
        "documents": {
            name: settings.HUB_PUBLIC_URL + reverse("artifact-document", args=[*place, name])
            for name in raw_documents.COLUMNS
        },
    }
    for name, value in values.items():
        setattr(artifact, name, value)
    return artifact
