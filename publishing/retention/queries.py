"""Reads of retention."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta

from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, DailyDownloads, Label, Removal, RetentionRemoval, RetentionRule
from channels_app.packages.packages import moment
from channels_app.packages.queries import LISTED
from hub.errors import not_found
from publishing.retention import choice
from publishing.retention.choice import Choice, File
from publishing.retention.rules import Rule

COLUMNS = (
    *("id", "subdir", "file_name", "version", "build", "build_number", "size_bytes"),
    *("indexed_timestamp", "removed_at", "is_main"),
)
Yanks = Mapping[int, Mapping[int, datetime]]


def stored(channel: Channel) -> QuerySet[RetentionRule]:
    """Select the rules of the channel, in the order in which they choose."""
    return RetentionRule.objects.filter(channel=channel).select_related("channel", "created_by").order_by("pk")


def due(night: datetime) -> Q:
    """Return the condition of rules that wait for this night's run.

    A run that lies more than a day ahead was recorded by a clock that was wrong.
    """
    return Q(ran_at__lt=night) | Q(ran_at__gt=timezone.now() + timedelta(days=1))


def rule_of(channel: Channel, rule_id: int) -> RetentionRule:
    """Return a rule of the channel. Raise HubError 404 if it has none with this id."""
    rule = stored(channel).filter(pk=rule_id).first()
    if rule is None:
        raise not_found("no_such_rule", f"'{channel}' has no retention rule {rule_id} (any more).")
    return rule


def as_rule(row: RetentionRule) -> Rule:
    return Rule(**{field.name: getattr(row, field.name) for field in fields(Rule)})


def choices(channel: Channel, rules: Sequence[Rule], at: datetime, *, names: Collection[str] = ()) -> Iterator[Choice]:
    """Choose among the files of the channel, or of these names, by three queries; by four if a rule asks for labels."""
    return choice.choose(_files(channel, rules, at, names), rules, at)


def _files(channel: Channel, rules: Sequence[Rule], at: datetime, names: Collection[str]) -> Iterator[File]:
    yanks = _yanks(channel)
    downloads = _last_downloads(channel, rules, at)
    labels = _labels(channel) if any(rule.needs_labels for rule in rules) else {}
    yanked = Q(removal=Removal.YANKED, pk__in=RetentionRemoval.objects.filter(rule__channel=channel).values("artifact"))
    found = Artifact.objects.filter(LISTED | yanked, channel=channel)
    if names:
        found = found.filter(package__name__in=names)
    rows = found.order_by("package__name", "subdir", "pk").values(*COLUMNS, name=F("package__name"))
    for row in rows.iterator():
        published_at, is_main = moment(row.pop("indexed_timestamp")), row.pop("is_main")
        counted_since = max(published_at, channel.created_at).date()
        used_on = max(downloads.get(row["id"], counted_since), counted_since)
        others = labels.get(row["id"], frozenset())
        yield File(
            **row,
            published_at=published_at,
            used_on=used_on,
            yanks=yanks.get(row["id"], {}),
            labels=others | {MAIN_LABEL} if is_main else others,
        )


def _labels(channel: Channel) -> dict[int, frozenset[str]]:
    """Return artifact → its labels other than main."""
    found: dict[int, set[str]] = defaultdict(set)
    rows = Label.artifacts.through.objects.filter(label__channel=channel)
    for artifact_id, name in rows.values_list("artifact", "label__name").iterator():
        found[artifact_id].add(name)
    return {artifact_id: frozenset(names) for artifact_id, names in found.items()}


def _yanks(channel: Channel) -> Yanks:
    """Return artifact → rule → the time of its last yank, unless the artifact has other bytes now."""
    found: dict[int, dict[int, datetime]] = defaultdict(dict)
    removals = RetentionRemoval.objects.filter(rule__channel=channel, sha256=F("artifact__sha256"))
    for artifact_id, rule_id, yanked_at in removals.values_list("artifact", "rule", "yanked_at").iterator():
        found[artifact_id][rule_id] = yanked_at
    return found


def _last_downloads(channel: Channel, rules: Sequence[Rule], at: datetime) -> dict[int, date]:
    """Return artifact → day of its last download, as far back as the rules ask."""
    asked_days = max((rule.unused_days for rule in rules if rule.unused_days), default=None)
    if asked_days is None:
        return {}
    since = at.date() - timedelta(days=asked_days + 1)
    found = DailyDownloads.objects.filter(artifact__channel=channel, day__gte=since)
    return dict(found.order_by().values_list("artifact").annotate(Max("day")))
