"""`/api/v1/channels/{channel}/patches`: changes of repodata records that leave the packages as they are (hotfixes)."""

from datetime import datetime
from io import BytesIO
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Query, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, decide
from channels_app.models import Channel
from channels_app.rest.bodies import Body, Time, UserName
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Request
from hub.errors import forbidden
from publishing.models import Patch
from publishing.patches import imports, patches, queries, rules
from publishing.patches.patches import Outcome
from publishing.patches.rules import NewRule

router = Router(tags=["Patches"])
PATCH = "/channels/{channel}/patches/{int:patch_id}"
Specs = Annotated[list[str], Field(max_length=2000)]
Text = Annotated[str, Field(max_length=1000)]
IMPORT_BODY = {
    "requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
Flag = Annotated[Literal[True] | None, Field()]


class SpecEdits(Body):
    """Edits of a list of specs, in this order. A bare package name stands for every spec of that package."""

    remove: Specs | None = None
    replace: dict[str, str] | None = Field(None, description="Spec → spec.")
    add: Specs | None = None


class Changes(Body):
    """Changes of a record. Keys that are left out stay as they are."""

    depends: Specs | SpecEdits | None = Field(None, description="The new list, or edits of it.")
    constrains: Specs | SpecEdits | None = Field(None, description="The new list, or edits of it.")
    license: Text | None = Field(None, description="Null removes the key, as with the next three.")
    license_family: Text | None = None
    track_features: Text | None = None
    features: Text | None = None
    run_exports: dict[str, Specs] | None = Field(None, description="The new run exports (CEP 21): kind → specs.")
    removed: Flag = Field(None, description="Moves the record into `removed`.")
    revoked: Flag = Field(None, description="Makes the record impossible to install.")


class PatchFields(Schema):
    """The conditions of a rule. An empty one holds for all records."""

    title: str = Field(min_length=1, max_length=rules.TITLE_MAX_CHARACTERS, description="Why the patch exists.")
    names: list[str] = Field([], max_length=rules.NAMES_MAX, description="Package names; * and ? are wildcards.")
    subdirs: list[str] = Field([], max_length=rules.SUBDIRS_MAX)
    version: str = Field("", max_length=rules.VERSION_MAX_CHARACTERS, description="A version spec such as `>=1.2,<2`.")
    build: str = Field("", max_length=rules.BUILD_MAX_CHARACTERS, description="A build; * and ? are wildcards.")


class PatchState(PatchFields):
    """A patch: a rule, or imported instructions."""

    id: int
    built_from: datetime | None
    built_before: datetime | None
    changes: dict[str, Any] = Field(description="Key of the record → its change.")
    import_subdir: str = Field(description="Of imported instructions: the subdir whose files they name.")
    source: str = Field(description="Of imported instructions: the file.")
    file_count: int = Field(description="Of imported instructions: the number of files.")
    ignored: dict[str, int] = Field(description="Of imported instructions: keys that patches can't change → files.")
    created_at: datetime
    created_by: UserName
    ended_at: datetime | None = Field(description="Null while it is active.")
    ended_by: UserName
    replaces_id: int | None = Field(description="The patch that is active again once this one is undone.")


class DryRun(Body):
    dry_run: bool = Field(False, description="Change nothing, and return what would change.")


NO_DRY_RUN = DryRun(dry_run=False)


class NewPatch(Body, PatchFields):
    """A rule."""

    built_from: Time | None = Field(None, description="Only packages built at this time or later.")
    built_before: Time | None = Field(None, description="Only packages built before. Without a time, 1970.")
    changes: Changes
    dry_run: bool = Field(False, description="Change nothing, and return what would change.")

    def rule(self) -> NewRule:
        values = self.model_dump(exclude={"changes", "dry_run"})
        return NewRule(**values, changes=self.changes.model_dump(exclude_unset=True))


class ChangedRecord(Schema):
    """A record that changes. `keys`: key → its values before and after; null where it is missing."""

    subdir: str
    file_name: str
    keys: dict[str, tuple[Any, Any]]


class Difference(Schema):
    """The records that change."""

    dry_run: bool
    record_count: int
    records: list[ChangedRecord] = Field(description="The first 100 of them.")


class PatchOutcome(Difference):
    """A patch and the records that its change concerns. The patch is null if a dry run would add it."""

    patch: PatchState | None


class ImportOutcome(Difference):
    """The patches of an import, one for each subdir; none for a dry run."""

    patches: list[PatchState]


class ImportedFile(Schema):
    """The file of an import, which is the body of the request, unless it is a file of the channel."""

    subdir: str = Field("", max_length=32, description="Of a patch_instructions.json: whose files it names.")
    source: str = Field("", max_length=200, description="The name of the file, for the list of patches.")
    artifact: str = Field(
        "", max_length=250, description="`SUBDIR/FILE`: a patch package of the channel; no body then."
    )
    dry_run: bool = Field(False, description="Change nothing, and return what would change.")


@router.get("/channels/{channel}/patches", response=list[PatchState], url_name="patches")
@paginate(Pages, ordering=("position", "id"))
def list_patches(request: Request, channel: str, is_active: bool = True) -> QuerySet[Patch]:
    """List the active patches in the order in which they apply, or the ended ones."""
    return queries.patches(_channel(request, channel), is_active=is_active)


@router.post("/channels/{channel}/patches", response={200: PatchOutcome, 201: PatchOutcome})
def add_patch(request: Request, channel: str, new: NewPatch, response: HttpResponse) -> Status[Any]:
    """Add a rule. It applies after all other patches, also to packages that are uploaded later."""
    found = _channel(request, channel)
    outcome = patches.add(actor=request.auth, channel=found, rule=new.rule(), dry_run=new.dry_run)
    if outcome.patch is None:
        return Status(200, _state(outcome, is_dry=True))
    response.headers["Location"] = f"{request.path}/{outcome.patch.pk}"
    return Status(201, _state(outcome))


@router.post(
    "/channels/{channel}/patches/imports", response=ImportOutcome, url_name="patch-imports", openapi_extra=IMPORT_BODY
)
def import_patches(request: Request, channel: str, what: Query[ImportedFile]) -> dict[str, Any]:
    """Import a patch package, or a patch_instructions.json, plain or compressed by zstd.

    The instructions of a subdir replace its former ones.
    """
    found = _channel(request, channel)
    values: dict[str, Any] = {"actor": request.auth, "channel": found, "subdir": what.subdir, "dry_run": what.dry_run}
    if what.artifact:
        outcome = imports.import_artifact(path=what.artifact, **values)
    else:
        outcome = imports.import_file(file=BytesIO(request.body), source=what.source, **values)
    return _difference(outcome, is_dry=what.dry_run) | {"patches": outcome.patches}


@router.get(PATCH, response=PatchState, url_name="patch")
def get_patch(request: Request, channel: str, patch_id: int) -> Patch:
    return _patch(request, channel, patch_id)


@router.put(PATCH, response=PatchOutcome)
def change_patch(request: Request, channel: str, patch_id: int, new: NewPatch) -> dict[str, Any]:
    """Replace the active rule. The new one has its own id, and the position of the old one."""
    patch = _patch(request, channel, patch_id)
    outcome = patches.change(actor=request.auth, patch=patch, rule=new.rule(), dry_run=new.dry_run)
    return _state(outcome, is_dry=new.dry_run)


@router.post(f"{PATCH}/undo", response=PatchOutcome, url_name="patch-undo")
def undo_patch(request: Request, channel: str, patch_id: int, how: DryRun = NO_DRY_RUN) -> dict[str, Any]:
    """End the active patch. The one that it replaced is active again."""
    patch = _patch(request, channel, patch_id)
    return _state(patches.undo(actor=request.auth, patch=patch, dry_run=how.dry_run), is_dry=how.dry_run)


@router.post(f"{PATCH}/apply", response=PatchOutcome, url_name="patch-apply")
def apply_patch(request: Request, channel: str, patch_id: int, how: DryRun = NO_DRY_RUN) -> dict[str, Any]:
    """Make an ended patch active again, at its former position."""
    patch = _patch(request, channel, patch_id)
    return _state(patches.apply_again(actor=request.auth, patch=patch, dry_run=how.dry_run), is_dry=how.dry_run)


def _channel(request: Request, name: str) -> Channel:
    """Return the channel for those who may manage it. A preview lists its files, which requires reading, too."""
    found, granted = decide(request.auth, name, Permission.MANAGE)
    if Permission.READ not in granted:
        raise forbidden("scope_missing", "Patches name files of the channel, which requires the scope 'read'.")
    return found


def _patch(request: Request, channel: str, patch_id: int) -> Patch:
    return queries.patch_of(_channel(request, channel), patch_id)


def _state(outcome: Outcome, *, is_dry: bool = False) -> dict[str, Any]:
    return _difference(outcome, is_dry=is_dry) | {"patch": outcome.patch}


def _difference(outcome: Outcome, *, is_dry: bool) -> dict[str, Any]:
    preview = outcome.preview
    return {"dry_run": is_dry, "record_count": preview.record_count, "records": preview.shown}
