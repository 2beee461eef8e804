"""Reads for the pages of a channel, a package and an artifact, each with a constant number of queries."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Func,
    JSONField,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Sum,
    TextField,
    When,
)
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast, Length
from django.db.models.lookups import Contains, LessThanOrEqual
from rattler import Version

from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, ChannelKind, DailyDownloads, Label, Package, Removal
from channels_app.packages import version_matrix
from channels_app.packages.patterns import Matches
from channels_app.packages.version_matrix import Matrix
from hub.errors import HubError, not_found

# A part of the SQL text, because SQLite uses a partial index only where the text has its condition.
NO_TEXT = Func(template="''", output_field=TextField())
# In the index of each of its labels.
LISTED = Q(removal=NO_TEXT, quarantine_reason=NO_TEXT)
# In the channel's own index.
LISTED_IN_MAIN = LISTED & Q(is_main=True)
# The state of an artifact → its condition.
STATES = {
    "listed": LISTED,
    "yanked": Q(removal=Removal.YANKED),
    "deleted": Q(removal=Removal.DELETED),
    "quarantined": Q(removal=Removal.NONE) & ~Q(quarantine_reason=""),
}
# Columns that lists of artifacts don't load: up to megabytes a row.
HEAVY = ("about_json", "index_json", "files", "licences", "recipe", "run_exports", "warnings", "features")
UNUSED_BY_PACKAGE_PAGE = ("files", "licences", "recipe", "warnings", "features")
# The maximum of builds of the latest version whose dependencies the package page shows.
BUILDS = 24
LIGHT_MAX_CHARACTERS = 16 * 1024
SHOWN_MAX_CHARACTERS = 256 * 1024
# Document → its keys that a page shows in places of their own.
OWN_KEYS = {
    "index_json": ("depends", "constrains", "license", "timestamp"),
    "about_json": ("summary", "description", "license", "home", "doc_url", "dev_url", "source_url"),
    # Long lists are not shown: the page links to the documents.
    "run_exports": (),
    "files": (),
}
MAX_WORDS = 8
FEED_ITEMS = 50
PLOT_DAYS = 90
ORDERS: dict[str, list[Any]] = {
    "updated": [F("updated_at").desc(nulls_last=True), "name"],
    "name": ["name"],
    "downloads": ["-download_count", "name"],
}


def channel_counts(channel: Channel) -> dict[str, Any]:
    """Return `packages`, `downloads`, `size_bytes`, `artifacts`, `subdirs`, `indexes`, `indexed_at` and `is_stale`.

    Three queries. `indexes` are those of subdirs. The files of the whole channel are built later and don't delay
    packages.
    """
    can_be_installed = Q(latest_version__gt="")
    counts: dict[str, Any] = channel.packages.aggregate(
        packages=Count("pk", filter=can_be_installed),
        downloads=Sum("download_count", filter=can_be_installed),
        size_bytes=Sum("size_bytes", default=0),
    )
    by_subdir = (
        Artifact.objects.filter(LISTED_IN_MAIN, channel=channel)
        .order_by("subdir")
        .values_list("subdir")
        .annotate(artifacts=Count("*"))
    )
    indexes = list(channel.indexes.filter(label="").order_by("subdir"))
    own = [index for index in indexes if index.subdir]
    subdirs = dict(by_subdir)
    return {
        **counts,
        "artifacts": sum(subdirs.values()),
        "subdirs": sorted(index.subdir for index in own) if channel.kind == ChannelKind.UPSTREAM else list(subdirs),
        "indexes": own,
        "indexed_at": max((index.built_at for index in indexes if index.built_at), default=None),
        "is_stale": not all(index.is_current for index in own),
    }


def installable(channel: Channel) -> QuerySet[Package]:
    """Return the packages with at least one file in the index."""
    return Package.objects.filter(channel=channel).exclude(latest_version="")


def find_packages(channel: Channel, *, text: str, subdir: str, order: str, with_removed: bool) -> QuerySet[Package]:
    """Return the packages with every word of `text` in name or summary, and with a listed file in `subdir`."""
    packages = Package.objects.filter(channel=channel) if with_removed else installable(channel)
    for word in text.split()[:MAX_WORDS]:
        packages = packages.filter(Q(name__icontains=word) | Q(summary__icontains=word))
    if subdir:
        packages = packages.filter(has_files_in(subdir, of_upstream=channel.kind == ChannelKind.UPSTREAM))
    return packages.order_by(*ORDERS[order])


def has_files_in(subdir: str, *, of_upstream: bool) -> Contains | Exists:
    """Return the condition that packages have a listed file in the subdir. Those of an upstream have no artifacts."""
    if of_upstream:
        return Contains(Cast("subdirs", TextField()), f'"{subdir}"')
    return Exists(Artifact.objects.filter(LISTED_IN_MAIN, subdir=subdir, package=OuterRef("pk")))


def versions(package: Package, *, with_deleted: bool) -> list[str]:
    """Return the package's versions, the newest first in conda's order (CEP 33)."""
    found = visible(package, with_deleted=with_deleted).order_by().values_list("version", flat=True).distinct()
    return sorted(found, key=version_key, reverse=True)


def version_key(version: str) -> tuple[Version, str]:
    """Return the sort key of versions. The text orders spellings of an equal version, such as 1.0 and 1.0.0."""
    return Version(version), version


def version_matrix_of(package: Package, versions: list[str], *, with_deleted: bool) -> Matrix:
    """Return the matrix of these versions, without the heavy columns."""
    return version_matrix.of(visible(package, with_deleted=with_deleted).defer(*HEAVY), versions)


def files(package: Package, version: str, *, with_deleted: bool) -> QuerySet[Artifact]:
    """Return the artifacts of one version, by subdir."""
    artifacts = visible(package, with_deleted=with_deleted).filter(version=version)
    return artifacts.defer(*HEAVY).order_by("subdir", "-build_number", "file_name")


def find_artifacts(
    channel: Channel,
    *,
    name: str = "",
    version: str = "",
    build: str = "",
    subdir: str = "",
    file_name: str = "",
    file_pattern: str = "",
    label: str = "",
    state: str | None = None,
    uploaded_since: datetime | None = None,
    uploaded_before: datetime | None = None,
) -> QuerySet[Artifact]:
    """Return the channel's artifacts that have all of the stated values, with their package, without heavy columns."""
    stated = {
        "version": version,
        "build": build,
        "subdir": subdir,
        "file_name": file_name,
        "indexed_timestamp__gte": milliseconds(uploaded_since),
        "indexed_timestamp__lt": milliseconds(uploaded_before),
    }
    conditions = {key: value for key, value in stated.items() if value not in ("", None)}
    found = _named(channel, name).filter(STATES[state] if state else Q(), **conditions)
    if file_pattern:
        found = found.filter(Matches(F("file_name"), file_pattern))
    if label:
        found = found.filter(labeled(channel, label))
    return found.select_related("package").defer(*HEAVY)


def labeled(channel: Channel, label: str) -> Q:
    """Return the condition that artifacts of the channel have the label."""
    if label == MAIN_LABEL:
        return Q(is_main=True)
    rows = Label.artifacts.through.objects.filter(label__channel=channel, label__name=label)
    return Q(pk__in=rows.values("artifact"))


def with_labels(artifacts: QuerySet[Artifact]) -> QuerySet[Artifact]:
    """Load the labels of the artifacts for Artifact.label_names, by one query."""
    return artifacts.prefetch_related(Prefetch("labels", Label.objects.only("name")))


def _named(channel: Channel, name: str) -> QuerySet[Artifact]:
    """Select the artifacts of a package or, without a name, of the channel.

    Those of a package are found by its own index: with the channel's, the database would read all its files.
    """
    if not name:
        return channel.artifacts.all()
    return Artifact.objects.filter(package__in=channel.packages.filter(name=name)).select_related("channel")


def no_such_file(channel: Channel | str, subdir: str, file_name: str) -> HubError:
    return not_found("no_such_file", f"'{channel}' has no file '{subdir}/{file_name}'.")


def milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def newest_artifacts(package: Package) -> list[Artifact]:
    """Return the newest builds of the package's latest version, the newest first.

    A long document is not loaded: only the shown keys for the newest build, and nothing for the others.
    """
    newest = package.artifacts.filter(LISTED_IN_MAIN, version=package.latest_version)
    newest = newest.annotate(has_licence_files=~Q(licences=[])).order_by("-build_number", "-indexed_timestamp")
    found = list(with_light_documents(newest, LIGHT_MAX_CHARACTERS).defer(*UNUSED_BY_PACKAGE_PAGE)[:BUILDS])
    for artifact in found[:1]:
        show_documents(artifact)
    for artifact in found[1:]:
        artifact.index_json = getattr(artifact, "index_json_light") or {}  # noqa: B009
    return found


def with_light_documents(
    artifacts: QuerySet[Artifact], most: int, names: Iterable[str] = tuple(OWN_KEYS)
) -> QuerySet[Artifact]:
    """Load documents of up to `most` characters, as annotations for show_documents(). Longer ones are not loaded."""
    light = {
        f"{name}_light": Case(
            When(condition=LessThanOrEqual(Length(Cast(name, TextField())), most), then=F(name)),
            output_field=JSONField(),
        )
        for name in names
    }
    return artifacts.annotate(**light).defer(*OWN_KEYS)


def show_documents(artifact: Artifact) -> None:
    """Set the artifact's documents: whole, or for a long one only the shown keys; it may be a million empty lists."""
    for name, keys in OWN_KEYS.items():
        light = getattr(artifact, f"{name}_light")
        setattr(artifact, name, light if light is not None else _shown_keys(artifact.pk, name, keys))
    artifact.has_long_run_exports = getattr(artifact, "run_exports_light") is None  # type: ignore[attr-defined]  # noqa: B009


def _shown_keys(pk: int, name: str, keys: Sequence[str]) -> dict[str, Any] | list[Any]:
    if not keys:
        return [] if name == "files" else {}
    parts = [KeyTransform(key, name) for key in keys]
    found = Artifact.objects.filter(pk=pk).values_list(*parts).get()
    return {key: value for key, value in zip(keys, found, strict=True) if value is not None}


def names_in(channel: Channel, names: Iterable[str]) -> set[str]:
    """Return those of the names that are packages of the channel."""
    return set(Package.objects.filter(channel=channel, name__in=set(names)).values_list("name", flat=True))


def dependents(package: Package, channels: QuerySet[Channel], *, text: str = "") -> QuerySet[Package]:
    """Return the packages of these channels that depend on this one's name, those with most downloads first.

    Every word of `text` must be in the name of the package or of its channel.
    """
    found = Package.objects.filter(dependencies__name=package.name, channel__in=channels.values("pk"))
    for word in text.split()[:MAX_WORDS]:
        found = found.filter(Q(name__icontains=word) | Q(channel__name__icontains=word))
    found = found.exclude(pk=package.pk).select_related("channel").defer("subdirs", "channel__logo")
    return found.order_by("-download_count", "name", "channel__name")


def daily_downloads(of: Package | Channel) -> list[tuple[date, int]]:
    """Return the downloads of a package or a channel on each of the last 90 days (UTC), today included."""
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=ago) for ago in reversed(range(PLOT_DAYS))]
    artifacts = {"artifact__package": of} if isinstance(of, Package) else {"artifact__channel": of}
    rows = DailyDownloads.objects.filter(**artifacts, day__gte=days[0])
    counts = dict(rows.order_by("day").values_list("day").annotate(Sum("count")))
    return [(day, counts.get(day, 0)) for day in days]


def newest_in_feed(channel: Channel, package: Package | None = None) -> QuerySet[Artifact]:
    """Return the artifacts published last that are in the index."""
    artifacts = Artifact.objects.filter(LISTED_IN_MAIN, channel=channel)
    if package:
        artifacts = artifacts.filter(package=package)
    return artifacts.defer(*HEAVY).select_related("package").order_by("-indexed_timestamp", "-pk")[:FEED_ITEMS]


def visible(package: Package, *, with_deleted: bool) -> QuerySet[Artifact]:
    """Return the artifacts of the package; deleted ones only for those who may delete."""
    artifacts = Artifact.objects.filter(package=package)
    return artifacts if with_deleted else artifacts.exclude(removal=Removal.DELETED)
