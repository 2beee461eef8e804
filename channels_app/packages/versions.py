"""One version of a package: its files, a selected build, and the changes against the version before.

All of it takes a constant number of queries.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, Max, Q, QuerySet, Sum, TextField, Value, When
from django.db.models.fields.json import KT, KeyTransform
from django.db.models.functions import MD5, Cast, Coalesce, Concat

from channels_app.models import Artifact, Package, Removal
from channels_app.packages import changes, packages, queries
from channels_app.packages.changes import Changes

FILES_MAX = 200
PUBLISHERS_MAX = 10
# The build that represents the version comes first.
BEST_FIRST = (
    Case(When(queries.LISTED, then=Value(0)), When(removal="", then=Value(1)), default=Value(2)),
    "-build_number",
    "-indexed_timestamp",
    "pk",
)
# The hash and the number that end a build string, as in py312h9490d1a_0.
BUILD_END = re.compile(r"(?:h[0-9a-f]{7,})?_?\d*\Z")


@dataclass(frozen=True, slots=True)
class Publisher:
    """A user, or the repository of a trusted publisher, with the number of files that it published."""

    username: str
    repository: str
    repository_url: str
    artifact_count: int


@dataclass(frozen=True, slots=True)
class VersionDetail:
    """A version of a package. `build` is one of its artifacts, with its documents as far as pages show them.

    `files` are its first artifacts, each with a `dependency_key`.
    """

    version: str
    build: Artifact
    files: list[Artifact]
    publishers: list[Publisher]
    artifact_count: int
    listed_count: int
    size_bytes: int
    download_count: int
    uploaded_at: datetime

    @property
    def is_installable(self) -> bool:
        return self.listed_count > 0

    @property
    def label(self) -> str:
        """Return a label that lists the version if main does not; else ''."""
        listed = [file for file in self.files if not file.removal and not file.quarantine_reason]
        if any(file.is_main for file in listed):
            return ""
        return next((name for file in listed for name in file.label_names), "")

    @property
    def equal_builds(self) -> list[Artifact]:
        """Return the other builds with the same dependencies and constraints, as far as `files` has them."""
        keys = {artifact.pk: _dependency_key(artifact) for artifact in self.files}
        selected = keys.pop(self.build.pk, None)
        return [artifact for artifact in self.files if selected and keys.get(artifact.pk) == selected]


def find(package: Package, version: str, *, with_deleted: bool, build: str = "") -> VersionDetail | None:
    """Return the version if it has a visible file. `build` selects a build by `subdir/file_name`, else the newest."""
    artifacts = queries.visible(package, with_deleted=with_deleted).filter(version=version)
    counts = artifacts.aggregate(
        artifact_count=Count("pk"),
        listed_count=Count("pk", filter=queries.LISTED),
        size_bytes=Sum("size_bytes", filter=Q(is_purged=False), default=0),
        download_count=Sum("download_count"),
        indexed_timestamp=Max("indexed_timestamp"),
    )
    if not counts["artifact_count"]:
        return None
    files = queries.with_labels(queries.files(package, version, with_deleted=with_deleted))
    return VersionDetail(
        version=version,
        build=_selected(artifacts, build),
        files=[_in_package(artifact, package) for artifact in _with_dependency_keys(files)[:FILES_MAX]],
        publishers=publishers(artifacts),
        uploaded_at=packages.moment(counts.pop("indexed_timestamp")),
        **counts,
    )


def changes_of(package: Package, build: Artifact) -> Changes | None:
    """Compare a build of find() with the most similar one of the version before; None for the first version.

    The version before is that of conda's order. Deleted files don't count.
    """
    position = queries.version_key(build.version)
    newest_first = queries.versions(package, with_deleted=False)
    previous = next((version for version in newest_first if queries.version_key(version) < position), None)
    before = _counterpart(package.artifacts.filter(version=previous).exclude(removal=Removal.DELETED), build)
    return changes.of(before, build) if before else None


def publishers(artifacts: QuerySet[Artifact]) -> list[Publisher]:
    """Return the publishers of these artifacts, those of most files first. Channel keys and deleted users have none."""
    rows = (
        artifacts.order_by()
        .values_list("uploaded_by__username", KT("provenance__repository"), KT("provenance__repository_url"))
        .annotate(count=Count("pk"))
        .order_by("-count", "uploaded_by__username")
    )
    known = rows.exclude(uploaded_by=None, provenance__repository=None)
    return [
        Publisher(username or "", repository or "", url or "", count)
        for username, repository, url, count in known[:PUBLISHERS_MAX]
    ]


def _selected(artifacts: QuerySet[Artifact], build: str) -> Artifact:
    """Return the artifact at `build`, else the newest."""
    subdir, _, file_name = build.partition("/")
    is_selected = Case(When(subdir=subdir, file_name=file_name, then=Value(0)), default=Value(1))
    return _with_documents(artifacts.order_by(is_selected, *BEST_FIRST))


def _counterpart(artifacts: QuerySet[Artifact], build: Artifact) -> Artifact | None:
    """Return the artifact of another version that is most like `build`: its platform, then its variant."""
    has_subdir = Case(When(subdir=build.subdir, then=Value(0)), default=Value(1))
    candidates = artifacts.order_by(has_subdir, *BEST_FIRST).values_list("pk", "subdir", "build")[:FILES_MAX]

    def differences(candidate: tuple[int, str, str]) -> tuple[bool, bool]:
        return candidate[1] != build.subdir, _variant(candidate[2]) != _variant(build.build)

    closest = min(candidates, key=differences, default=None)
    return _with_documents(artifacts.filter(pk=closest[0])) if closest else None


def _variant(build: str) -> str:
    """Return the part of a build string that names the variant, such as py312 or cuda120."""
    return BUILD_END.sub("", build)


def _with_documents(artifacts: QuerySet[Artifact]) -> Artifact:
    """Return the first artifact with its documents, as far as pages show them."""
    related = ("channel", "package", "uploaded_by", "uploaded_with", "removed_by")
    artifact = queries.with_light_documents(artifacts.select_related(*related), queries.SHOWN_MAX_CHARACTERS)[0]
    queries.show_documents(artifact)
    return artifact


def _with_dependency_keys(artifacts: QuerySet[Artifact]) -> QuerySet[Artifact]:
    """Add a key that is equal for equal dependencies. The database makes it, so that no document is loaded."""
    lists = (
        Coalesce(Cast(KeyTransform(name, "index_json"), TextField()), Value("", TextField()))
        for name in ("depends", "constrains")
    )
    return artifacts.select_related("uploaded_by", "removed_by").annotate(dependency_key=MD5(Concat(*lists)))


def _in_package(artifact: Artifact, package: Package) -> Artifact:
    """Set the artifact's relations to the rows at hand. A package's row may list thousands of subdirs."""
    artifact.package, artifact.channel = package, package.channel
    return artifact


def _dependency_key(artifact: Artifact) -> str:
    key: str = getattr(artifact, "dependency_key")  # noqa: B009
    return key
