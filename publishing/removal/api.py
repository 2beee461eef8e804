"""`/api/v1/channels/CHANNEL/artifacts/SUBDIR/FILE`: one artifact. `…/removals`: changes of a selection of artifacts."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict, model_validator

from channels_app.access.permissions import Actor, Permission, channel_for, decide, permissions
from channels_app.models import Artifact, Channel, Removal
from channels_app.packages import queries, raw_documents
from channels_app.packages.api import ArtifactFilter, ArtifactState
from channels_app.rest.bodies import Body, with_value
from channels_app.rest.service import SESSION_ONLY, Request
from hub.errors import conflict, forbidden
from hub.sizes import KIB
from publishing.index import active_patches, patching, repodata
from publishing.removal import dependents, removal
from publishing.removal.dependents import Dependent, Dependents
from publishing.removal.forms import REASON_MAX_CHARACTERS
from publishing.removal.removal import Change

router = Router(tags=["Artifacts"])
ARTIFACT = "/channels/{channel}/artifacts/{subdir}/{file_name}"
# A character takes up to 12 bytes of JSON, and an answer has at most three documents.
DOCUMENT_MAX_CHARACTERS = 24 * KIB
DOCUMENTS = ("index_json", "about_json", "files")
RESULTS: dict[Removal, Literal["yanked", "deleted", "restored"]] = {
    Removal.YANKED: "yanked",
    Removal.DELETED: "deleted",
    Removal.NONE: "restored",
}
CHANGES = {"yank": removal.YANK, "delete": removal.DELETE, "restore": removal.RESTORE}
PathAndSize = Annotated[list[str | int], Field(min_length=2, max_length=2)]
ReasonText = Annotated[str, Field(max_length=REASON_MAX_CHARACTERS)]


class ArtifactDetail(ArtifactState):
    """An artifact with its documents. A document of more than 24 Ki characters is null; `documents` has its URL."""

    purge_at: datetime | None = Field(description="Time after which a deleted artifact can't be restored.")
    is_purged: bool
    quarantined_for: str = Field(description="Only for those who may manage the channel.")
    api_key: str | None = Field(description="Name of the API key; only for those who may upload.")
    attestations_sha256: str
    record: dict[str, Any] | None = Field(description="The record in repodata.json, with the channel's patches.")
    about: dict[str, Any] | None = Field(description="info/about.json, or its known keys.")
    file_count: int
    files: list[PathAndSize] | None = Field(description="Paths with their sizes in bytes.")
    documents: dict[str, str] = Field(description="URLs of the complete documents.")


class Reason(Body):
    reason: ReasonText = ""


NO_REASON = Reason()


class Selection(Body, ArtifactFilter):
    """Conditions on the artifacts of a change. At least one is needed."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [with_value(name) for name in ArtifactFilter.model_fields]})

    @model_validator(mode="after")
    def _need_one(self) -> "Selection":
        if not any(self.model_dump().values()):
            raise ValueError("expected at least one condition")
        return self


class RemovalRequest(Body):
    """A change of every artifact that the filter selects."""

    action: Literal["yank", "delete", "restore"]
    filter: Selection
    reason: ReasonText = Field("", description="Ignored by a restore.")
    dry_run: bool = Field(False, description="Change nothing, and return what would change.")
    fingerprint: str = Field("", max_length=64, description="Of a dry run; other files than its own get 409.")


class ChangedFile(Schema):
    """A selected artifact, with its state after the change."""

    subdir: str
    file_name: str
    sha256: str
    result: Literal["yanked", "deleted", "restored", "purged"] = Field(
        description="`purged`: its bytes are gone, so it can't be restored."
    )


class LostDependency(Schema):
    """A dependency that no file would satisfy, with the subdirs where. `noarch` stands for all others."""

    spec: str
    subdirs: list[str]


class DependentPackage(Schema):
    """A package whose newest version loses a dependency."""

    channel: str
    name: str
    version: str
    lost: list[LostDependency]

    @staticmethod
    def of(dependent: Dependent) -> "DependentPackage":
        lost = [LostDependency(spec=spec, subdirs=sorted(subdirs)) for spec, subdirs in dependent.lost.items()]
        package = dependent.package
        return DependentPackage(
            channel=package.channel.name, name=package.name, version=package.latest_version, lost=lost
        )


class DependentPackages(Schema):
    """The packages that depend on the files, in all channels that you may read."""

    broken: list[DependentPackage]
    kept: int = Field(description="Number of packages whose dependencies other files satisfy.")
    is_complete: bool = Field(description="Whether all packages were checked.")

    @staticmethod
    def of(dependents: Dependents) -> "DependentPackages":
        broken = [DependentPackage.of(dependent) for dependent in dependents.broken]
        return DependentPackages(broken=broken, kept=dependents.kept, is_complete=dependents.is_complete)


class RemovalResult(Schema):
    """The artifacts that were selected. Those whose state the action doesn't change are not among them."""

    dry_run: bool
    files: list[ChangedFile]
    fingerprint: str | None = Field(None, description="Of a dry run; send it with the change.")
    dependents: DependentPackages | None = Field(None, description="Of a dry run that yanks or deletes.")


@router.get(ARTIFACT, response=ArtifactDetail, url_name="artifact")
def get_artifact(request: Request, channel: str, subdir: str, file_name: str) -> Artifact:
    """Return the artifact, also a deleted one, with its record, about.json and the list of its files."""
    found = channel_for(request.auth, channel, Permission.READ)
    return _detail(artifact_of(found, subdir, file_name), permissions(request.auth, found))


@router.delete(ARTIFACT, response={204: None})
def delete_artifact(request: Request, channel: str, subdir: str, file_name: str, why: Query[Reason]) -> Status[None]:
    """Delete the artifact. It can be restored until `purge_at`. The file name stays reserved."""
    _change(request, channel, subdir, file_name, removal.DELETE, why)
    return Status(204, None)


@router.post(f"{ARTIFACT}/yank", response=ArtifactState, url_name="artifact-yank")
def yank_artifact(request: Request, channel: str, subdir: str, file_name: str, why: Reason = NO_REASON) -> Artifact:
    """Take the artifact out of the index. Its URL still works."""
    return _change(request, channel, subdir, file_name, removal.YANK, why)


@router.post(f"{ARTIFACT}/restore", response=ArtifactState, url_name="artifact-restore")
def restore_artifact(request: Request, channel: str, subdir: str, file_name: str) -> Artifact:
    """Put a yanked or deleted artifact back into the index."""
    return _change(request, channel, subdir, file_name, removal.RESTORE)


@router.post(f"{ARTIFACT}/release", response={204: None}, url_name="artifact-release", openapi_extra=SESSION_ONLY)
def release_artifact(request: Request, channel: str, subdir: str, file_name: str) -> Status[None]:
    """Free the file name of a deleted artifact for other bytes, as an owner."""
    found = channel_for(request.auth, channel, Permission.OWN)
    removal.release(actor=request.auth, artifact=artifact_of(found, subdir, file_name))
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
    selection = queries.find_artifacts(found, **wanted.filter.model_dump())
    if wanted.dry_run:
        return _planned(request.auth, found, selection, change)
    changed = removal.change_selection(
        actor=request.auth,
        channel=found,
        selection=selection,
        change=change,
        reason=wanted.reason if change.to else "",
        expected=wanted.fingerprint,
    )
    return {"dry_run": False, "files": _results(changed, change)}


def _planned(actor: Actor, channel: Channel, selection: QuerySet[Artifact], change: Change) -> dict[str, Any]:
    files = removal.affected(actor=actor, channel=channel, selection=selection, change=change)
    found = dependents.of_removal(actor, channel, files) if change.to else None
    return {
        "dry_run": True,
        "files": _results(files, change),
        "fingerprint": removal.fingerprint(files),
        "dependents": found and DependentPackages.of(found),
    }


def _results(files: list[Artifact], change: Change) -> list[ChangedFile]:
    return [
        ChangedFile(
            subdir=artifact.subdir,
            file_name=artifact.file_name,
            sha256=artifact.sha256,
            result="purged" if artifact.is_purged else RESULTS[change.to],
        )
        for artifact in files
    ]


def _change(
    request: Request, channel: str, subdir: str, file_name: str, change: Change, why: Reason = NO_REASON
) -> Artifact:
    """Change one artifact, or leave it if it has the state already. Raise HubError 409 if its state forbids it."""
    found = channel_for(request.auth, channel, Permission.DELETE)
    one = queries.find_artifacts(found, subdir=subdir, file_name=file_name)
    removal.change_selection(actor=request.auth, channel=found, selection=one, change=change, reason=why.reason)
    artifact = artifact_of(found, subdir, file_name)
    if artifact.removal == change.to:
        return artifact
    if artifact.is_purged:
        raise removal.purged(artifact)
    raise conflict("deleted", f"{artifact} is deleted; restore it first.")


def artifact_of(channel: Channel, subdir: str, file_name: str) -> Artifact:
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
        "record": repodata.record(patching.patched(artifact, active_patches.changes_of(artifact))) if index else None,
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
