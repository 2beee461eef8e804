"""`/api/v1/channels/CHANNEL/packages` and `…/artifacts`: packages, versions, lists of artifacts, downloads."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate
from pydantic import AwareDatetime
from rattler.exceptions import InvalidVersionError

from channels_app.access.permissions import Permission, channel_for, permissions
from channels_app.models import Artifact, Channel, Package, Removal
from channels_app.packages import metadata, packages, queries
from channels_app.rest.pagination import PAGE_MAX, Pages, url_with
from channels_app.rest.service import Request
from hub.errors import bad_request, not_found

router = Router(tags=["Packages"])
DEPENDENTS_MAX = 500
TOP_PACKAGES = 50
Text = Annotated[str, Field(max_length=200)]
State = Literal["listed", "yanked", "deleted", "quarantined"]


class PackageState(Schema):
    """A package of a channel."""

    name: str
    summary: str
    latest_version: str = Field(description="Empty if no file of the package is in the index.")
    subdirs: list[str]
    updated_at: datetime | None = Field(description="Upload time of the newest file of the latest version.")
    download_count: int


class PackageFilter(Schema):
    search: Text = Field("", description="Words in name or summary.")
    subdir: Text = Field("", description="A subdir with a file of the package.")


class Link(Schema):
    """A link of the metadata. `href` is empty if it is not safe to follow."""

    label: str
    text: str
    href: str


class Constraint(Schema):
    """A constraint on a dependency, with the subdirs where it holds; an empty list means all."""

    spec: str
    subdirs: list[str]


class Dependency(Schema):
    """A package that the latest version depends on."""

    name: str
    constraints: list[Constraint]

    @staticmethod
    def resolve_constraints(dependency: metadata.Dependency) -> list[Constraint]:
        return [Constraint(spec=spec, subdirs=subdirs) for spec, subdirs in dependency.constraints]


class PackageDetail(PackageState):
    """A package with the metadata of the newest builds of its latest version."""

    license: str
    description: str = Field(description="Markdown, untrusted.")
    links: list[Link]
    dependencies: list[Dependency] = Field(description="At most 100.")
    dependents: list[str] = Field(description=f"At most {DEPENDENTS_MAX} packages of the channel that depend on it.")


class VersionState(Schema):
    """A version of a package."""

    version: str
    uploaded_at: datetime = Field(description="Upload time of its newest file.")
    is_listed: bool = Field(description="Whether a file of it is neither yanked nor deleted.")
    builds: dict[str, int] = Field(description="Number of files in each subdir.")


class VersionPage(Schema):
    """Versions in the order of conda, the newest first."""

    items: list[VersionState]
    next: str | None = Field(description="URL of the next page.")


class VersionPlace(Schema):
    limit: int = Field(PAGE_MAX, ge=1, le=PAGE_MAX, description="Entries per page.")
    cursor: Text = Field("", description="The last version of the previous page.")


class ArtifactFilter(Schema):
    """Conditions on artifacts, which must all hold."""

    name: Text = Field("", description="Name of the package.")
    version: Text = ""
    build: Text = Field("", description="The build string.")
    subdir: Text = ""
    file_name: Text = ""
    uploaded_since: AwareDatetime | None = None
    uploaded_before: AwareDatetime | None = None


class ListFilter(ArtifactFilter):
    state: State | None = None


class ArtifactState(Schema):
    """An artifact: one file of a package."""

    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    file_name: str
    size_bytes: int
    sha256: str
    md5: str
    url: str
    state: State = Field(description="`listed`: in the index, or in its next build.")
    removal_reason: str = Field(description="Reason of a yank or a deletion.")
    removed_at: datetime | None
    removed_by: str | None
    uploaded_at: datetime
    uploaded_by: str | None = Field(description="Null for channel keys, for CI and for deleted users.")
    download_count: int

    @staticmethod
    def resolve_name(artifact: Artifact) -> str:
        return artifact.package.name

    @staticmethod
    def resolve_url(artifact: Artifact) -> str:
        return f"{settings.HUB_PUBLIC_URL}/{artifact}"

    @staticmethod
    def resolve_state(artifact: Artifact) -> str:
        return artifact.removal or ("quarantined" if artifact.quarantine_reason else "listed")

    @staticmethod
    def resolve_uploaded_at(artifact: Artifact) -> datetime:
        return packages.indexed_at(artifact)

    @staticmethod
    def resolve_removed_by(artifact: Artifact) -> str | None:
        return artifact.removed_by.username if artifact.removed_by else None

    @staticmethod
    def resolve_uploaded_by(artifact: Artifact) -> str | None:
        return artifact.uploaded_by.username if artifact.uploaded_by else None


class Day(Schema):
    """The downloads of a day (UTC)."""

    day: date
    count: int


class PackageStatistics(Schema):
    """Downloads of a package."""

    download_count: int
    daily: list[Day] = Field(description="The last 90 days, today included.")


class TopPackage(Schema):
    """A package with its downloads since its first upload."""

    name: str
    download_count: int


class ChannelStatistics(Schema):
    """Counts and downloads of a channel."""

    packages: int
    artifacts: int = Field(description="Files in the index.")
    subdirs: list[str]
    downloads: int
    daily: list[Day] = Field(description="The last 90 days, today included.")
    top_packages: list[TopPackage] = Field(description=f"The {TOP_PACKAGES} packages with most downloads.")


@router.get("/channels/{channel}/packages", response=list[PackageState], url_name="packages")
@paginate(Pages, ordering=("name",))
def list_packages(request: Request, channel: str, filters: Query[PackageFilter]) -> QuerySet[Package]:
    """List the packages. Packages without a file in the index are listed for those who may delete."""
    found, with_removed = _channel(request, channel)
    return queries.find_packages(
        found, text=filters.search, subdir=filters.subdir, order="name", with_removed=with_removed
    )


@router.get("/channels/{channel}/packages/{name}", response=PackageDetail, url_name="package")
def get_package(request: Request, channel: str, name: str) -> dict[str, Any]:
    package = _package(_channel(request, channel)[0], name)
    newest = queries.newest_artifacts(package)
    return {
        **{name: getattr(package, name) for name in PackageState.model_fields},
        "license": metadata.licence(newest[0]) if newest else "",
        "description": metadata.description(newest[0].about_json) if newest else "",
        "links": metadata.links(newest[0].about_json) if newest else [],
        "dependencies": metadata.dependencies(newest).shown,
        "dependents": queries.dependents(package)[:DEPENDENTS_MAX],
    }


@router.get("/channels/{channel}/packages/{name}/versions", response=VersionPage, url_name="package-versions")
def list_versions(request: Request, channel: str, name: str, place: Query[VersionPlace]) -> dict[str, Any]:
    """List the versions, the newest first. A page may have fewer entries than `limit`."""
    found, with_deleted = _channel(request, channel)
    package = _package(found, name)
    versions = _after(place.cursor, queries.versions(package, with_deleted=with_deleted))
    rows = queries.version_matrix_of(package, versions[: place.limit], with_deleted=with_deleted).rows
    has_more = bool(rows) and rows[-1].version != versions[-1]
    return {
        "items": [
            {
                "version": row.version,
                "uploaded_at": packages.moment(row.indexed_timestamp),
                "is_listed": not row.is_out,
                "builds": {cell.subdir: getattr(cell, "builds") for cell in row.cells if cell},  # noqa: B009
            }
            for row in rows
        ],
        "next": url_with(request, cursor=rows[-1].version) if has_more else None,
    }


@router.get("/channels/{channel}/artifacts", response=list[ArtifactState], url_name="artifacts")
@paginate(Pages, ordering=("-pk",))
def list_artifacts(request: Request, channel: str, filters: Query[ListFilter]) -> QuerySet[Artifact]:
    """List the artifacts, the newest first. Deleted ones are listed for those who may delete."""
    found, with_deleted = _channel(request, channel)
    conditions = filters.model_dump()
    state = conditions.pop("state")
    artifacts = queries.find_artifacts(found, **conditions).select_related("uploaded_by", "removed_by")
    artifacts = artifacts.filter(queries.STATES[state]) if state else artifacts
    return artifacts if with_deleted else artifacts.exclude(removal=Removal.DELETED)


@router.get("/channels/{channel}/statistics", response=ChannelStatistics, url_name="channel-statistics")
def channel_statistics(request: Request, channel: str) -> dict[str, Any]:
    """Return the counts and the downloads of the channel."""
    found, _ = _channel(request, channel)
    top = queries.find_packages(found, text="", subdir="", order="downloads", with_removed=False)
    counts = queries.channel_counts(found)
    return {
        **{name: counts[name] for name in ("packages", "artifacts", "subdirs")},
        "downloads": counts["downloads"] or 0,
        "daily": _days(queries.daily_downloads(found)),
        "top_packages": top[:TOP_PACKAGES],
    }


@router.get("/channels/{channel}/packages/{name}/statistics", response=PackageStatistics, url_name="package-statistics")
def package_statistics(request: Request, channel: str, name: str) -> dict[str, Any]:
    """Return the downloads of the package."""
    package = _package(_channel(request, channel)[0], name)
    return {"download_count": package.download_count, "daily": _days(queries.daily_downloads(package))}


def _channel(request: Request, name: str) -> tuple[Channel, bool]:
    """Return the channel, and whether lists include what was deleted, as on its pages."""
    channel = channel_for(request.auth, name, Permission.READ)
    return channel, Permission.DELETE in permissions(request.auth, channel)


def _package(channel: Channel, name: str) -> Package:
    package = Package.objects.select_related("channel").filter(channel=channel, name=name).first()
    if package is None:
        raise not_found("no_such_package", f"'{channel}' has no package '{name}'.")
    return package


def _after(cursor: str, versions: list[str]) -> list[str]:
    """Return the versions behind `cursor`, which is a version."""
    if not cursor:
        return versions
    try:
        position = queries.version_key(cursor)
    except InvalidVersionError:
        raise bad_request("bad_cursor", "The cursor is not one of this list; expected that of `next`.") from None
    return [version for version in versions if queries.version_key(version) < position]


def _days(counts: Iterable[tuple[date, int]]) -> list[dict[str, Any]]:
    return [{"day": day, "count": count} for day, count in counts]
