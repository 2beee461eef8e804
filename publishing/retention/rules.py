"""Retention rules and their check. Without I/O."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from rattler import VersionSpec

from channels_app import identifiers
from publishing.name_globs import matches
from publishing.wording import quote

TITLE_MAX_CHARACTERS = 200
ENTRIES_MAX = 50
VERSION_MAX_CHARACTERS = 200
KEPT_MAX, DAYS_MAX = 10_000, 3650

NAME_GLOB = re.compile(r"[a-z0-9._*?\[\]!-]+\Z")
VERSION_SPEC = re.compile(r"[0-9A-Za-z_.+!*<>=~,|() -]+\Z")
# Each condition → the smallest and the largest number that it takes.
CONDITIONS = {
    "keep_versions": (1, KEPT_MAX),
    "keep_builds": (1, KEPT_MAX),
    "older_than_days": (1, DAYS_MAX),
    "unused_days": (1, DAYS_MAX),
}
NUMBERS = CONDITIONS | {"delete_after_days": (1, DAYS_MAX)}


class BadRule(Exception):  # noqa: N818  (it names the fault of a rule)
    """A rule that the hub does not take; `reason` is one sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule. It picks the files of its names and labels for which all of its conditions hold; None is no condition.

    `names` and `labels` are globs (empty: all). Files with one of `without_labels` are not picked. `keep_versions` and
    `keep_builds` count the files of these labels within a name and subdir. `delete_after_days` counts from the yank;
    with None, yanked files are never deleted. A rule that is not saved yet has the id 0.
    """

    id: int = 0
    title: str
    names: Sequence[str] = ()
    labels: Sequence[str] = ()
    without_labels: Sequence[str] = ()
    keep_versions: int | None = None
    keep_builds: int | None = None
    older_than_days: int | None = None
    unused_days: int | None = None
    protected_names: Sequence[str] = ()
    protected_versions: Sequence[str] = ()
    protected_labels: Sequence[str] = ()
    delete_after_days: int | None = None

    def covers(self, name: str) -> bool:
        """Tell whether the rule is about packages of this name."""
        return not self.names or matches(name, self.names)

    def covers_labels(self, labels: Iterable[str]) -> bool:
        """Tell whether the rule is about files with these labels."""
        return (not self.labels or matches_one(labels, self.labels)) and not matches_one(labels, self.without_labels)

    @property
    def needs_labels(self) -> bool:
        """Return whether the rule asks for the labels of files."""
        return bool(self.labels or self.without_labels or self.protected_labels)

    def conditions(self) -> list[str]:
        """Return the conditions in words, as the ends of 'files that are …'."""
        words = (
            (self.keep_versions, f"not {_newest(self.keep_versions, 'version')}"),
            (self.keep_builds, f"not {_newest(self.keep_builds, 'build')}"),
            (self.older_than_days, f"older than {counted(self.older_than_days, 'day')}"),
            (self.unused_days, f"not downloaded for {counted(self.unused_days, 'day')}"),
        )
        labels = ((self.labels, "labeled"), (self.without_labels, "not labeled"))
        return [
            *(f"{text} {' or '.join(globs)}" for globs, text in labels if globs),
            *(text for number, text in words if number is not None),
        ]


def _newest(number: int | None, noun: str) -> str:
    return f"the newest {noun}" if number == 1 else f"among the newest {number} {noun}s"


def counted(number: int | None, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Protections:
    """The protections of all rules: names, labels, and versions of a rule's own names."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule, [VersionSpec(spec) for spec in rule.protected_versions]) for rule in rules]

    def cover_all(self, name: str) -> bool:
        """Tell whether all files of the package are protected."""
        return any(matches(name, rule.protected_names) for rule, _ in self._rules)

    def specs(self, name: str) -> list[VersionSpec]:
        """Return the specs of the versions of the package that are protected."""
        return [spec for rule, specs in self._rules if specs and rule.covers(name) for spec in specs]

    def cover_labels(self, labels: Iterable[str]) -> bool:
        """Tell whether files with these labels are protected."""
        return any(matches_one(labels, rule.protected_labels) for rule, _ in self._rules)


def matches_one(labels: Iterable[str], globs: Sequence[str]) -> bool:
    """Tell whether one of the labels matches."""
    return bool(globs) and any(matches(label, globs) for label in labels)


def check(rule: Rule) -> None:
    """Raise BadRule if a value is bad."""
    if not 0 < len(rule.title) <= TITLE_MAX_CHARACTERS or not rule.title.isprintable():
        raise BadRule(f"Expected a title of one line, of 1 to {TITLE_MAX_CHARACTERS} characters: why the rule exists.")
    if all(getattr(rule, name) is None for name in CONDITIONS):
        raise BadRule("The rule would pick every file. State how many to keep, or for how many days.")
    for name, (least, most) in NUMBERS.items():
        number = getattr(rule, name)
        if number is not None and not least <= number <= most:
            raise BadRule(f"{name} is {number}; expected {least} to {most:,}.")
    _check_globs(rule)
    _check_specs(rule.protected_versions)


def _check_globs(rule: Rule) -> None:
    of_labels = (rule.labels, rule.without_labels, rule.protected_labels)
    for globs in (rule.names, rule.protected_names, rule.protected_versions, *of_labels):
        if len(globs) > ENTRIES_MAX:
            raise BadRule(f"A list has {len(globs)} entries; expected at most {ENTRIES_MAX}.")
    for glob in (*rule.names, *rule.protected_names):
        if len(glob) > identifiers.NAME_MAX_CHARACTERS or not NAME_GLOB.match(glob):
            raise BadRule(f"{quote(glob)} is no package name; expected the like of numpy, or of py*.")
    for glob in chain(*of_labels):
        if len(glob) > identifiers.LABEL_MAX_CHARACTERS or not NAME_GLOB.match(glob):
            raise BadRule(f"{quote(glob)} is no label; expected the like of main, or of pr-*.")


def _check_specs(specs: Sequence[str]) -> None:
    for spec in specs:
        try:
            if len(spec) > VERSION_MAX_CHARACTERS or not VERSION_SPEC.match(spec):
                raise ValueError("unexpected characters")
            VersionSpec(spec)
        except Exception as error:
            raise BadRule(f"{quote(spec)} is no version spec: {error}. Expected the like of '>=1.2,<2'.") from error
