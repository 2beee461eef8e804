"""Tests of the exports of events: both formats, all rows, in batches, without formulas."""

import csv
import io
import json
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.activity import export, queries
from channels_app.audit import log
from channels_app.models import AuditEvent, Channel, User
from tests.pages import Response
from tests.rest.calls import by_key, by_session

pytestmark = pytest.mark.django_db

EXPORT = "channels/demo/activity/export"


def fill(channel: Channel, count: int) -> None:
    """Record events of which all have the same time, as those of one transaction."""
    log.record_each(Action.ARTIFACT_IMPORT, channel=channel, targets={f"file {n}": {} for n in range(count)})


def content(response: Response) -> str:
    assert response.streaming
    return b"".join(response.streaming_content).decode()


def json_rows(response: Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content(response).splitlines()]


def csv_rows(response: Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(response), newline="")))


def test_json_lines_have_every_event_of_the_list(channel: Channel, olga: User) -> None:
    log.record(Action.MEMBER_ADD, target="max", by=Actor(user=olga), channel=channel, detail={"role": "viewer"})
    fill(channel, 3)
    caller = by_key(olga, "read", "manage")
    answer = caller.get(EXPORT)
    assert answer.headers["Content-Type"] == "application/jsonl"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="demo-activity.jsonl"'
    assert answer.headers["Cache-Control"] == "private, no-store"
    rows, listed = json_rows(answer), caller.get("channels/demo/activity").json()["items"]
    assert [row["id"] for row in rows] == [event["id"] for event in listed]
    assert [row.keys() for row in rows] == [event.keys() for event in listed]
    assert (rows[-1]["actor"], rows[-1]["detail"]) == ("olga", {"role": "viewer"})


def test_csv_has_a_row_of_names_and_one_for_each_event(channel: Channel, olga: User) -> None:
    log.record(Action.MEMBER_ADD, target='a, "b"\nc', by=Actor(user=olga), channel=channel, detail={"role": "viewer"})
    answer = by_session(olga).get(f"{EXPORT}?format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    (row,) = csv_rows(answer)
    assert tuple(row) == export.COLUMNS
    assert (row["action"], row["actor"], row["key"], row["target"]) == ("member.add", "olga", "", 'a, "b"\nc')
    assert json.loads(row["detail"]) == {"role": "viewer"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_csv_cell_that_begins_like_a_formula_is_text(channel: Channel, olga: User, start: str) -> None:
    log.record(Action.MEMBER_ADD, target=f"{start}SUM(1)", channel=channel)
    (row,) = csv_rows(by_session(olga).get(f"{EXPORT}?format=csv"))
    assert row["target"] == f"'{start}SUM(1)"


def test_export_over_several_batches_has_each_event_once(
    channel: Channel, monkeypatch: pytest.MonkeyPatch, olga: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(export, "BATCH_ROWS", 10)
    fill(channel, 25)
    log.record(Action.POLICY_CHANGE, target="demo", channel=channel)
    with django_assert_num_queries(4):
        lines = "".join(export.json_chunks(queries.filtered(queries.of_channel(channel)))).splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(AuditEvent.objects.values_list("pk", flat=True))


def test_event_that_is_recorded_meanwhile_is_left_out(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH_ROWS", 2)
    fill(channel, 3)
    chunks = export.json_chunks(queries.of_channel(channel))
    first = next(chunks)
    fill(channel, 5)
    assert len((first + "".join(chunks)).splitlines()) == 3


def test_export_releases_its_connection_after_each_batch(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[bool] = []
    monkeypatch.setattr(export, "BATCH_ROWS", 2)
    monkeypatch.setattr(export, "release_connection", lambda: released.append(True))
    fill(channel, 3)
    assert len(list(export.json_chunks(queries.of_channel(channel)))) == len(released) == 2


def test_export_without_events_is_empty(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    assert content(caller.get(f"{EXPORT}?kind=teams")) == ""
    assert csv_rows(caller.get(f"{EXPORT}?kind=teams&format=csv")) == []
    assert content(caller.get("account/activity/export")) == ""
