"""Summaries and sizes of packages for lists and searches, stored in the package's row.

They are updated when one of the package's artifacts changes. The sizes of a channel's packages are its own size.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import NamedTuple, Protocol

from django.db.models import BigIntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from rattler import Version

from channels_app.identifiers import NAME_MAX_CHARACTERS
from channels_app.models import Artifact, Channel, Package, PackageDependency, Removal

SPEC_NAME = re.compile(r"(?:[^ =<>!~\[]*:)?([A-Za-z0-9_.-]+)")
# A document may have 128 KiB, in older rows 1 MiB.
DOCUMENTS_AT_ONCE = 50
# The maximum of a package, over all builds of its newest version; also the maximum of one build.
DEPENDENCIES_MAX = 2000
DESCRIBED = ("latest_version", "summary", "subdirs", "updated_at", "size_bytes")


class Records(Protocol):
    """The records of builds in the index, as far as patches change them; by the ids of artifacts."""

    def is_removed(self, pk: int) -> bool: ...

    def depends(self, pk: int, depends: Sequence[str]) -> Sequence[str]: ...


class _AsBuilt:
    """The records of a channel without patches."""

    def is_removed(self, pk: int) -> bool:
        return False

    def depends(self, pk: int, depends: Sequence[str]) -> Sequence[str]:
        return depends


class Build(NamedTuple):
    """The columns of an artifact that decide which is the newest."""

    pk: int
    version: str
    subdir: str
    build_number: int
    indexed_timestamp: int

    def rank(self) -> tuple[int, int]:
        """Return the sort key of builds; the highest of a version represents its package."""
        return self.build_number, self.indexed_timestamp


def locked_artifact(artifact: Artifact) -> Artifact:
    """Return the current artifact, with only its row locked until the transaction ends.

    The channel's row, which uploads lock first, and keys that other rows refer to stay unlocked: both would cause
    deadlocks.
    """
    found = Artifact.objects.select_for_update(of=("self",), no_key=True).select_related("channel", "package")
    return found.get(pk=artifact.pk)


def package_for_update(channel: Channel, name: str) -> Package:
    """Return the package's row, locked until the transaction ends. This serializes changes of one package."""
    return Package.objects.select_for_update(no_key=True).get_or_create(channel=channel, name=name)[0]


def packages_for_update(channel: Channel, requested: Iterable[str]) -> dict[str, Package]:
    """Lock the packages of these names, sorted by name, so that two such changes never deadlock."""
    names = sorted(requested)
    rows = Package.objects.select_for_update(no_key=True).filter(channel=channel, name__in=names).order_by("name")
    found = {package.name: package for package in rows}
    missing = [Package(channel=channel, name=name) for name in names if name not in found]
    if missing:
        Package.objects.bulk_create(missing, ignore_conflicts=True)
        found = {package.name: package for package in rows.all()}
    return found


def refresh(package: Package) -> None:
    """Update the package's row from its artifacts. Call it in the transaction of the change."""
    refresh_each([package])


def refresh_each(packages: Collection[Package], records: Records | None = None) -> None:
    """Refresh many packages in a few statements; see refresh(). Without `records`, builds are as they were built.

    The build of an index that patches change refreshes them again, with its records.
    """
    records = records or _AsBuilt()
    builds, sizes = _stored_builds(packages, records)
    latest = {pk: latest_version({build.version for build in found}) for pk, found in builds.items()}
    newest = {
        pk: sorted((build for build in found if build.version == latest[pk]), key=Build.rank, reverse=True)
        for pk, found in builds.items()
    }
    representatives = Artifact.objects.only("about_json").in_bulk([found[0].pk for found in newest.values()])
    for package in packages:
        found = newest.get(package.pk, [])
        text = summary(representatives[found[0].pk]) if found else ""
        subdirs = {build.subdir for build in builds.get(package.pk, ())}
        updated_at_ms = max((build.indexed_timestamp for build in found), default=None)
        package.size_bytes = sizes[package.pk]
        _fill(package, latest.get(package.pk, ""), text, subdirs, updated_at_ms)
    # All rows exist already, so this is one UPDATE of them.
    unique = ("channel", "name")
    Package.objects.bulk_create(packages, update_conflicts=True, unique_fields=unique, update_fields=DESCRIBED)
    _set_dependencies({package.pk: set[str]() for package in packages} | _dependencies(newest, records))


def measure(packages: QuerySet[Package]) -> None:
    """Sum up the sizes of these packages anew. Call it in the transaction of the change."""
    # In the order of packages_for_update(): a sum that is read before the lock could lack an upload.
    locked = packages.select_for_update(no_key=True).order_by("name").values_list("pk", flat=True)
    Package.objects.filter(pk__in=list(locked)).update(size_bytes=stored_bytes())


def stored_bytes() -> Coalesce:
    """Return the sum of the sizes of a package's stored files, for a query of packages."""
    stored = Artifact.objects.filter(package=OuterRef("pk"), is_purged=False).order_by().values("package")
    return Coalesce(Subquery(stored.values(total=Sum("size_bytes"))), 0, output_field=BigIntegerField())


def include(artifact: Artifact) -> None:
    """Update the package's row for the new `artifact`. Other artifacts are read only if one may be as new."""
    package = artifact.package
    if not artifact.is_main:
        refresh(package)
    elif not package.latest_version or Version(artifact.version) > Version(package.latest_version):
        subdirs = {*package.subdirs, artifact.subdir}
        _fill(package, artifact.version, summary(artifact), subdirs, artifact.indexed_timestamp)
        package.size_bytes += artifact.size_bytes
        package.save(update_fields=DESCRIBED)
        _set_dependencies({package.pk: dependency_names(artifact.index_json.get("depends", ()))})
    else:
        refresh(package)


def latest_version(versions: Iterable[str]) -> str:
    """Return the newest version in conda's order (CEP 33); '' if there is none."""
    # Equal versions can differ in spelling, as 1.0 and 1.0.0, or 1.0rc1 and 1.0RC1.
    return max(versions, key=lambda version: (Version(version), version), default="")


def dependency_names(depends: Iterable[str]) -> set[str]:
    """Return the package names of these specs, at most DEPENDENCIES_MAX (CEP 29).

    Names too long for the column are dropped: no package has one.
    """
    found = (name for name in map(name_of, depends) if len(name) <= NAME_MAX_CHARACTERS)
    return set(islice(dict.fromkeys(found), DEPENDENCIES_MAX))


def name_of(spec: str) -> str:
    """Return the package name of a match spec, in lower case and without a channel."""
    match = SPEC_NAME.match(spec)
    return match[1].lower() if match else ""


def summary(artifact: Artifact) -> str:
    """Return the artifact's summary or description as one line; '' if it has neither."""
    text = artifact.about_json.get("summary") or artifact.about_json.get("description") or ""
    return " ".join(str(text).split())[:500]


def indexed_at(artifact: Artifact) -> datetime:
    return moment(artifact.indexed_timestamp)


def moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _fill(package: Package, latest: str, text: str, subdirs: set[str], updated_at_ms: int | None) -> None:
    package.latest_version = latest
    package.summary = text
    package.subdirs = sorted(subdirs)
    package.updated_at = None if updated_at_ms is None else moment(updated_at_ms)


def _dependencies(newest: Mapping[int, Sequence["Build"]], records: Records) -> dict[int, set[str]]:
    """Return package → names that its newest builds depend on; the highest-ranked builds first, up to the limit."""
    needed: dict[int, set[str]] = defaultdict(set)
    left = [(pk, build.pk) for pk, builds in newest.items() for build in builds]
    while batch := left[:DOCUMENTS_AT_ONCE]:
        specs = Artifact.objects.filter(pk__in=[build for _, build in batch]).values_list("pk", "index_json__depends")
        depends = dict(specs)
        for pk, build in batch:
            needed[pk] = dependency_names(chain(needed[pk], records.depends(build, depends[build] or ())))
        left = [each for each in left[DOCUMENTS_AT_ONCE:] if len(needed[each[0]]) < DEPENDENCIES_MAX]
    return needed


def _stored_builds(packages: Collection[Package], records: Records) -> tuple[dict[int, list["Build"]], Counter[int]]:
    """Return package → its builds in the channel's own index, and its stored bytes, by one narrow query."""
    stored = Artifact.objects.filter(package__in=packages, is_purged=False)
    stored = stored.annotate(is_listed=Q(removal=Removal.NONE, quarantine_reason="", is_main=True))
    found: dict[int, list[Build]] = {}
    sizes: Counter[int] = Counter()
    for package_id, size_bytes, is_listed, *columns in stored.values_list(
        "package", "size_bytes", "is_listed", *Build._fields
    ):
        sizes[package_id] += size_bytes
        build = Build(*columns)
        if is_listed and not records.is_removed(build.pk):
            found.setdefault(package_id, []).append(build)
    return found, sizes


def _set_dependencies(needed: Mapping[int, set[str]]) -> None:
    """Store package → names that it depends on."""
    known = set(PackageDependency.objects.filter(package__in=needed).values_list("package", "name", "pk"))
    gone = [pk for package_id, name, pk in known if name not in needed[package_id]]
    if gone:
        PackageDependency.objects.filter(pk__in=gone).delete()
    existing = {(package_id, name) for package_id, name, _ in known}
    PackageDependency.objects.bulk_create(
        PackageDependency(package_id=package_id, name=name)
        for package_id, names in needed.items()
        for name in sorted(names)
        if (package_id, name) not in existing
    )
