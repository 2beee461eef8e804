"""Package names of an upstream: their records are stored, checked as clients read them, and judged by the rules."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.audit import log
from hub.plain_text import one_line
from publishing.index import canary, marks, repodata, upstream_records
from publishing.index.upstream_records import NameRecords, Record
from publishing.models import CachedFile, SubdirIndex, Upstream, UpstreamName, UpstreamSubdir
from publishing.upstreams import filtering, judging, listing, records
from publishing.upstreams.judging import Rules

LISTED_MAX = 20
REASON_MAX_CHARACTERS = 300
# A first poll that fails goes on with the next one. Later records count as new, even if it never ends.
FIRST_SYNC_MAX = timedelta(days=1)
JUDGED = ("hidden", "waiting_count", "filtered_count", "held_count", "due_at")
STORED = ("upstream_hash", "records", "first_seen", "record_count", *JUDGED, *listing.COLUMNS)

logger = logging.getLogger(__name__)


class UpstreamRecords(NamedTuple):
    """The records of a name as the upstream states them, with their hash; both are empty if it has none."""

    name: str
    digest: str
    raw: Mapping[str, Any]


def due(channel_id: int, now: datetime) -> QuerySet[UpstreamName]:
    """Select the names that are to be judged again."""
    return UpstreamName.objects.filter(index__channel=channel_id, due_at__lte=now)


def rules_of(upstream: Upstream, state: UpstreamSubdir | None, subdir: str) -> Rules:
    filters = filtering.texts(upstream.filters)
    return Rules(
        subdir,
        upstream.cooldown_days * judging.DAY_MS,
        [glob for glob, _ in upstream.exceptions],
        _ms(state.first_sync_at) if state else 0,
        filters.compiled(),
        (filters.max_age_days or 0) * judging.DAY_MS,
        filters.newest_versions or 0,
    )


def store(upstream: Upstream, state: UpstreamSubdir, index: SubdirIndex, batch: Sequence[UpstreamRecords]) -> None:
    """Store the records of names, judge them, and mark the names stale."""
    now, rules = timezone.now(), rules_of(upstream, state, index.subdir)
    is_first_sync = not state.is_synced and now < state.first_sync_at + FIRST_SYNC_MAX
    found = {name: records.checked(name, raw) for name, _, raw in batch}
    _leave_out_unreadable(index.subdir, list(found.values()), _ms(now))
    with transaction.atomic():
        # Locked, because a changed record may be accepted meanwhile.
        known = index.upstream_names.select_for_update(of=("self",)).filter(name__in=found).defer("records")
        before = {row.name: row for row in known.order_by("pk")}
        rows = []
        for name, digest, _ in batch:
            row = before.get(name) or UpstreamName(index=index, name=name)
            was_changed = _changed(row)
            row.upstream_hash, row.records = digest, upstream_records.pack(found[name])
            row.record_count = len(found[name].records)
            row.first_seen = judging.seen(
                row.first_seen,
                found[name].records,
                _ms(state.first_sync_at if is_first_sync else now),
                is_first_sync=is_first_sync,
            )
            _judge(row, found[name], rules, now)
            listing.describe(row, found[name].records)
            _tell(upstream, index, _changed(row) - was_changed)
            rows.append(row)
        UpstreamName.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["index", "name"], update_fields=STORED
        )
        listing.refresh(upstream.channel, found)
        _show_or_hide_cached(upstream, index, found, rows)
        marks.mark_stale(upstream.channel, index.subdir, list(found))


@transaction.atomic
def judge_again(upstream: Upstream, state: UpstreamSubdir | None, index: SubdirIndex, ids: Sequence[int]) -> None:
    """Judge names by the current rules and time. Those of which the listed records change are marked stale.

    `ids`: the primary keys of UpstreamName.
    """
    now, stale, described = timezone.now(), [], []
    rows = list(index.upstream_names.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))
    rules = rules_of(upstream, state, index.subdir)
    found = {row.name: upstream_records.unpack(row.records) for row in rows}
    for row in rows:
        before = row.hidden
        _judge(row, found[row.name], rules, now)
        if row.hidden.keys() != before.keys():
            stale.append(row.name)
        if listing.describe(row, found[row.name].records):
            described.append(row)
    _save_judged(rows)
    listing.save(described)
    listing.refresh(upstream.channel, [row.name for row in described])
    _show_or_hide_cached(upstream, index, found, rows)
    marks.mark_stale(upstream.channel, index.subdir, stale)


def _judge(row: UpstreamName, found: NameRecords, rules: Rules, now: datetime) -> None:
    row.hidden = judging.hidden(row.name, found.records, row.first_seen, rules, _ms(now))
    reasons = Counter(reason for reason, _ in row.hidden.values())
    row.waiting_count, row.filtered_count = reasons[judging.WAITING], reasons[judging.FILTERED]
    row.held_count = reasons[judging.CHANGED] + len(found.left_out)
    due_ms = judging.due_ms(found.records, row.first_seen, row.hidden, rules)
    row.due_at = datetime.fromtimestamp(due_ms / 1000, UTC) if due_ms else None


def _save_judged(rows: Sequence[UpstreamName]) -> None:
    """Save the columns JUDGED, of rows that are alike by one query: bulk_update() takes ten times as long."""
    alike = defaultdict[str, list[UpstreamName]](list)
    for row in rows:
        alike[repr([getattr(row, column) for column in JUDGED])].append(row)
    for group in alike.values():
        values = {column: getattr(group[0], column) for column in JUDGED}
        UpstreamName.objects.filter(pk__in=[row.pk for row in group]).update(**values)


def _show_or_hide_cached(
    upstream: Upstream, index: SubdirIndex, found: Mapping[str, NameRecords], rows: Sequence[UpstreamName]
) -> None:
    """Let the cache serve exactly the listed files. The rows are locked, so a fetch that ends now sees them."""
    hidden = {row.name: row.hidden for row in rows}
    cached = CachedFile.objects.filter(channel=upstream.channel, subdir=index.subdir, name__in=hidden)
    for file in cached:
        package = repodata.SIDECAR.sub(r"\1", file.file_name)
        is_listed = package in found[file.name].records and package not in hidden[file.name]
        if is_listed != file.is_listed:
            CachedFile.objects.filter(pk=file.pk).update(is_listed=is_listed)


def _changed(row: UpstreamName) -> set[str]:
    return {file_name for file_name, (reason, _) in row.hidden.items() if reason == judging.CHANGED}


def _tell(upstream: Upstream, index: SubdirIndex, changed: set[str]) -> None:
    if changed:
        files = ", ".join(sorted(changed)[:LISTED_MAX])
        detail = {"files": files, "number": len(changed)}
        log.record(Action.UPSTREAM_HOLD, channel=upstream.channel, target=index.folder, detail=detail)


def _leave_out_unreadable(subdir: str, found: Sequence[NameRecords], now_ms: int) -> None:
    """Leave out the records that clients can't read. They are parsed together, and one by one only after a failure."""
    if _fault(subdir, [entry for each in found for entry in each.records.items()], now_ms):
        for each in found:
            for entry in list(each.records.items()):
                if reason := _fault(subdir, [entry], now_ms):
                    logger.warning("%s/%s can't be read by clients: %s", subdir, entry[0], reason)
                    each.left_out[entry[0]] = reason
                    del each.records[entry[0]]


def _fault(subdir: str, entries: Sequence[tuple[str, Record]], now_ms: int) -> str:
    """Return why clients can't read the records, or an empty string."""
    try:
        rows = [upstream_records.UpstreamRow.of(subdir, file_name, record, now_ms) for file_name, record in entries]
        canary.parse_as_clients(subdir, [upstream_records.entry(row) for row in rows])
    except canary.MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001  a client's parser may raise any exception
        return one_line(f"{type(error).__name__}: {error}")[:REASON_MAX_CHARACTERS]
    return ""


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
