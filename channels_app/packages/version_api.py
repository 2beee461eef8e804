"""`/api/v1/channels/CHANNEL/packages/NAME/versions`: the versions of a package."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from ninja import Field, Query, Router, Schema
from rattler.exceptions import InvalidVersionError

from channels_app.models import Artifact
from channels_app.packages import changes, metadata, packages, queries, versions
from channels_app.packages.api import ArtifactState, Link, Text, package_of, readable_channel
from channels_app.packages.changes import Changes, FileChanges
from channels_app.rest.pagination import PAGE_MAX, url_with
from channels_app.rest.service import Request
from hub.errors import bad_request, not_found

router = Router(tags=["Packages"])
SPECS = f"At most {metadata.SPECS_SHOWN} specs."
TEXTS = f"At most {metadata.TEXTS_SHOWN} files and {metadata.TEXTS_MAX_CHARACTERS} characters."
CHANGES = f"At most {metadata.SPECS_SHOWN} changes."
PATHS = f"At most {changes.PATHS_SHOWN} paths."


class VersionState(Schema):
    """A version of a package."""

    version: str
    uploaded_at: datetime = Field(description="Upload time of its newest file.")
    is_listed: bool = Field(description="Whether a file of it is neither yanked nor deleted.")
    builds: dict[str, int] = Field(description="Number of files in each subdir.")
    size_bytes: int = Field(description="Of the stored files of the version.")
    download_count: int


class VersionPage(Schema):
    """Versions in the order of conda, the newest first."""

    items: list[VersionState]
    next: str | None = Field(description="URL of the next page.")


class VersionPlace(Schema):
    limit: int = Field(PAGE_MAX, ge=1, le=PAGE_MAX, description="Entries per page.")
    cursor: Text = Field("", description="The last version of the previous page.")


class TextFile(Schema):
    """A text file of the package, perhaps cut."""

    path: str
    text: str


class BuildDetail(Schema):
    """The metadata of one build of a version."""

    subdir: str
    file_name: str
    license: str
    summary: str
    description: str = Field(description="Markdown, untrusted.")
    links: list[Link]
    depends: list[str] = Field(description=SPECS)
    constrains: list[str] = Field(description=SPECS)
    run_exports: dict[str, list[str]] = Field(description=f"Kind → specs. {SPECS}")
    licences: list[TextFile] = Field(description=TEXTS)
    recipe: list[TextFile] = Field(description=f"YAML files and scripts of the recipe. {TEXTS}")


class ChangeState(Schema):
    """A value before and after; an empty text means that it is missing."""

    name: str
    before: str
    after: str


class FileChangeState(Schema):
    """Numbers and first paths of the files that differ."""

    added_count: int
    removed_count: int
    resized_count: int
    added: list[str] = Field(description=PATHS)
    removed: list[str] = Field(description=PATHS)
    resized: list[str] = Field(description=f"Files of another size. {PATHS}")


class ChangesState(Schema):
    """Changes of the build against the most similar build of the version before."""

    version: str = Field(description="The version before, in the order of conda.")
    subdir: str
    file_name: str
    size_bytes: int
    depends: list[ChangeState] = Field(description=CHANGES)
    constrains: list[ChangeState] = Field(description=CHANGES)
    run_exports: list[ChangeState] = Field(description=f"By kind. {CHANGES}")
    files: FileChangeState | None = Field(description="Null if one of both has too many files to compare.")


class PublisherState(Schema):
    """A user or the repository of a trusted publisher, with the number of files that it published."""

    username: str
    repository: str
    artifact_count: int


class VersionDetail(Schema):
    """A version of a package with its files, and the metadata of one build."""

    version: str
    is_installable: bool = Field(description="Whether a file of it is in the index, or in its next build.")
    uploaded_at: datetime = Field(description="Upload time of its newest file.")
    size_bytes: int = Field(description="Of the stored files of the version.")
    download_count: int
    artifact_count: int
    artifacts: list[ArtifactState] = Field(description=f"At most {versions.FILES_MAX}.")
    publishers: list[PublisherState] = Field(description=f"At most {versions.PUBLISHERS_MAX}, of most files first.")
    build: BuildDetail = Field(description="The newest build, or the one that was asked for.")
    changes: ChangesState | None = Field(description="Null for the first version.")


class BuildPlace(Schema):
    build: Annotated[str, Field(max_length=300)] = Field("", description="`SUBDIR/FILE` of a build of the version.")


@router.get("/channels/{channel}/packages/{name}/versions", response=VersionPage, url_name="package-versions")
def list_versions(request: Request, channel: str, name: str, place: Query[VersionPlace]) -> dict[str, Any]:
    """List the versions, the newest first. A page may have fewer entries than `limit`."""
    found, with_deleted = readable_channel(request, channel)
    package = package_of(found, name)
    rest = _after(place.cursor, queries.versions(package, with_deleted=with_deleted))
    rows = queries.version_matrix_of(package, rest[: place.limit], with_deleted=with_deleted).rows
    has_more = bool(rows) and rows[-1].version != rest[-1]
    return {
        "items": [
            {
                "version": row.version,
                "uploaded_at": packages.moment(row.indexed_timestamp),
                "is_listed": not row.is_out,
                "builds": {cell.subdir: getattr(cell, "builds") for cell in row.cells if cell},  # noqa: B009
                "size_bytes": row.size_bytes,
                "download_count": row.download_count,
            }
            for row in rows
        ],
        "next": url_with(request, cursor=rows[-1].version) if has_more else None,
    }


@router.get(
    "/channels/{channel}/packages/{name}/versions/{version}", response=VersionDetail, url_name="package-version"
)
def get_version(request: Request, channel: str, name: str, version: str, place: Query[BuildPlace]) -> dict[str, Any]:
    """Return a version with its files. Without a valid `build`, the newest build represents it."""
    found, with_deleted = readable_channel(request, channel)
    package = package_of(found, name)
    detail = versions.find(package, version, with_deleted=with_deleted, build=place.build)
    if detail is None:
        raise not_found("no_such_version", f"'{package}' has no version '{version}'.")
    shown = ("version", "is_installable", "uploaded_at", "size_bytes", "download_count", "artifact_count", "publishers")
    since = versions.changes_of(package, detail.build)
    return {
        **{name: getattr(detail, name) for name in shown},
        "artifacts": detail.files,
        "build": _build(detail.build),
        "changes": _changes(since) if since else None,
    }


def _build(artifact: Artifact) -> dict[str, Any]:
    index, about = artifact.index_json, artifact.about_json
    return {
        "subdir": artifact.subdir,
        "file_name": artifact.file_name,
        "license": metadata.licence(artifact),
        "summary": packages.summary(artifact),
        "description": metadata.description(about),
        "links": metadata.links(about),
        "depends": metadata.lines(index.get("depends")).shown,
        "constrains": metadata.lines(index.get("constrains")).shown,
        "licences": _texts(artifact.licences),
        "recipe": _texts(artifact.recipe or []),
        "run_exports": dict(metadata.run_exports(artifact.run_exports).shown),
    }


def _texts(stated: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"path": path, "text": text} for path, text in metadata.texts(stated)]


def _changes(found: Changes) -> dict[str, Any]:
    return {
        **{name: getattr(found.before, name) for name in ("version", "subdir", "file_name", "size_bytes")},
        **{name: getattr(found, name).shown for name in ("depends", "constrains", "run_exports")},
        "files": _file_changes(found.files) if found.files else None,
    }


def _file_changes(found: FileChanges) -> dict[str, Any]:
    kinds = {name: getattr(found, name) for name in ("added", "removed", "resized")}
    counts = {f"{name}_count": excerpt.total for name, excerpt in kinds.items()}
    return {**counts, **{name: excerpt.shown for name, excerpt in kinds.items()}}


def _after(cursor: str, newest_first: list[str]) -> list[str]:
    """Return the versions behind `cursor`, which is a version."""
    if not cursor:
        return newest_first
    try:
        position = queries.version_key(cursor)
    except InvalidVersionError:
        raise bad_request("bad_cursor", "The cursor is not one of this list; expected that of `next`.") from None
    return [version for version in newest_first if queries.version_key(version) < position]
