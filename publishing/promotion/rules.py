"""Rules of a channel for promotions to it: their sources, the right of the promoter, and the approval.

A channel without rules accepts promotions from every channel by those who may upload. With rules, it accepts those of a
rule alone. A rule is more specific than the policy that only trusted publishers may upload.
"""

from enum import StrEnum
from typing import Any

from django.db import transaction

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_still_allowed
from channels_app.audit import log
from channels_app.identifiers import CHANNEL
from channels_app.models import Channel
from hub.errors import conflict, forbidden, not_found, unprocessable
from publishing.models import PromotionRule


class Needed(StrEnum):
    """The right in the target that a rule requires: that of contributors, maintainers or owners."""

    UPLOAD = "upload"
    MANAGE = "manage"
    OWN = "own"


ANY = "*"
RULES_MAX = 50


def check(actor: Actor, source: Channel, target: Channel) -> None:
    """Raise HubError 403 if the rules of the target refuse the source, or the actor's right does not suffice."""
    rule = rule_of(source, target)
    check_still_allowed(actor, target, Permission(rule.needs) if rule else Permission.UPLOAD)


def rule_of(source: Channel, target: Channel) -> PromotionRule | None:
    """Return the rule for the source, or None if the target has no rules. Raise HubError 403 if none of them fits."""
    rules = {rule.source: rule for rule in target.promotion_rules.all()}
    if rules and source.name not in rules and ANY not in rules:
        raise forbidden(
            "no_promotion_rule",
            f"'{target}' accepts no promotions from '{source}'. Ask a maintainer of '{target}' to add a rule.",
        )
    return rules.get(source.name) or rules.get(ANY)


@transaction.atomic
def save(*, actor: Actor, channel: Channel, source: str, **values: Any) -> PromotionRule:
    """Add the rule for a source, or change it. `source`: the name of a channel, or `*` for all others."""
    locked = acts.lock_channel(Action.POLICY_CHANGE, actor, channel)
    _check_source(locked, source)
    before = locked.promotion_rules.filter(source=source).first()
    if before is None and locked.promotion_rules.count() >= RULES_MAX:
        raise conflict(
            "promotion_rules_limit", f"'{channel}' has {RULES_MAX} rules, the most there may be. Remove one."
        )
    rule, _ = locked.promotion_rules.update_or_create(source=source, defaults=values)
    _record(actor, locked, source, before, rule)
    return rule


@transaction.atomic
def remove(*, actor: Actor, channel: Channel, source: str) -> None:
    locked = acts.lock_channel(Action.POLICY_CHANGE, actor, channel)
    rule = rule_for(locked, source)
    _record(actor, locked, source, rule, None)
    rule.delete()


def rule_for(channel: Channel, source: str) -> PromotionRule:
    """Return the channel's rule for a source. Raise HubError 404 if it has none."""
    rule = channel.promotion_rules.filter(source=source).first()
    if rule is None:
        raise not_found("no_such_promotion_rule", f"'{channel}' has no rule for promotions from '{source}'.")
    return rule


def _check_source(channel: Channel, source: str) -> None:
    """Raise HubError 422 for a text that no other channel is named. Whether it exists is not told."""
    if source == channel.name or not (source == ANY or CHANNEL.match(source)):
        raise unprocessable(
            "bad_promotion_rule",
            f"Found the source '{source}'; expected the name of another channel, or * for all others.",
        )


def _record(
    actor: Actor, channel: Channel, source: str, before: PromotionRule | None, after: PromotionRule | None
) -> None:
    was, now = (_described(rule) for rule in (before, after))
    if was != now:
        changes = {f"Promotions from {source}": {"from": was, "to": now}}
        log.record(Action.POLICY_CHANGE, by=actor, channel=channel, target=channel.name, detail={"changes": changes})


def _described(rule: PromotionRule | None) -> str:
    if rule is None:
        return "no rule"
    second = ", with a second person" if rule.needs_approval else ""
    attestations = ", with attestations for other channels" if rule.keeps_attestations else ""
    return f"by those with the right to {rule.needs}{second}{attestations}"
