"""Packages that lose a dependency by a removal, in all channels that the reader may see.

The newest version of each package is checked. It loses a dependency if a removed file satisfies it, and no other file
of two channels does: the channel of the removed files, and that of the package. Dependencies and files are those of the
channels' own indexes, with the active patches: labels don't count.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from django.db.models import Case, F, QuerySet, Value, When
from rattler import BuildString, MatchSpec, PackageRecord
from rattler.exceptions import InvalidMatchSpecError

from channels_app.access.permissions import Actor, visible_channels
from channels_app.models import Artifact, Channel, Package, PackageDependency
from channels_app.packages.packages import name_of
from channels_app.packages.queries import LISTED_IN_MAIN
from publishing.removal.listed_files import ListedFile, PatchedIndex

PACKAGES_MAX = 500
BUILDS_MAX = 2_000
FILES_MAX = 20_000
LEAVING_MAX = 10_000
NOARCH = "noarch"


@dataclass(slots=True)
class Dependent:
    """A package, and the dependencies that it loses: spec → subdirs on which no file satisfies it.

    `noarch` stands for every subdir without a file of the needed package.
    """

    package: Package
    depends: bool = False
    lost: dict[str, set[str]] = field(default_factory=dict)


class Dependents(NamedTuple):
    """The packages that lose a dependency, the number of those that lose none, and whether all were checked."""

    broken: list[Dependent]
    kept: int
    is_complete: bool


def of_removal(actor: Actor, channel: Channel, removed: Collection[Artifact]) -> Dependents:
    """Return the dependents of files of `channel`, as far as `actor` may see them; see of_files()."""
    return of_files(actor, channel, {each.pk: each.package.name for each in removed if _is_listed(each)})


def _is_listed(artifact: Artifact) -> bool:
    return not (artifact.removal or artifact.quarantine_reason)


def of_files(actor: Actor, channel: Channel, leaving: Mapping[int, str]) -> Dependents:
    """Return the dependents of files in the index of `channel`, given as artifact id → package name.

    It takes four queries, and a fifth if a channel has imported patches.
    """
    first = dict(islice(leaving.items(), LEAVING_MAX))
    packages = list(_packages(actor, channel, set(first.values()))[: PACKAGES_MAX + 1])
    if not packages:
        return Dependents([], 0, is_complete=len(leaving) <= LEAVING_MAX)
    dependents = {package.pk: Dependent(package) for package in packages[:PACKAGES_MAX]}
    names = {*first.values(), *(package.name for package in packages)}
    index = PatchedIndex({channel.pk, *(package.channel_id for package in packages)}, sorted(names))
    files = index.files(_files(channel, packages, first)[: FILES_MAX + 1])
    remaining = _Files(channel, leaving, filter(index.is_installable, files[:FILES_MAX]))
    builds = 0
    for build, depends in index.builds(_builds(dependents)[: BUILDS_MAX + 1]):
        builds += 1
        if build.pk not in leaving:
            _check(dependents[build.package_id], build.subdir, depends, remaining)
    broken = [dependent for dependent in dependents.values() if dependent.lost]
    kept = sum(dependent.depends for dependent in dependents.values()) - len(broken)
    is_complete = (
        len(leaving) <= LEAVING_MAX
        and len(packages) <= PACKAGES_MAX
        and len(files) <= FILES_MAX
        and builds <= BUILDS_MAX
    )
    return Dependents(broken, kept, is_complete)


class _Files:
    """The files in the index that have the names of removed ones, by the dependencies that they satisfy."""

    def __init__(self, channel: Channel, leaving: Collection[int], files: Iterable[ListedFile]) -> None:
        self._channel_id = channel.pk
        self._leaving = leaving
        self._named: dict[str, list[tuple[int, int, PackageRecord]]] = defaultdict(list)
        for file in files:
            record = PackageRecord(file.name, file.version, BuildString(file.build), file.build_number, file.subdir)
            self._named[file.name].append((file.pk, file.channel_id, record))
        self._satisfying: dict[str, tuple[set[str], dict[int, set[str]]]] = {}

    def lost(self, spec: str, subdir: str, channel_id: int) -> set[str] | None:
        """Return the subdirs on which a build in `subdir` loses `spec`; None if no file has the spec's name."""
        name = name_of(spec)
        if name not in self._named:
            return None
        leaving, staying = self._subdirs(name, spec)
        remaining = staying[self._channel_id] | staying[channel_id]
        if NOARCH in remaining:
            return set()
        return {each for offered in leaving for each in self._common(name, subdir, offered)} - remaining

    def _subdirs(self, name: str, spec: str) -> tuple[set[str], dict[int, set[str]]]:
        """Return the subdirs of the leaving files that satisfy `spec`, and channel → those of the others."""
        if spec not in self._satisfying:
            leaving: set[str] = set()
            staying: dict[int, set[str]] = defaultdict(set)
            for pk, channel_id, record in self._satisfy(name, spec):
                (leaving if pk in self._leaving else staying[channel_id]).add(str(record.subdir))
            self._satisfying[spec] = leaving, staying
        return self._satisfying[spec]

    def _satisfy(self, name: str, spec: str) -> list[tuple[int, int, PackageRecord]]:
        """Return the files that satisfy `spec`; none for one that clients can't read."""
        try:
            match = MatchSpec(spec)
        except InvalidMatchSpecError:
            return []
        return [each for each in self._named[name] if match.matches(each[2])]

    def _common(self, name: str, subdir: str, offered: str) -> set[str]:
        """Return the subdirs on which a build in `subdir` is installed together with a file in `offered`."""
        if subdir != NOARCH:
            return {subdir} if offered in (subdir, NOARCH) else set()
        if offered != NOARCH:
            return {offered}
        return {NOARCH, *(str(record.subdir) for _, _, record in self._named[name])}


def _check(dependent: Dependent, subdir: str, depends: Iterable[str], files: _Files) -> None:
    """Add the dependencies that a build loses."""
    for spec in depends:
        subdirs = files.lost(spec, subdir, dependent.package.channel_id)
        if subdirs is not None:
            dependent.depends = True
        if subdirs:
            dependent.lost.setdefault(spec, set()).update(subdirs)


def _packages(actor: Actor, channel: Channel, names: set[str]) -> QuerySet[Package]:
    """Select the packages whose newest version needs one of these names, those of `channel` first."""
    needing = PackageDependency.objects.filter(name__in=names).values("package")
    visible = Package.objects.filter(channel__in=visible_channels(actor), pk__in=needing)
    is_elsewhere = Case(When(channel=channel, then=Value(0)), default=Value(1))
    return visible.exclude(latest_version="").order_by(is_elsewhere, "channel__name", "name").select_related("channel")


def _builds(packages: Iterable[int]) -> QuerySet[Artifact]:
    """Select the files of the newest versions."""
    return Artifact.objects.filter(LISTED_IN_MAIN, package__in=packages, version=F("package__latest_version")).order_by(
        "-pk"
    )


def _files(channel: Channel, packages: Iterable[Package], leaving: Mapping[int, str]) -> QuerySet[Artifact]:
    """Select the files of the leaving ones' names in the channels of `packages`, the leaving and the newest first."""
    channels = {channel.pk, *(package.channel_id for package in packages)}
    named = Package.objects.filter(channel__in=channels, name__in=set(leaving.values()))
    stays = Case(When(pk__in=leaving, then=Value(0)), default=Value(1))
    return Artifact.objects.filter(LISTED_IN_MAIN, package__in=named).order_by(stays, "-pk")
