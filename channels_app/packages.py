"""What lists and searches say of a package: kept in its row, made anew whenever one of its artifacts changes."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from rattler import Version

from channels_app.models import Artifact, Channel, Package, PackageDependency, Removal

NAME = re.compile(r"[A-Za-z0-9_.-]+")


def locked(artifact: Artifact) -> Artifact:
    """The artifact as it is now, its row alone locked until the transaction ends.

    Not the channel's, which uploads lock first, nor its key, to which rows of others refer: both end in deadlocks.
    """
    found = Artifact.objects.select_for_update(of=("self",), no_key=True).select_related("channel", "package")
    return found.get(pk=artifact.pk)


def held(channel: Channel, name: str) -> Package:
    """The package's row, locked until the transaction ends, so that no two changes decide by the same old truth."""
    return Package.objects.select_for_update(no_key=True).get_or_create(channel=channel, name=name)[0]


def refresh(package: Package) -> None:
    """Make the package's row fit its artifacts. Call it in the transaction of the change."""
    listed = package.artifacts.filter(removal=Removal.NONE, set_aside_reason="")
    found = set(listed.values_list("version", "subdir").distinct())
    latest = latest_version({version for version, _ in found})
    facts = listed.only("package", "index_json", "about_json", "indexed_timestamp")
    newest = list(facts.filter(version=latest).order_by("-build_number", "-indexed_timestamp"))
    _describe(package, latest, newest, {subdir for _, subdir in found})


def include(artifact: Artifact) -> None:
    """What refresh() does, where all that is new is `artifact`: the others are read only where one may be as new."""
    package = artifact.package
    if not package.latest_version or Version(artifact.version) > Version(package.latest_version):
        _describe(package, artifact.version, [artifact], {*package.subdirs, artifact.subdir})
    else:
        refresh(package)


def latest_version(versions: Iterable[str]) -> str:
    """The newest by conda's order (CEP 33), '' where there is none."""
    return max(versions, key=Version, default="")


def dependency_names(artifacts: Iterable[Artifact]) -> set[str]:
    """The names of the packages that any of these depends on; a spec begins with its name (CEP 29)."""
    return {name_of(spec) for artifact in artifacts for spec in artifact.index_json.get("depends", ())}


def name_of(spec: str) -> str:
    """The name that a match spec begins with."""
    match = NAME.match(spec)
    return match[0] if match else ""


def summary(artifact: Artifact) -> str:
    """One line of the artifact's own on what it is, '' where it has none."""
    text = artifact.about_json.get("summary") or artifact.about_json.get("description") or ""
    return " ".join(str(text).split())[:500]


def indexed_at(artifact: Artifact) -> datetime:
    return datetime.fromtimestamp(artifact.indexed_timestamp / 1000, UTC)


def _describe(package: Package, latest: str, newest: list[Artifact], subdirs: set[str]) -> None:
    """`newest`: the artifacts of the latest version, the one that speaks for the package first."""
    package.latest_version = latest
    package.summary = summary(newest[0]) if newest else ""
    package.subdirs = sorted(subdirs)
    package.updated_at = max((indexed_at(artifact) for artifact in newest), default=None)
    package.save(update_fields=["latest_version", "summary", "subdirs", "updated_at"])
    _set_dependencies(package, dependency_names(newest))


def _set_dependencies(package: Package, wanted: set[str]) -> None:
    known = set(package.dependencies.values_list("name", flat=True))
    if known - wanted:
        package.dependencies.filter(name__in=known - wanted).delete()
    PackageDependency.objects.bulk_create(
        PackageDependency(package=package, name=name) for name in sorted(wanted - known)
    )
