"""Retention rules of a channel: their changes, their dry run, and the nightly run.

Both runs choose for the time at which a night begins. So the dry run shows what the next night does, even if its job
starts later.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from math import inf
from threading import BoundedSemaphore
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import Artifact, Channel, RetentionRemoval, RetentionRule
from channels_app.packages.queries import HEAVY
from hub.celery import send
from hub.errors import conflict, unprocessable
from hub.http.request_body import slot_of
from hub.locks import try_lock
from publishing.nights import last_night, next_night
from publishing.removal import dependents, removal
from publishing.removal.dependents import Dependents
from publishing.removal.removal import SELECTION_MAX, OwnChange
from publishing.retention import queries, rules
from publishing.retention.choice import Act, Choice
from publishing.retention.rules import BadRule, Rule

# Of 32 threads per process: a plan of 10,000 files by 20 rules with 2,000 globs takes seconds.
PLANS, PLANS_WAIT_S = BoundedSemaphore(4), 5.0
RULES_MAX = 20
# Of the files in the event of a run, which its mail lists.
REPORTED_MAX = 200
FIELDS = tuple(field.name for field in fields(Rule) if field.name != "id")
CHANGES = {Act.YANK: removal.YANK, Act.DELETE: removal.DELETE}


@dataclass(frozen=True, slots=True)
class Plan:
    """The files that the rules yank and delete in the night that begins `at`, and the packages that depend on them."""

    at: datetime
    choices: list[Choice]
    dependents: Dependents

    @property
    def yanked(self) -> int:
        return sum(1 for choice in self.choices if choice.act == Act.YANK)

    @property
    def deleted(self) -> int:
        return len(self.choices) - self.yanked

    @property
    def size_bytes(self) -> int:
        return sum(choice.file.size_bytes for choice in self.choices)


def planned(actor: Actor, channel: Channel) -> Plan:
    """Return the plan of the next night by the saved rules, with the dependents that `actor` may see."""
    return _plan(actor, channel, _rules(channel))


def dry_run(*, actor: Actor, channel: Channel, rule: Rule) -> Plan:
    """Return the plan of the next night if `rule` is added, or replaces the one with its id.

    Raise HubError 422 if it is bad.
    """
    acts.check(Action.RETENTION_CHANGE if rule.id else Action.RETENTION_ADD, actor, channel)
    _check(rule)
    others = [each for each in _rules(channel) if each.id != rule.id]
    return _plan(actor, channel, sorted([*others, rule], key=lambda each: each.id or inf))


def _rules(channel: Channel) -> list[Rule]:
    return [queries.as_rule(row) for row in queries.stored(channel)]


def _plan(actor: Actor, channel: Channel, rules_then: Sequence[Rule]) -> Plan:
    at = next_night()
    with slot_of(PLANS, "plans of retention", wait_s=PLANS_WAIT_S):
        choices = list(queries.choices(channel, rules_then, at))
        # A file that is deleted has left the index before.
        leaving = {choice.file.id: choice.file.name for choice in choices if choice.act == Act.YANK}
        return Plan(at, choices, dependents.of_files(actor, channel, leaving))


@transaction.atomic
def add(*, actor: Actor, channel: Channel, rule: Rule) -> RetentionRule:
    """Add a rule, which the next night applies. Raise HubError 409 if the channel has 20, and 422 for a bad one."""
    locked = acts.lock_channel(Action.RETENTION_ADD, actor, channel)
    _check(rule)
    if queries.stored(locked).count() >= RULES_MAX:
        raise conflict(
            "retention_rules_limit", f"'{channel}' has {RULES_MAX} rules, the most there may be. Remove one."
        )
    row = RetentionRule.objects.create(channel=locked, created_by=actor.user, **_values(rule))
    row.refresh_from_db()
    _end(Action.RETENTION_ADD, actor, locked, row, fields=_described(rule))
    return row


@transaction.atomic
def change(*, actor: Actor, channel: Channel, rule: Rule) -> RetentionRule:
    """Replace the values of the channel's rule with this id. It remembers the files that it has removed."""
    locked = acts.lock_channel(Action.RETENTION_CHANGE, actor, channel)
    _check(rule)
    row = queries.rule_of(locked, rule.id)
    before, after = _described(queries.as_rule(row)), _described(rule)
    changes = {name: {"from": before[name], "to": after[name]} for name in after if after[name] != before[name]}
    if changes:
        for name, value in _values(rule).items():
            setattr(row, name, value)
        row.save(update_fields=FIELDS)
        _end(Action.RETENTION_CHANGE, actor, locked, row, changes=changes)
    return row


@transaction.atomic
def remove(*, actor: Actor, channel: Channel, rule_id: int) -> None:
    """Remove the rule. Files that it has yanked stay yanked."""
    locked = acts.lock_channel(Action.RETENTION_REMOVE, actor, channel)
    row = queries.rule_of(locked, rule_id)
    _end(Action.RETENTION_REMOVE, actor, locked, row, fields=_described(queries.as_rule(row)))
    row.delete()


def send_due() -> None:
    """Enqueue a job for each channel whose rules were neither applied nor changed since the last night began."""
    due = RetentionRule.objects.filter(queries.due(last_night()), channel__deleted_at=None)
    for channel_id in due.order_by("channel").values_list("channel", flat=True).distinct():
        send("publishing.tasks.apply_retention_rules", channel_id)


def apply_nightly(channel_id: int) -> None:
    """Apply the rules of the channel, unless this night's run is done or running. Notify the owners if files went."""
    at = last_night()
    with try_lock(f"retention-{channel_id}") as is_held:
        channel = Channel.objects.filter(pk=channel_id, deleted_at=None).first()
        if channel is None or not is_held:
            return
        due = list(queries.stored(channel).filter(queries.due(at)))
        if due:
            apply(channel, at)
            _report(channel, since=min(at, *(row.ran_at for row in due)))


def apply(channel: Channel, at: datetime) -> None:
    """Yank and delete the files that the rules choose, with one index change for each subdir and batch."""
    chosen = list(queries.choices(channel, _rules(channel), at))
    for start in range(0, len(chosen), SELECTION_MAX):
        _apply_batch(channel, chosen[start : start + SELECTION_MAX], at)


@transaction.atomic
def _apply_batch(channel: Channel, batch: Sequence[Choice], at: datetime) -> None:
    """Change the files of the batch that the rules still choose. The lock keeps the rules from changing meanwhile."""
    locked = Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk, deleted_at=None).first()
    if locked is None:
        return
    wanted = Artifact.objects.filter(pk__in=[choice.file.id for choice in batch]).order_by("pk")
    wanted = wanted.select_for_update(of=("self",), no_key=True).select_related("package").defer(*HEAVY)
    artifacts = {artifact.pk: artifact for artifact in wanted}
    names = {choice.file.name for choice in batch}
    found = queries.choices(locked, _rules(locked), at, names=names)
    still = [choice for choice in found if choice.file.id in artifacts]
    if still:
        removal.change_for_hub(channel=locked, changes=_changes(still, artifacts))
        _remember(still, artifacts)


def _changes(choices: Iterable[Choice], artifacts: dict[int, Artifact]) -> list[OwnChange]:
    """Return a change for each rule and act."""
    grouped: dict[tuple[str, Act], list[Artifact]] = defaultdict(list)
    for choice in choices:
        grouped[f"Retention rule “{choice.rule.title}”", choice.act].append(artifacts[choice.file.id])
    return [OwnChange(CHANGES[act], within, reason) for (reason, act), within in grouped.items()]


def _remember(choices: Iterable[Choice], artifacts: dict[int, Artifact]) -> None:
    """Store which rule has yanked and deleted the changed artifacts."""
    yanked = []
    for choice in choices:
        artifact = artifacts[choice.file.id]
        key: dict[str, Any] = {"rule_id": choice.rule.id, "artifact": artifact}
        values: dict[str, Any] = {"sha256": artifact.sha256, "yanked_at": artifact.removed_at}
        if choice.act == Act.YANK:
            yanked.append(RetentionRemoval(**key, **values))
        else:
            RetentionRemoval.objects.filter(**key).update(deleted_at=artifact.removed_at)
    RetentionRemoval.objects.bulk_create(
        yanked,
        update_conflicts=True,
        unique_fields=("rule", "artifact"),
        update_fields=("sha256", "yanked_at", "deleted_at"),
    )


@transaction.atomic
def _report(channel: Channel, *, since: datetime) -> None:
    """End the run: the rules wait for the next night. Record the files that went, also in a run that was killed."""
    removals = RetentionRemoval.objects.filter(rule__channel=channel).select_related("rule", "artifact")
    removals = removals.filter(Q(yanked_at__gt=since) | Q(deleted_at__gt=since))
    went = [
        ["deleted" if row.deleted_at else "yanked", row.artifact.path, row.rule.title]
        for row in removals.only(
            "yanked_at", "deleted_at", "rule__title", "artifact__subdir", "artifact__file_name"
        ).order_by("rule", "artifact__subdir", "artifact__file_name")
    ]
    queries.stored(channel).update(ran_at=timezone.now())
    if went:
        deleted = sum(1 for act, _, _ in went if act == "deleted")
        counts = {"yanked": len(went) - deleted, "deleted": deleted}
        detail = {"fields": counts, "files": went[:REPORTED_MAX], "unlisted": len(went[REPORTED_MAX:])}
        log.record(Action.RETENTION_RUN, channel=channel, target=channel.name, detail=detail)


def _check(rule: Rule) -> None:
    try:
        rules.check(rule)
    except BadRule as error:
        raise unprocessable("bad_retention_rule", error.reason) from error


def _values(rule: Rule) -> dict[str, Any]:
    """Return the columns of the rule."""
    return {name: list(value) if isinstance(value := getattr(rule, name), tuple) else value for name in FIELDS}


def _described(rule: Rule) -> dict[str, str]:
    """Return the values of the rule for its event."""
    values = _values(rule)
    return {name: ", ".join(value) if isinstance(value, list) else str(value or "") for name, value in values.items()}


def _end(action: Action, actor: Actor, channel: Channel, row: RetentionRule, **detail: Any) -> None:
    """Record the event. A changed rule waits for the next night, also if this one's run is still to come."""
    queries.stored(channel).update(ran_at=timezone.now())
    log.record(action, by=actor, channel=channel, target=row.title, detail=detail)
