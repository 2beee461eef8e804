"""Packages of an upstream channel for lists and searches: one of each name, by the listed records of all subdirs."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from channels_app.models import Channel, Package
from channels_app.packages import packages
from publishing.index.upstream_records import Record
from publishing.models import UpstreamName

COLUMNS = ("latest_version", "updated_at")


def describe(row: UpstreamName, found: dict[str, Record]) -> bool:
    """Set the columns COLUMNS of a judged row by its records, and return whether they changed."""
    before = [getattr(row, column) for column in COLUMNS]
    listed = {file_name: record["version"] for file_name, record in found.items() if file_name not in row.hidden}
    row.latest_version = packages.latest_version(set(listed.values()))
    newest = (row.first_seen[name][1] for name, version in listed.items() if version == row.latest_version)
    row.updated_at = packages.moment(max(newest)) if listed else None
    return before != [getattr(row, column) for column in COLUMNS]


def save(rows: Iterable[UpstreamName]) -> None:
    """Save the columns COLUMNS."""
    for row in rows:
        UpstreamName.objects.filter(pk=row.pk).update(**{column: getattr(row, column) for column in COLUMNS})


def refresh(channel: Channel, names: Iterable[str]) -> None:
    """Update the packages of these names by the rows of all subdirs, in the transaction of the change.

    The packages are locked before the rows are read: another subdir of the name may change at the same time.
    """
    found = packages.packages_for_update(channel, names)
    rows = UpstreamName.objects.filter(index__channel=channel, name__in=list(found), latest_version__gt="")
    of_name = defaultdict[str, list[Any]](list)
    for name, subdir, *described in rows.values_list("name", "index__subdir", *COLUMNS):
        of_name[name].append((subdir, *described))
    changed = [package for package in found.values() if _fill(package, of_name[package.name])]
    fields = ("latest_version", "subdirs", "updated_at")
    unique = ("channel", "name")
    Package.objects.bulk_create(changed, update_conflicts=True, unique_fields=unique, update_fields=fields)


def _fill(package: Package, described: list[Any]) -> bool:
    """Set the package's columns by (subdir, latest version, updated at), and return whether they changed."""
    before = package.latest_version, package.subdirs, package.updated_at
    package.latest_version = packages.latest_version({version for _, version, _ in described})
    package.subdirs = sorted(subdir for subdir, *_ in described)
    newest = (updated_at for _, version, updated_at in described if version == package.latest_version)
    package.updated_at = max(newest, default=None)
    return before != (package.latest_version, package.subdirs, package.updated_at)
