"""Reads of upstream channels: their state, their cached files, and their hidden records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from channels_app.models import Channel
from publishing.index import upstream_records
from publishing.index.upstream_records import Record
from publishing.models import CachedFile, Upstream, UpstreamName
from publishing.upstreams import judging

# An upstream whose polls have failed for this time is stale.
STALE_AFTER = timedelta(hours=1)
NAMES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class UpstreamCounts:
    """Sums over an upstream channel. `waiting`: records in cooldown; `filtered`: hidden by
    filters; `held`: hidden for another reason."""

    names: int
    records: int
    waiting: int
    filtered: int
    held: int
    cached_files: int
    cached_bytes: int


@dataclass(frozen=True, slots=True)
class HiddenRecord:
    """A record that the channel does not list. `until`: when its cooldown ends; else `text` says why it is hidden.

    `sha256` is that of a changed record, `first_sha256` the one that the hub first saw; else both are empty.
    """

    subdir: str
    file_name: str
    reason: str
    until: datetime | None
    text: str
    first_sha256: str = ""
    sha256: str = ""


def counts(channel: Channel) -> UpstreamCounts:
    """Return the sums, by two queries."""
    found = UpstreamName.objects.filter(index__channel=channel).aggregate(
        names=Count("name", distinct=True, filter=Q(record_count__gt=0)),
        records=Sum("record_count", default=0),
        waiting=Sum("waiting_count", default=0),
        filtered=Sum("filtered_count", default=0),
        held=Sum("held_count", default=0),
    )
    cached = CachedFile.objects.filter(channel=channel).aggregate(
        cached_files=Count("pk"), cached_bytes=Sum("size_bytes", default=0)
    )
    return UpstreamCounts(**found, **cached)


def hidden_names(channel: Channel) -> QuerySet[UpstreamName]:
    """Select the names with records that are hidden for another reason than filters."""
    is_hidden = Q(waiting_count__gt=0) | Q(held_count__gt=0)
    return UpstreamName.objects.filter(is_hidden, index__channel=channel).select_related("index")


def filtered_names(channel: Channel) -> QuerySet[UpstreamName]:
    """Select the names with records that the filters hide."""
    return UpstreamName.objects.filter(index__channel=channel, filtered_count__gt=0).select_related("index")


def stale() -> QuerySet[Upstream]:
    """Select the upstreams whose polls have failed for long."""
    failing = Upstream.objects.filter(channel__deleted_at=None, failing_since__lt=timezone.now() - STALE_AFTER)
    return failing.select_related("channel")


def lag_s(now: datetime) -> dict[str, float]:
    """Return channel → seconds since the last successful poll."""
    rows = Upstream.objects.filter(channel__deleted_at=None, succeeded_at__isnull=False)
    found: dict[str, Any] = dict(rows.values_list("channel__name", "succeeded_at"))
    return {name: (now - at).total_seconds() for name, at in found.items()}


def hidden_records(row: UpstreamName) -> list[HiddenRecord]:
    """Return the hidden records of a name, also those that can't be used: those that owners may accept first."""
    stored = upstream_records.unpack(row.records)
    found = [_hidden(row, stored.records, file_name, *reason) for file_name, reason in sorted(row.hidden.items())]
    found += [HiddenRecord(row.index.subdir, each, "unusable", None, text) for each, text in stored.left_out.items()]
    return sorted(found, key=lambda record: (record.reason != judging.CHANGED, record.reason == judging.FILTERED))


def _hidden(
    row: UpstreamName, found: Mapping[str, Record], file_name: str, reason: str, text: str | int
) -> HiddenRecord:
    is_changed = reason == judging.CHANGED
    hashes = (row.first_seen[file_name][0], found[file_name]["sha256"]) if is_changed else ("", "")
    why, shown, until = hidden_reason(reason, text)
    return HiddenRecord(row.index.subdir, file_name, why, until, shown, *hashes)


def hidden_reason(reason: str, text: str | int) -> tuple[str, str, datetime | None]:
    """Return a value of the column `hidden` as the reason, a sentence, and when a cooldown ends."""
    if reason == judging.WAITING:
        return reason, "It is too new.", datetime.fromtimestamp(int(text) / 1000, UTC)
    return reason, str(text), None


def hidden_counts() -> dict[str, int]:
    """Return the hidden records of all channels: `waiting` for a cooldown, `filtered`, or `held` for another reason."""
    # Two queries, because each has an index of the few rows that it reads.
    hidden = UpstreamName.objects.filter(Q(waiting_count__gt=0) | Q(held_count__gt=0))
    found: dict[str, int] = hidden.aggregate(waiting=Sum("waiting_count", default=0), held=Sum("held_count", default=0))
    filtered = UpstreamName.objects.filter(filtered_count__gt=0)
    return found | filtered.aggregate(filtered=Sum("filtered_count", default=0))


def cached_bytes() -> int:
    total: int = CachedFile.objects.aggregate(total=Sum("size_bytes", default=0))["total"]
    return total
