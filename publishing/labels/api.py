"""`/api/v1/channels/CHANNEL/labels`: labels of a channel. `…/label-changes`, `…/artifacts/…/labels`: of artifacts."""

from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Query, Router, Schema, Status
from ninja.pagination import paginate
from pydantic import ConfigDict, model_validator

from channels_app.access.permissions import Permission, channel_for, decide, lock_channel
from channels_app.identifiers import LABEL_MAX_CHARACTERS
from channels_app.models import Artifact, Label
from channels_app.packages.api import ArtifactState
from channels_app.packages.queries import find_artifacts
from channels_app.rest.bodies import Body, Time, UserName
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Request
from hub.errors import forbidden
from publishing.labels import artifact_labels, edits, labels, queries
from publishing.labels.artifact_labels import Changes
from publishing.labels.edits import Edit
from publishing.labels.names import FILE_LABELS_MAX
from publishing.removal.api import ARTIFACT, Selection, artifact_of

router = Router(tags=["Labels"])
LABELS = "/channels/{channel}/labels"
LABEL = f"{LABELS}/{{label}}"
Names = Annotated[list[str], Field(max_length=FILE_LABELS_MAX)]

# A LabelEdit as JSON schema.
ONE_KIND: Any = [
    {
        "required": ["labels"],
        "properties": {"labels": {"type": "array"}, "add": {"maxItems": 0}, "remove": {"maxItems": 0}},
    },
    *(
        {"required": [name], "properties": {name: {"minItems": 1}, "labels": {"type": "null"}}}
        for name in ("add", "remove")
    ),
]


class LabelState(Schema):
    """A label other than `main`, which every channel has."""

    name: str
    url: str = Field(description="Channel of the files with this label, for clients.")
    artifact_count: int = Field(description="Files in its index.")
    size_bytes: int = Field(description="Of these files.")
    created_at: datetime
    created_by: UserName
    expires_at: datetime | None = Field(description="Then it is deleted, with the files that have no other label.")

    @staticmethod
    def resolve_url(label: Label) -> str:
        return f"{settings.HUB_PUBLIC_URL}/{label}"


class NewLabel(Body):
    """A label to create."""

    name: str = Field(max_length=LABEL_MAX_CHARACTERS)
    expires_at: Time | None = Field(None, description="Within a year; null: never.")


class LabelExpiry(Body):
    """The end of a label."""

    expires_at: Time | None = Field(description="Within a year; null: never.")


class Deletion(Schema):
    with_files: bool = Field(False, description="Delete the files that have no other label, too.")


class LabelEdit(Body):
    """A change of labels: `add` and `remove`, or all `labels`. Labels that don't exist are created."""

    model_config = ConfigDict(json_schema_extra={"anyOf": ONE_KIND})

    add: Names = []
    remove: Names = []
    labels: Names | None = Field(None, min_length=1, description="Exactly these; others are removed.")

    @model_validator(mode="after")
    def _need_one_kind(self) -> "LabelEdit":
        if (self.labels is None) == (not self.add and not self.remove):
            raise ValueError("expected `add` or `remove`, or `labels` alone")
        return self

    def edit(self) -> Edit:
        return edits.change(self.add, self.remove) if self.labels is None else edits.exactly(self.labels)


class LabelChange(LabelEdit):
    """A change of the labels of every artifact that the filter selects."""

    filter: Selection
    dry_run: bool = Field(False, description="Change nothing, and return what would change.")
    fingerprint: str = Field("", max_length=64, description="Of a dry run; another state than its own gets 409.")


class LabeledFile(Schema):
    """A file with its labels after the change."""

    subdir: str
    file_name: str
    sha256: str
    labels: list[str]


class LabelResult(Schema):
    """The artifacts with changed labels."""

    dry_run: bool
    files: list[LabeledFile]
    fingerprint: str | None = Field(None, description="Of a dry run; send it with the change.")


@router.get(LABELS, response=list[LabelState], url_name="labels")
@paginate(Pages, ordering=("name",))
def list_labels(request: Request, channel: str) -> QuerySet[Label]:
    """List the labels by name, without `main`, which is the channel itself."""
    return queries.with_counts(channel_for(request.auth, channel, Permission.READ))


@router.post(LABELS, response={201: LabelState})
def create_label(request: Request, channel: str, new: NewLabel, response: HttpResponse) -> Status[Any]:
    """Create a label without files. Its address is an empty channel."""
    found = channel_for(request.auth, channel, Permission.UPLOAD)
    labels.create(actor=request.auth, channel=found, name=new.name, expires_at=new.expires_at)
    response.headers["Location"] = f"{request.path}/{new.name}"
    return Status(201, queries.counted_label(found, new.name))


@router.get(LABEL, response=LabelState, url_name="label")
def get_label(request: Request, channel: str, label: str) -> Label:
    return queries.counted_label(channel_for(request.auth, channel, Permission.READ), label)


@router.patch(LABEL, response=LabelState, openapi_extra=IF_MATCH)
def change_label(request: Request, channel: str, label: str, change: LabelExpiry) -> Label:
    """Set when the label is deleted, with the files that have no other."""
    found = channel_for(request.auth, channel, Permission.DELETE)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.DELETE)
        check_match(request, LabelState.from_orm(queries.counted_label(locked, label)))
        labels.change_expiry(actor=request.auth, channel=locked, name=label, expires_at=change.expires_at)
        return queries.counted_label(locked, label)


@router.delete(LABEL, response={204: None})
def delete_label(request: Request, channel: str, label: str, how: Query[Deletion]) -> Status[None]:
    """Delete the label. Files that have no other are refused, or with `with_files` deleted; they can be restored."""
    found = channel_for(request.auth, channel, Permission.DELETE)
    labels.delete(actor=request.auth, channel=found, name=label, with_files=how.with_files)
    return Status(204, None)


@router.patch(f"{ARTIFACT}/labels", response=ArtifactState, url_name="artifact-labels")
def change_labels(request: Request, channel: str, subdir: str, file_name: str, wanted: LabelEdit) -> Artifact:
    """Change the labels of one artifact. Removing a label requires the right to delete."""
    edit = wanted.edit()
    found = channel_for(request.auth, channel, edit.permission)
    one = find_artifacts(found, subdir=subdir, file_name=file_name)
    artifact_labels.edit_selection(actor=request.auth, channel=found, selection=one, edit=edit)
    return artifact_of(found, subdir, file_name)


@router.post("/channels/{channel}/label-changes", response=LabelResult, url_name="label-changes")
def change_labels_of_selection(request: Request, channel: str, wanted: LabelChange) -> dict[str, Any]:
    """Change the labels of every artifact that the filter selects, all or none of them, at most 500.

    The index of each label and subdir is changed once.
    """
    edit = wanted.edit()
    found, granted = decide(request.auth, channel, edit.permission)
    selection = find_artifacts(found, **wanted.filter.model_dump())
    change: dict[str, Any] = {"actor": request.auth, "channel": found, "selection": selection, "edit": edit}
    if not wanted.dry_run:
        return {
            "dry_run": False,
            "files": _files(artifact_labels.edit_selection(**change, expected=wanted.fingerprint)),
        }
    if Permission.READ not in granted:
        raise forbidden("scope_missing", "A dry run lists files of the channel, which requires the scope 'read'.")
    plan = artifact_labels.planned(**change)
    return {"dry_run": True, "files": _files(plan.changes), "fingerprint": plan.fingerprint}


def _files(changes: Changes) -> list[LabeledFile]:
    return [
        LabeledFile(subdir=file.subdir, file_name=file.file_name, sha256=file.sha256, labels=sorted(after))
        for file, _, after in changes
    ]
