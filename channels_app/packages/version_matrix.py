"""The matrix of a package's versions and subdirs, limited to the size of a page: three queries.

Uploaders can create thousands of builds, versions and subdirs. The database counts the builds of a cell, so that only
one row is read for each cell.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, F, Max, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from channels_app.models import Artifact

# More than all subdirs that clients know (identifiers.KNOWN_SUBDIRS).
SUBDIRS_SHOWN = 40
CELLS_SHOWN = 1600


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version in the matrix. A cell is the newest build for a subdir, with its number of `builds`, or None."""

    version: str
    cells: list[Artifact | None]
    indexed_timestamp: int
    is_out: bool  # every file of the version was yanked or deleted
    size_bytes: int
    download_count: int
    labels: list[str]  # other than main


@dataclass(frozen=True, slots=True)
class Matrix:
    """The first of the subdirs, with a row for each of the first versions."""

    subdirs: list[str]
    more_subdirs: int
    rows: list[VersionRow]


def of(artifacts: QuerySet[Artifact], versions: Sequence[str]) -> Matrix:
    """Return the matrix of these `versions` of the package with these `artifacts`."""
    existing = set(artifacts.filter(version__in=versions).order_by().values_list("subdir", flat=True).distinct())
    subdirs = sorted(existing, key=lambda subdir: (subdir != "noarch", subdir))[:SUBDIRS_SHOWN]
    shown = versions[: CELLS_SHOWN // max(len(subdirs), 1)]
    found: dict[str, dict[str, Artifact]] = {version: {} for version in shown}
    for artifact in _newest(artifacts.filter(version__in=shown)).filter(subdir__in=subdirs):
        found[artifact.version][artifact.subdir] = artifact
    labels = _labels(artifacts.filter(version__in=shown))
    rows = [_row(version, subdirs, cells, labels[version]) for version, cells in found.items() if cells]
    return Matrix(subdirs, len(existing) - len(subdirs), rows)


def _labels(artifacts: QuerySet[Artifact]) -> dict[str, list[str]]:
    """Return version → the labels of its files other than main."""
    found: dict[str, list[str]] = defaultdict(list)
    labeled = artifacts.filter(labels__isnull=False).order_by("labels__name")
    for version, name in labeled.values_list("version", "labels__name").distinct():
        found[version].append(name)
    return found


def _newest(artifacts: QuerySet[Artifact]) -> QuerySet[Artifact]:
    """Return the newest build of each version and subdir, with the counts of its cell and row."""
    cell = [F("version"), F("subdir")]
    return (
        artifacts.order_by()
        .annotate(
            place=Window(RowNumber(), cell, [F("build_number").desc(), F("indexed_timestamp").desc()]),
            builds=Window(Count("pk"), cell),
            published=Window(Max("indexed_timestamp"), F("version")),
            stored_bytes=Window(Sum("size_bytes", filter=Q(is_purged=False)), F("version")),
            downloads=Window(Sum("download_count"), F("version")),
            installable=Window(Count("pk", filter=Q(removal="")), F("version")),
        )
        .filter(place=1)
    )


def _row(version: str, subdirs: Sequence[str], cells: dict[str, Artifact], labels: list[str]) -> VersionRow:
    facts = next(iter(cells.values())).__dict__
    shown = [cells.get(subdir) for subdir in subdirs]
    return VersionRow(
        version=version,
        cells=shown,
        indexed_timestamp=facts["published"],
        is_out=not facts["installable"],
        size_bytes=facts["stored_bytes"] or 0,
        download_count=facts["downloads"],
        labels=labels,
    )
