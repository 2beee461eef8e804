"""`/api/v1/channels/{channel}/imports`: packages from another channel's URL, as a job."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for
from channels_app.identifiers import LABEL_MAX_CHARACTERS
from channels_app.rest.bodies import Body, UserName
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Request
from publishing.imports import imports, queries
from publishing.imports.imports import KEY_MAX_CHARACTERS, SUBDIRS_MAX, Wanted
from publishing.models import Import, ImportState, RefusedFile, SourceKey
from publishing.record_filters import NEWEST_VERSIONS_MAX, SPEC_MAX_CHARACTERS, SPECS_MAX

router = Router(tags=["Imports"])
IMPORTS = "/channels/{channel}/imports"
IMPORT = f"{IMPORTS}/{{int:import_id}}"
Spec = Annotated[str, Field(max_length=SPEC_MAX_CHARACTERS)]
Specs = Annotated[list[Spec], Field(max_length=SPECS_MAX)]
Subdirs = Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=SUBDIRS_MAX)]


class SourceSecret(Body):
    """The key of the source. It is encrypted while the import runs, then deleted, and no answer has it."""

    key: str = Field("", max_length=KEY_MAX_CHARACTERS)


NO_SECRET = SourceSecret(key="")


class NewImport(SourceSecret):
    """The source of an import, its filters, and the label of its files."""

    source: str = Field(min_length=1, max_length=500, description="The URL of a channel, without a key.")
    key_kind: SourceKey = Field(SourceKey.NONE, description="How the source gets the key.")
    include: Specs = Field([], description="MatchSpecs; names may have `*` and `?`. Empty: all packages.")
    exclude: Specs = []
    subdirs: Subdirs = Field([], description="Empty: all that clients know.")
    newest_versions: int | None = Field(
        None, ge=1, le=NEWEST_VERSIONS_MAX, description="Of each name in each subdir. Null: all."
    )
    label: str = Field(
        "",
        max_length=LABEL_MAX_CHARACTERS,
        description="New files get it alone, files of the channel in addition. Empty: new files get `main`.",
    )
    dry_run: bool = Field(False, description="Read the index of the source alone, and count what the filters keep.")

    def wanted(self) -> Wanted:
        return Wanted(**self.model_dump(exclude={"dry_run"}))


class SubdirCount(Schema):
    """The files of a subdir that the filters keep."""

    subdir: str
    files: int
    size_bytes: int


class ImportPreview(Schema):
    """The files that the filters keep, with those that the channel has already."""

    dry_run: Literal[True] = True
    files: int
    size_bytes: int
    subdirs: list[SubdirCount]


class ImportItem(Schema):
    """An import and its progress."""

    id: int
    source: str
    key_kind: SourceKey
    include: list[str]
    exclude: list[str]
    subdirs: list[str]
    newest_versions: int | None
    label: str
    state: ImportState
    failure: str = Field(description="Why it failed.")
    found_files: int | None = Field(description="That the filters keep; null until the index is read.")
    found_bytes: int
    present_files: int = Field(description="That the channel had before the last run.")
    imported_files: int
    imported_bytes: int
    refused_files: int
    files_per_s: float
    worked_s: float = Field(description="Time of all runs, in seconds.")
    created_by: UserName
    created_at: datetime
    ended_at: datetime | None


class RefusedFileItem(Schema):
    """A file that the import refused."""

    subdir: str
    file_name: str
    reason: str


@router.get(IMPORTS, response=list[ImportItem], url_name="imports")
@paginate(Pages, ordering=("-pk",))
def list_imports(request: Request, channel: str) -> QuerySet[Import]:
    """List the imports into the channel, newest first."""
    return queries.imports(channel_for(request.auth, channel, Permission.UPLOAD))


@router.post(IMPORTS, response={200: ImportPreview, 201: ImportItem})
def start_import(request: Request, channel: str, new: NewImport, response: HttpResponse) -> Status[Any]:
    """Start an import, which the hub's workers run. A channel has one at a time.

    Each file is checked as an upload is. The import fails once its key or user may no longer upload.
    """
    found = channel_for(request.auth, channel, Permission.UPLOAD)
    if new.dry_run:
        preview = imports.preview(actor=request.auth, channel=found, wanted=new.wanted())
        subdirs = [
            {"subdir": subdir, "files": files, "size_bytes": size_bytes}
            for subdir, (files, size_bytes) in preview.subdirs.items()
        ]
        return Status(200, {"files": preview.files, "size_bytes": preview.size_bytes, "subdirs": subdirs})
    job = imports.start(actor=request.auth, channel=found, wanted=new.wanted())
    response.headers["Location"] = f"{request.path}/{job.pk}"
    return Status(201, queries.import_of(found, job.pk))


@router.get(IMPORT, response=ImportItem, url_name="import")
def get_import(request: Request, channel: str, import_id: int) -> Import:
    return queries.import_of(channel_for(request.auth, channel, Permission.UPLOAD), import_id)


@router.get(f"{IMPORT}/refused", response=list[RefusedFileItem], url_name="import-refused")
@paginate(Pages, ordering=("subdir", "file_name"))
def list_refused_files(request: Request, channel: str, import_id: int) -> QuerySet[RefusedFile]:
    """List the files that the import refused, each with its reason."""
    job = queries.import_of(channel_for(request.auth, channel, Permission.UPLOAD), import_id)
    return job.refused.all()


@router.post(f"{IMPORT}/stop", response=ImportItem, url_name="import-stop")
def stop_import(request: Request, channel: str, import_id: int) -> Import:
    """Stop a running import. Its files stay."""
    found = channel_for(request.auth, channel, Permission.UPLOAD)
    imports.stop(actor=request.auth, channel=found, import_id=import_id)
    return queries.import_of(found, import_id)


@router.post(f"{IMPORT}/resume", response=ImportItem, url_name="import-resume")
def resume_import(request: Request, channel: str, import_id: int, secret: SourceSecret = NO_SECRET) -> Import:
    """Run an ended import again, for files that are new or were refused. A source with a key needs it again."""
    found = channel_for(request.auth, channel, Permission.UPLOAD)
    imports.resume(actor=request.auth, channel=found, import_id=import_id, key=secret.key)
    return queries.import_of(found, import_id)
