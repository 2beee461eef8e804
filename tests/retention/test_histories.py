"""Random histories of a channel with random rules: the night makes exactly the changes of the dry run."""

import os
import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rattler import Version, VersionSpec

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, DailyDownloads, Removal, RetentionRemoval, RetentionRule, User
from publishing.labels import artifact_labels, edits
from publishing.removal import removal
from publishing.retention import retention
from publishing.retention.rules import Rule
from tests.builders import make_artifact
from tests.retention.clock import Clock, milliseconds, planned

pytestmark = pytest.mark.django_db
NAMES = ("lib", "lib-dev", "app")
VERSIONS = ("1.0", "1.0.0", "1.0rc1", "1.9", "1.10", "2.0")
SUBDIRS = ("noarch", "linux-64")
LABELS = ("main", "dev", "pr-1")
# A thousand take minutes.
HISTORIES = int(os.environ.get("HISTORIES", "20"))

some = st.none() | st.integers(1, 4)
days = st.none() | st.integers(1, 6)
some_labels = st.lists(st.sampled_from(["main", "dev", "pr-*"]), max_size=2)
rules = st.fixed_dictionaries(
    {
        "title": st.sampled_from(["a", "b"]),
        "names": st.lists(st.sampled_from(["lib", "lib*", "app", "*"]), max_size=2),
        "labels": some_labels,
        "without_labels": some_labels,
        "keep_versions": some,
        "keep_builds": some,
        "older_than_days": days,
        "unused_days": days,
        "protected_names": st.lists(st.sampled_from(["app", "*-dev", "x"]), max_size=1),
        "protected_versions": st.lists(st.sampled_from(["1.0", "1.*", ">=2", "<1.0"]), max_size=1),
        "protected_labels": st.lists(st.sampled_from(["dev", "pr-*"]), max_size=1),
        "delete_after_days": days,
    }
).filter(lambda rule: any(rule[name] for name in ("keep_versions", "keep_builds", "older_than_days", "unused_days")))
steps = st.one_of(
    st.tuples(st.just("upload"), st.sampled_from(NAMES), st.sampled_from(VERSIONS), st.sampled_from(SUBDIRS)),
    st.tuples(st.sampled_from(["download", "yank", "delete", "restore", "overwrite"]), st.integers(0, 9)),
    st.tuples(st.just("label"), st.integers(0, 9), st.sets(st.sampled_from(LABELS), min_size=1)),
    st.tuples(st.just("night"), st.integers(1, 5)),
    st.tuples(st.just("add"), rules),
    st.tuples(st.just("change"), st.integers(0, 3), rules),
    st.tuples(st.just("remove"), st.integers(0, 3)),
)
histories = st.tuples(st.lists(rules, min_size=1, max_size=3), st.integers(0, 2**32), st.lists(steps, max_size=12))


class History:
    """A channel with the steps of people, and the nights between them."""

    def __init__(self, clock: Clock, channel: Channel, owner: User) -> None:
        self.clock, self.channel, self.actor = clock, channel, Actor(user=owner)
        self.builds = 0

    def run(self, first_rules: list[dict[str, Any]], seed: int, taken: list[tuple[Any, ...]]) -> None:
        self._fill(random.Random(seed))
        for rule in first_rules:
            self.add(rule)
        for name, *arguments in (*taken, ("night", 1), ("night", 9), ("night", 1)):
            self.clock.now += timedelta(minutes=1)
            getattr(self, name)(*arguments)

    def _fill(self, chance: random.Random) -> None:
        for _ in range(8):
            self.upload(*(chance.choice(each) for each in (NAMES, VERSIONS, SUBDIRS)))
            newest = Artifact.objects.latest("pk")
            newest.indexed_timestamp = milliseconds(self.clock.ago(chance.uniform(0, 9)))
            newest.build_number = chance.randrange(2)
            newest.save()
            if chance.random() < 0.5:
                self._label(newest, set(chance.choices(LABELS, k=2)))
            if chance.random() < 0.5:
                self._download(newest, chance.randrange(9))

    def upload(self, name: str, version: str, subdir: str) -> None:
        self.builds += 1
        published = milliseconds(self.clock.now)
        build = f"h{self.builds}"
        make_artifact(self.channel, name, version, build, subdir=subdir, indexed_timestamp=published)

    def download(self, number: int) -> None:
        if artifact := self._artifact(number):
            self._download(artifact, 0)

    def _download(self, artifact: Artifact, days_ago: int) -> None:
        day = self.clock.ago(days_ago).date()
        DailyDownloads.objects.get_or_create(artifact=artifact, day=day, defaults={"count": 1})

    def yank(self, number: int) -> None:
        if (artifact := self._artifact(number)) and not artifact.removal:
            removal.yank(actor=self.actor, artifact=artifact, reason="")

    def delete(self, number: int) -> None:
        if artifact := self._artifact(number):
            removal.delete(actor=self.actor, artifact=artifact, reason="")

    def restore(self, number: int) -> None:
        if artifact := self._artifact(number):
            removal.restore(actor=self.actor, artifact=artifact)

    def label(self, number: int, names: set[str]) -> None:
        if artifact := self._artifact(number):
            self._label(artifact, names)

    def _label(self, artifact: Artifact, names: set[str]) -> None:
        selection = Artifact.objects.filter(pk=artifact.pk)
        artifact_labels.edit_selection(
            actor=self.actor, channel=self.channel, selection=selection, edit=edits.exactly(names)
        )

    def overwrite(self, number: int) -> None:
        if artifact := self._artifact(number):
            artifact.sha256 = f"{self.clock.now.timestamp():064.0f}"
            artifact.indexed_timestamp = milliseconds(self.clock.now)
            artifact.removal, artifact.removed_at = Removal.NONE, None
            artifact.save()

    def add(self, rule: dict[str, Any]) -> None:
        retention.add(actor=self.actor, channel=self.channel, rule=Rule(**rule))

    def change(self, number: int, rule: dict[str, Any]) -> None:
        if row := RetentionRule.objects.order_by("pk")[number : number + 1].first():
            retention.change(actor=self.actor, channel=self.channel, rule=Rule(id=row.pk, **rule))

    def remove(self, number: int) -> None:
        if row := RetentionRule.objects.order_by("pk")[number : number + 1].first():
            retention.remove(actor=self.actor, channel=self.channel, rule_id=row.pk)

    def night(self, nights: int) -> None:
        """Let nights pass. Each makes the changes of the dry run, and touches no protected file."""
        for _ in range(nights):
            rules, files = list(RetentionRule.objects.all()), Artifact.objects.select_related("channel", "package")
            protected = {str(each) for each in files if is_protected(each, rules)}
            by_hand = {str(each) for each in files.filter(removal="yanked").exclude(removed_by=None)}
            restored = set(self._yanks(artifact__removal=""))
            shown = planned(self.channel)
            done = self.clock.pass_night(self.channel)
            assert done == shown
            assert not {f"{self.channel}/{name}" for name in done} & (protected | by_hand)
            assert not restored & set(self._yanks(artifact__removal="yanked", yanked_at=self.clock.ran_at))
            assert all(is_about(row.rule, row.artifact) for row in self._yanked_in_this_night())

    def _yanked_in_this_night(self) -> Iterable[RetentionRemoval]:
        return RetentionRemoval.objects.filter(yanked_at=self.clock.ran_at).select_related("rule", "artifact")

    def _yanks(self, **conditions: Any) -> Iterable[tuple[int, int]]:
        """Return the rules with the files of the same bytes that they have yanked."""
        found = RetentionRemoval.objects.filter(sha256=F("artifact__sha256"), **conditions)
        return found.values_list("rule", "artifact")

    def _artifact(self, number: int) -> Artifact | None:
        return Artifact.objects.select_related("channel", "package").order_by("pk")[number : number + 1].first()


def has_one(artifact: Artifact, globs: Iterable[str]) -> bool:
    """Tell by a second implementation whether the artifact has a label that matches."""
    matching = {"main": "main", "dev": "dev", "pr-*": "pr-1"}
    return any(matching[glob] in artifact.label_names for glob in globs)


def is_about(rule: RetentionRule, artifact: Artifact) -> bool:
    """Tell whether the rule is about files with the labels of the artifact."""
    return (not rule.labels or has_one(artifact, rule.labels)) and not has_one(artifact, rule.without_labels)


def is_protected(artifact: Artifact, rules: list[RetentionRule]) -> bool:
    """Tell by a second implementation whether one of the rules protects the artifact."""
    name, version = artifact.package.name, Version(artifact.version)
    for rule in rules:
        if (rule.protected_names == ["app"] and name == "app") or (
            rule.protected_names == ["*-dev"] and name == "lib-dev"
        ):
            return True
        if has_one(artifact, rule.protected_labels):
            return True
        matching = {"lib": name == "lib", "lib*": name != "app", "app": name == "app", "*": True}
        covers = not rule.names or any(matching[glob] for glob in rule.names)
        if covers and any(VersionSpec(spec).matches(version) for spec in rule.protected_versions):
            return True
    return False


@settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck), deadline=None)
@given(histories)
def test_night_matches_the_dry_run_and_touches_no_protected_file(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch, history: tuple[Any, ...]
) -> None:
    clock = Clock(monkeypatch)
    channel.created_at = clock.ago(30)
    channel.save()
    with transaction.atomic():
        History(clock, channel, olga).run(*history)
        transaction.set_rollback(True)
