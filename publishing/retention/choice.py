"""The choice of retention: the files that rules yank or delete at a given time, with the reason of each. Without I/O.

A rule picks a file of the index if all of its conditions hold, and no rule of the channel protects the file. The first
rule that picks a file yanks it. A rule deletes a file that it has yanked, some days later, if it would still pick it.
A file that is in the index after a rule has yanked it was restored by somebody; the rule never picks it again.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from itertools import groupby
from typing import NamedTuple

from rattler import Version

from publishing.retention.rules import Protections, Rule, counted


class Act(StrEnum):
    YANK = "yank"
    DELETE = "delete"


class File(NamedTuple):
    """A file that is in the index, or that a rule has yanked; `removed_at` tells since when it is yanked.

    `used_on` is the day of its last download or, if none is known, the day since when downloads have been counted.
    `yanks` has each rule that yanked these bytes, with the time of its last yank. `labels` are known if a rule asks for
    labels.
    """

    id: int
    name: str
    subdir: str
    file_name: str
    version: str
    build: str
    build_number: int
    size_bytes: int
    published_at: datetime
    used_on: date
    removed_at: datetime | None
    yanks: Mapping[int, datetime]
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """A file that a rule yanks or deletes. `reason` has the facts, as in '3 newer versions, published 40 days ago'."""

    file: File
    rule: Rule
    act: Act
    reason: str


def choose(files: Iterable[File], rules: Sequence[Rule], at: datetime) -> Iterator[Choice]:
    """Choose among `files`, of which those of one name and subdir follow each other."""
    protections = Protections(rules)
    for (name, _), group in groupby(files, key=lambda file: (file.name, file.subdir)):
        covering = [rule for rule in rules if rule.covers(name)]
        if covering and not protections.cover_all(name):
            yield from _choose_in_group(list(group), covering, protections, at)


def _choose_in_group(
    files: Sequence[File], rules: Sequence[Rule], protections: Protections, at: datetime
) -> Iterator[Choice]:
    of_all = Ranks(files)
    ranked = [(rule, _ranks(files, rule) if rule.labels or rule.without_labels else of_all) for rule in rules]
    specs = protections.specs(files[0].name)

    @cache
    def is_protected(version: Version) -> bool:
        return any(spec.matches(version) for spec in specs)

    for file in files:
        for rule, ranks in ranked:
            act = _possible_act(file, rule, at) if rule.covers_labels(file.labels) else None
            if act and (facts := _facts(file, rule, ranks, at)):
                if not (is_protected(of_all.version(file)) or protections.cover_labels(file.labels)):
                    yield Choice(file, rule, act, ", ".join(facts))
                break


def _ranks(files: Sequence[File], rule: Rule) -> "Ranks":
    """Return the ranks among the files with the labels of the rule."""
    return Ranks([file for file in files if rule.covers_labels(file.labels)])


class Ranks:
    """The numbers of newer versions and newer builds in the index, for the files of one name and subdir.

    Spellings of an equal version, as 1.0 and 1.0.0, are one version. A build may have several files.
    """

    def __init__(self, files: Sequence[File]) -> None:
        self._versions = {file.version: Version(file.version) for file in files}
        listed = [file for file in files if file.removed_at is None]
        self._listed_versions = sorted({self.version(file) for file in listed})
        self._builds: dict[tuple[Version, str], tuple[Version, int, datetime]] = {}
        for file in listed:
            key, rank = self._build(file), self._own_rank(file)
            self._builds[key] = max(rank, self._builds.get(key, rank))
        self._listed_builds = sorted(self._builds.values())

    def version(self, file: File) -> Version:
        return self._versions[file.version]

    def newer_versions(self, file: File) -> int:
        return len(self._listed_versions) - bisect_right(self._listed_versions, self.version(file))

    def newer_builds(self, file: File) -> int:
        rank = self._builds.get(self._build(file)) or self._own_rank(file)
        return len(self._listed_builds) - bisect_right(self._listed_builds, rank)

    def _build(self, file: File) -> tuple[Version, str]:
        return self.version(file), file.build

    def _own_rank(self, file: File) -> tuple[Version, int, datetime]:
        return self.version(file), file.build_number, file.published_at


def _possible_act(file: File, rule: Rule, at: datetime) -> Act | None:
    """Return the act for which the file is ripe, as far as its history with the rule tells."""
    yanked_at = file.yanks.get(rule.id)
    if file.removed_at is None:
        return Act.YANK if yanked_at is None else None
    is_own = yanked_at == file.removed_at
    if is_own and rule.delete_after_days and at - file.removed_at >= timedelta(days=rule.delete_after_days):
        return Act.DELETE
    return None


def _facts(file: File, rule: Rule, ranks: Ranks, at: datetime) -> list[str]:
    """Return a fact for each condition of the rule; none if one of them does not hold."""
    age_days = (at - file.published_at).days
    # The day of a download is over when the next one begins.
    unused_days = (at.date() - file.used_on).days - 1
    conditions = (
        (rule.keep_versions, (found := ranks.newer_versions(file)), counted(found, "newer version")),
        (rule.keep_builds, (found := ranks.newer_builds(file)), counted(found, "newer build")),
        (rule.older_than_days, age_days, f"published {counted(age_days, 'day')} ago"),
        (rule.unused_days, unused_days, f"no download for {counted(rule.unused_days, 'day')}"),
    )
    if any(least is not None and number < least for least, number, _ in conditions):
        return []
    return [fact for least, _, fact in conditions if least is not None]
