"""Retention rules of a channel: their changes, the dry run, the nightly run, and acts of people in between."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from channels_app.access.permissions import Actor
from channels_app.audit import descriptions
from channels_app.models import (
    Artifact,
    AuditEvent,
    Channel,
    DailyDownloads,
    RetentionRemoval,
    RetentionRule,
    Role,
    User,
)
from channels_app.packages import packages
from hub.errors import HubError
from publishing import tasks
from publishing.models import SubdirIndex
from publishing.removal import removal
from publishing.retention import queries, retention
from publishing.retention.rules import Rule
from tests.builders import make_artifact, make_channel, make_key, make_member
from tests.mailbox import arrived
from tests.retention.clock import Clock, milliseconds, planned, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def channel(channel: Channel, clock: Clock) -> Channel:
    """Return a channel that is a year old."""
    channel.created_at = clock.ago(365)
    channel.save()
    return channel


def fill(clock: Clock, channel: Channel, *days: float, name: str = "demo", **fields: Any) -> list[Artifact]:
    """Make versions 1.0, 2.0, … that were published so many days ago."""
    found = [
        make_artifact(channel, name, f"{n}.0", indexed_timestamp=milliseconds(clock.ago(ago)), **fields)
        for n, ago in enumerate(days, start=1)
    ]
    packages.refresh_each({artifact.package for artifact in found})
    return found


def add(channel: Channel, user: User, **values: Any) -> RetentionRule:
    given: dict[str, Any] = {"title": "old", "older_than_days": 30} | values
    return retention.add(actor=Actor(user=user), channel=channel, rule=Rule(**given))


def test_old_files_are_yanked_and_later_deleted(clock: Clock, channel: Channel, olga: User) -> None:
    fill(clock, channel, 60, 29, 1)
    add(channel, olga, delete_after_days=7)
    yanked = {"noarch/demo-1.0-0.conda": "yanked", "noarch/demo-2.0-0.conda": "yanked"}
    nights = [clock.pass_night(channel) for _ in range(10)]
    assert nights[0] == {"noarch/demo-1.0-0.conda": "yanked"}
    assert nights[1] == {"noarch/demo-2.0-0.conda": "yanked"}
    deleted = [(night, name) for night, changes in enumerate(nights[2:], 2) for name in changes]
    assert deleted == [(8, "noarch/demo-1.0-0.conda"), (9, "noarch/demo-2.0-0.conda")]
    assert states(channel) == dict.fromkeys(yanked, "deleted") | {"noarch/demo-3.0-0.conda": ""}


def test_run_is_one_index_change_for_each_subdir_and_an_event_for_each_file(
    clock: Clock, channel: Channel, olga: User
) -> None:
    fill(clock, channel, 60, 50, 40)
    fill(clock, channel, 60, 50, name="lib", subdir="linux-64")
    add(channel, olga, title="nightlies")
    add(channel, olga, title="lib", names=["lib"], older_than_days=1)
    before = dict(SubdirIndex.objects.values_list("subdir", "requested_revision"))
    assert len(clock.pass_night(channel)) == 5
    after = dict(SubdirIndex.objects.values_list("subdir", "requested_revision"))
    assert {subdir: after[subdir] - before[subdir] for subdir in ("noarch", "linux-64")} == {"noarch": 1, "linux-64": 1}
    events = AuditEvent.objects.filter(action="artifact.yank")
    assert events.count() == 5
    entry = descriptions.entry(events[0], channel)
    assert (entry.actor, entry.notes[-1]) == ("The hub", "Reason: Retention rule “nightlies”")
    assert {found.removal_reason for found in Artifact.objects.all()} == {"Retention rule “nightlies”"}


def test_run_in_batches_changes_every_file(
    clock: Clock, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SELECTION_MAX", 2)
    fill(clock, channel, *range(100, 105))
    add(channel, olga)
    expected = planned(channel)
    assert (len(expected), clock.pass_night(channel)) == (5, expected)


def test_restored_file_stays_until_its_bytes_are_replaced(clock: Clock, channel: Channel, olga: User) -> None:
    [artifact] = fill(clock, channel, 60)
    add(channel, olga, delete_after_days=1)
    clock.pass_night(channel)
    removal.restore(actor=Actor(user=olga), artifact=artifact)
    assert [clock.pass_night(channel) for _ in range(3)] == [{}, {}, {}]
    Artifact.objects.update(sha256="f" * 64)
    assert clock.pass_night(channel) == {"noarch/demo-1.0-0.conda": "yanked"}
    assert RetentionRemoval.objects.get().sha256 == "f" * 64


def test_deleted_file_that_is_restored_stays(clock: Clock, channel: Channel, olga: User) -> None:
    [artifact] = fill(clock, channel, 60)
    add(channel, olga, delete_after_days=1)
    assert [list(clock.pass_night(channel).values()) for _ in range(3)] == [["yanked"], [], ["deleted"]]
    artifact.refresh_from_db()
    removal.restore(actor=Actor(user=olga), artifact=artifact)
    assert [clock.pass_night(channel) for _ in range(3)] == [{}, {}, {}]


def test_file_that_a_person_yanked_is_never_deleted(clock: Clock, channel: Channel, olga: User) -> None:
    [by_hand, restored] = fill(clock, channel, 60, 60)
    removal.yank(actor=Actor(user=olga), artifact=by_hand, reason="broken")
    add(channel, olga, delete_after_days=1)
    clock.pass_night(channel)
    removal.restore(actor=Actor(user=olga), artifact=restored)
    clock.now += timedelta(minutes=1)
    removal.yank(actor=Actor(user=olga), artifact=restored, reason="broken, too")
    assert [clock.pass_night(channel) for _ in range(4)] == [{}] * 4


def test_download_keeps_a_file(clock: Clock, channel: Channel, olga: User) -> None:
    [used, yanked, _] = fill(clock, channel, 60, 60, 60)
    DailyDownloads.objects.create(artifact=used, day=clock.ago(20).date(), count=1)
    add(channel, olga, older_than_days=None, unused_days=30, delete_after_days=1)
    assert sorted(clock.pass_night(channel)) == ["noarch/demo-2.0-0.conda", "noarch/demo-3.0-0.conda"]
    DailyDownloads.objects.create(artifact=yanked, day=clock.now.date(), count=1)
    changes = [clock.pass_night(channel) for _ in range(12)]
    assert [night for night in changes if night] == [
        {"noarch/demo-3.0-0.conda": "deleted"},
        {"noarch/demo-1.0-0.conda": "yanked"},
        {"noarch/demo-1.0-0.conda": "deleted"},
    ]


def test_downloads_are_counted_since_the_channel_was_created(clock: Clock, channel: Channel, olga: User) -> None:
    fill(clock, channel, 60)
    Channel.objects.update(created_at=clock.ago(9))
    add(channel, olga, older_than_days=None, unused_days=30)
    assert planned(Channel.objects.get()) == {}


def test_files_outside_the_index_are_left_alone(clock: Clock, channel: Channel, olga: User) -> None:
    fill(clock, channel, 60, quarantine_reason="Its record is bad")
    fill(clock, channel, 60, name="gone", removal="deleted", removed_at=clock.ago(1))
    add(channel, olga)
    assert planned(channel) == {}


def test_dry_run_of_a_new_and_a_changed_rule_leaves_all_files(clock: Clock, channel: Channel, olga: User) -> None:
    fill(clock, channel, 60, 40, 20)
    row = add(channel, olga)
    for rule, count in (
        (Rule(title="new", older_than_days=10), 3),
        (Rule(id=row.pk, title="x", older_than_days=50), 1),
    ):
        plan = retention.dry_run(actor=Actor(user=olga), channel=channel, rule=rule)
        assert (len(plan.choices), plan.yanked, plan.deleted, plan.size_bytes) == (count, count, 0, count * 1000)
    assert (set(states(channel).values()), RetentionRule.objects.get().older_than_days) == ({""}, 30)


def test_rules_are_applied_once_a_night_and_first_in_the_night_after_a_change(
    clock: Clock, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[tuple[object, ...]] = []
    monkeypatch.setattr(retention, "send", lambda *job: jobs.append(job))

    def due() -> bool:
        jobs.clear()
        tasks.apply_retention()
        return jobs == [("publishing.tasks.apply_retention_rules", channel.pk)]

    fill(clock, channel, 60)
    row = add(channel, olga)
    assert not due()
    tasks.apply_retention_rules(channel.pk)
    assert set(states(channel).values()) == {""}
    clock.set_hour(2.9, days=1)
    assert not due()
    clock.set_hour(3.1)
    assert due()
    rule = Rule(id=row.pk, title="old", older_than_days=20)
    retention.change(actor=Actor(user=olga), channel=channel, rule=rule)
    assert not due()
    clock.set_hour(9, days=1)
    assert due()
    tasks.apply_retention_rules(channel.pk)
    assert (due(), set(states(channel).values())) == (False, {"yanked"})
    Channel.objects.update(deleted_at=clock.now)
    clock.set_hour(4, days=1)
    assert not due()
    tasks.apply_retention_rules(channel.pk)


def test_rule_that_changes_during_a_run_protects_the_files_of_later_batches(
    clock: Clock, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SELECTION_MAX", 1)
    fill(clock, channel, 60, 60)
    row = add(channel, olga)
    apply_batch = retention._apply_batch

    def protect_after_the_first(*arguments: Any) -> None:
        apply_batch(*arguments)
        RetentionRule.objects.filter(pk=row.pk).update(protected_names=["demo"])

    monkeypatch.setattr(retention, "_apply_batch", protect_after_the_first)
    assert clock.pass_night(channel) == {"noarch/demo-1.0-0.conda": "yanked"}


def test_run_that_was_killed_goes_on_and_reports_all_files(
    clock: Clock, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SELECTION_MAX", 1)
    fill(clock, channel, 60, 60)
    add(channel, olga)
    with monkeypatch.context() as patch:
        patch.setattr(retention, "_report", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            clock.pass_night(channel)
    tasks.apply_retention_rules(channel.pk)
    assert AuditEvent.objects.get(action="retention.run").detail["fields"] == {"yanked": 2, "deleted": 0}


def test_run_that_is_killed_between_batches_goes_on_where_it_stopped(
    clock: Clock, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SELECTION_MAX", 2)
    fill(clock, channel, *range(100, 107))
    add(channel, olga)
    expected = planned(channel)
    remember, calls = retention._remember, iter(range(9))

    def fail_in_the_second(*arguments: Any) -> None:
        remember(*arguments)
        if next(calls) == 1:
            raise OperationalError("the connection is closed")

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_remember", fail_in_the_second)
        with pytest.raises(OperationalError):
            clock.pass_night(channel)
    assert sorted(states(channel).values()) == [""] * 5 + ["yanked"] * 2
    tasks.apply_retention_rules(channel.pk)
    assert states(channel) == expected
    assert AuditEvent.objects.filter(action="artifact.yank").count() == len(expected)
    assert AuditEvent.objects.get(action="retention.run").detail["fields"] == {"yanked": 7, "deleted": 0}


def test_rule_that_ran_by_a_clock_that_was_ahead_is_applied_in_the_next_night(
    clock: Clock, channel: Channel, olga: User
) -> None:
    add(channel, olga)
    RetentionRule.objects.update(ran_at=clock.now + timedelta(days=4000))
    fill(clock, channel, 60)
    assert clock.pass_night(channel) == {"noarch/demo-1.0-0.conda": "yanked"}
    assert AuditEvent.objects.filter(action="retention.run").count() == 1


def test_owners_get_one_mail_about_a_run(
    clock: Clock, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga.email = "olga@example.org"
    olga.save()
    monkeypatch.setattr(retention, "REPORTED_MAX", 1)
    fill(clock, channel, 60, 60)
    add(channel, olga)
    arrived().clear()
    clock.pass_night(channel)
    [mail] = arrived()
    assert (mail.subject, mail.to) == ("Retention has removed files of demo", ["olga@example.org"])
    assert "yanked 2 files and deleted 0:" in mail.body
    assert "    yanked: noarch/demo-1.0-0.conda (old)\n    and 1 more\n" in mail.body
    clock.pass_night(channel)
    assert len(arrived()) == 1


def test_removed_rule_leaves_yanked_files_yanked(clock: Clock, channel: Channel, olga: User) -> None:
    fill(clock, channel, 60)
    row = add(channel, olga, delete_after_days=1)
    clock.pass_night(channel)
    retention.remove(actor=Actor(user=olga), channel=channel, rule_id=row.pk)
    add(channel, olga, delete_after_days=1)
    assert [clock.pass_night(channel) for _ in range(3)] == [{}] * 3
    assert list(states(channel).values()) == ["yanked"]


def test_changes_of_rules_are_recorded(channel: Channel, olga: User) -> None:
    row = add(channel, olga, names=["a", "b"], delete_after_days=9)
    changed = Rule(id=row.pk, title="old", names=["a"], older_than_days=30)
    retention.change(actor=Actor(user=olga), channel=channel, rule=changed)
    retention.change(actor=Actor(user=olga), channel=channel, rule=changed)
    retention.remove(actor=Actor(user=olga), channel=channel, rule_id=row.pk)
    added, change, removed = AuditEvent.objects.filter(action__startswith="retention.").order_by("pk")
    assert added.detail["fields"]["names"] == "a, b"
    assert change.detail["changes"] == {
        "names": {"from": "a, b", "to": "a"},
        "delete_after_days": {"from": "9", "to": ""},
    }
    assert (removed.action, removed.target, removed.detail["fields"]["older_than_days"]) == (
        "retention.remove",
        "old",
        "30",
    )


def test_channel_has_at_most_twenty_rules(channel: Channel, olga: User) -> None:
    for _ in range(20):
        add(channel, olga)
    with pytest.raises(HubError) as refusal:
        add(channel, olga)
    assert (refusal.value.status, refusal.value.code) == (409, "retention_rules_limit")


def test_rule_of_another_channel_is_not_found(channel: Channel, olga: User) -> None:
    row = add(channel, olga)
    other = make_channel("other", owner=olga)
    for call in (
        lambda: retention.change(actor=Actor(user=olga), channel=other, rule=Rule(id=row.pk, title="x", keep_builds=1)),
        lambda: retention.remove(actor=Actor(user=olga), channel=other, rule_id=row.pk),
        lambda: queries.rule_of(other, row.pk),
    ):
        with pytest.raises(HubError) as refusal:
            call()
        assert (refusal.value.status, refusal.value.code) == (404, "no_such_rule")


def test_contributor_and_keys_may_not_change_rules(channel: Channel, olga: User, sam: User) -> None:
    make_member(channel, sam, Role.CONTRIBUTOR)
    row = add(channel, olga)
    make_key(olga, scopes=("read", "delete", "manage"))
    rule = Rule(id=row.pk, title="x", keep_builds=1)
    for actor in (Actor(user=sam), Actor(user=olga, key=olga.keys.get())):
        for call in (
            lambda actor=actor: retention.add(actor=actor, channel=channel, rule=rule),
            lambda actor=actor: retention.dry_run(actor=actor, channel=channel, rule=rule),
            lambda actor=actor: retention.change(actor=actor, channel=channel, rule=rule),
            lambda actor=actor: retention.remove(actor=actor, channel=channel, rule_id=row.pk),
        ):
            with pytest.raises(HubError) as refusal:
                call()
            assert refusal.value.status == 403
    assert RetentionRule.objects.get().title == "old"


@pytest.mark.parametrize("count", [1, 30])
def test_plan_costs_as_many_queries_for_30_files_as_for_one(
    clock: Clock, channel: Channel, olga: User, count: int
) -> None:
    fill(clock, channel, *([60] * count))
    add(channel, olga, unused_days=9)
    with CaptureQueriesContext(connection) as queried:
        assert len(planned(channel)) == count
    assert len(queried) == 5
