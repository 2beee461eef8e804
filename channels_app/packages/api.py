"""`/api/v1/channels/CHANNEL/packages` and `…/artifacts`: packages, lists of artifacts, downloads."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for, permissions, visible_channels
from channels_app.models import Artifact, Channel, Package, Removal
from channels_app.packages import metadata, packages, purls, queries
from channels_app.rest.bodies import Time, UserName
from channels_app.rest.pagination import Pages
from channels_app.rest.service import Request
from hub.errors import not_found

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
    size_bytes: int = Field(description="Of all stored files; deleted ones count until they are purged.")


class DependentPackage(Schema):
    """A package whose latest version depends on another."""

    channel: str
    name: str
    latest_version: str
    summary: str
    download_count: int

    @staticmethod
    def resolve_channel(package: Package) -> str:
        return package.channel.name


class DependentFilter(Schema):
    search: Text = Field("", description="Words in the name of the package or of its channel.")


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


class ArtifactFilter(Schema):
    """Conditions on artifacts, which must all hold."""

    name: Text = Field("", description="Name of the package.")
    version: Text = ""
    build: Text = Field("", description="The build string.")
    subdir: Text = ""
    file_name: Text = ""
    file_pattern: Text = Field("", description="Pattern of file names: `*` is any text, `?` one character.")
    label: Text = ""
    state: State | None = None
    uploaded_since: Time | None = None
    uploaded_before: Time | None = None


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
    purl: str = Field(description="Package URL (CEP 49).")
    state: State = Field(description="`listed`: in the index, or in its next build.")
    labels: list[str] = Field(description="`main`: the channel's own index lists it.")
    removal_reason: str = Field(description="Reason of a yank or a deletion.")
    removed_at: datetime | None
    removed_by: UserName
    uploaded_at: datetime
    uploaded_by: UserName = Field(description="Null for channel keys, for CI and for deleted users.")
    download_count: int

    @staticmethod
    def resolve_name(artifact: Artifact) -> str:
        return artifact.package.name

    @staticmethod
    def resolve_url(artifact: Artifact) -> str:
        return f"{settings.HUB_PUBLIC_URL}/{artifact}"

    @staticmethod
    def resolve_purl(artifact: Artifact) -> str:
        return purls.purl(artifact)

    @staticmethod
    def resolve_state(artifact: Artifact) -> str:
        return artifact.removal or ("quarantined" if artifact.quarantine_reason else "listed")

    @staticmethod
    def resolve_labels(artifact: Artifact) -> list[str]:
        return artifact.label_names

    @staticmethod
    def resolve_uploaded_at(artifact: Artifact) -> datetime:
        return packages.indexed_at(artifact)


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
    found, with_removed = readable_channel(request, channel)
    return queries.find_packages(
        found, text=filters.search, subdir=filters.subdir, order="name", with_removed=with_removed
    )


@router.get("/channels/{channel}/packages/{name}", response=PackageDetail, url_name="package")
def get_package(request: Request, channel: str, name: str) -> dict[str, Any]:
    package = package_of(readable_channel(request, channel)[0], name)
    newest = queries.newest_artifacts(package)
    return {
        **{name: getattr(package, name) for name in PackageState.model_fields},
        "license": metadata.licence(newest[0]) if newest else "",
        "description": metadata.description(newest[0].about_json) if newest else "",
        "links": metadata.links(newest[0].about_json) if newest else [],
        "dependencies": metadata.dependencies(newest).shown,
        "dependents": _dependents_in_channel(package),
    }


@router.get(
    "/channels/{channel}/packages/{name}/dependents", response=list[DependentPackage], url_name="package-dependents"
)
@paginate(Pages, ordering=("-download_count", "-pk"))
def list_dependents(request: Request, channel: str, name: str, filters: Query[DependentFilter]) -> QuerySet[Package]:
    """List the packages of all readable channels that depend on a package of this name, most downloads first."""
    package = package_of(readable_channel(request, channel)[0], name)
    return queries.dependents(package, visible_channels(request.auth), text=filters.search)


@router.get("/channels/{channel}/artifacts", response=list[ArtifactState], url_name="artifacts")
@paginate(Pages, ordering=("-pk",))
def list_artifacts(request: Request, channel: str, filters: Query[ArtifactFilter]) -> QuerySet[Artifact]:
    """List the artifacts, the newest first. Deleted ones are listed for those who may delete."""
    found, with_deleted = readable_channel(request, channel)
    artifacts = queries.with_labels(queries.find_artifacts(found, **filters.model_dump()))
    artifacts = artifacts.select_related("uploaded_by", "removed_by")
    return artifacts if with_deleted else artifacts.exclude(removal=Removal.DELETED)


@router.get("/channels/{channel}/statistics", response=ChannelStatistics, url_name="channel-statistics")
def channel_statistics(request: Request, channel: str) -> dict[str, Any]:
    """Return the counts and the downloads of the channel."""
    found, _ = readable_channel(request, channel)
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
    package = package_of(readable_channel(request, channel)[0], name)
    return {"download_count": package.download_count, "daily": _days(queries.daily_downloads(package))}


def readable_channel(request: Request, name: str) -> tuple[Channel, bool]:
    """Return the channel, and whether lists include deleted files, as on its pages."""
    channel = channel_for(request.auth, name, Permission.READ)
    return channel, Permission.DELETE in permissions(request.auth, channel)


def _dependents_in_channel(package: Package) -> list[str]:
    found = queries.dependents(package, Channel.objects.filter(pk=package.channel_id))
    return list(found.order_by("name").values_list("name", flat=True)[:DEPENDENTS_MAX])


def package_of(channel: Channel, name: str) -> Package:
    package = Package.objects.select_related("channel").filter(channel=channel, name=name).first()
    if package is None:
        raise not_found("no_such_package", f"'{channel}' has no package '{name}'.")
    return package


def _days(counts: Iterable[tuple[date, int]]) -> list[dict[str, Any]]:
    return [{"day": day, "count": count} for day, count in counts]
