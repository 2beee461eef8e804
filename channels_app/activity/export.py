"""Exports of the audit log as JSON Lines and CSV.

Rows are read and sent in batches, each with a query of its own. So an export holds neither all rows in memory nor a
database connection while its reader is slow. An event that is recorded during the export is not part of it.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse

from channels_app.models import AuditEvent
from hub.database import release_connection

Format = Literal["jsonl", "csv"]
BATCH_ROWS = 1000
COLUMNS = ("id", "created_at", "action", "actor", "key", "channel", "target", "detail")
MEDIA_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
# Spreadsheets run a cell as a formula if it begins with one of these (OWASP, CSV Injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def response(events: QuerySet[AuditEvent], file_format: Format, name: str) -> StreamingHttpResponse:
    """Stream all of `events`, newest first, as the file `<name>-activity.<format>`."""
    chunks = csv_chunks(events) if file_format == "csv" else json_chunks(events)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}-activity.{file_format}"',
        "Cache-Control": "private, no-store",
    }
    return StreamingHttpResponse(chunks, content_type=MEDIA_TYPES[file_format], headers=headers)


def query(**filters: str | datetime | None) -> str:
    """Return the query of an export's URL, without the filters that are empty."""
    given = {name: value for name, value in filters.items() if value}
    return urlencode({name: _in_utc(value) if isinstance(value, datetime) else value for name, value in given.items()})


def json_chunks(events: QuerySet[AuditEvent]) -> Iterator[str]:
    for batch in _batches(events):
        yield "".join(json.dumps(row) + "\n" for row in batch)


def csv_chunks(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield a row of names, and a row for each event. `detail` is JSON."""
    yield _csv([COLUMNS])
    for batch in _batches(events):
        yield _csv([_cell(value) for value in row.values()] for row in batch)


def _batches(events: QuerySet[AuditEvent]) -> Iterator[list[dict[str, Any]]]:
    """Yield rows as dictionaries by COLUMNS."""
    rows = events.order_by("-pk").values_list(
        *("pk", "created_at", "action", "actor__username", "key__name", "channel__name", "target", "detail")
    )
    following = Q()
    while batch := list(rows.filter(following)[:BATCH_ROWS]):
        release_connection()
        yield [dict(zip(COLUMNS, row, strict=True), created_at=_in_utc(row[1])) for row in batch]
        following = Q(pk__lt=batch[-1][0])


def _in_utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _cell(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value)
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
