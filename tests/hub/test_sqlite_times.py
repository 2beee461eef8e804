"""Comparisons of times that the database and Python have stored."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from channels_app.models import AuditEvent

pytestmark = pytest.mark.django_db
TIME = datetime(2026, 1, 31, 12, 0, 59, tzinfo=UTC)


def texts(time: datetime) -> list[str]:
    """Return the texts of a time that SQLite can have: of Python, of Now() and of a time without a fraction."""
    text = f"{time:%Y-%m-%d %H:%M:%S.%f}"
    shorter = [text[:-3]] * text.endswith("000") + [text[:-7]] * text.endswith("000000")
    return [text, *shorter] if connection.vendor == "sqlite" else [text]


@pytest.mark.parametrize("microseconds", [0, 1_000, 123_000, 500_000, 123_456, 999_999])
def test_comparison_with_a_time_finds_each_text_of_it(microseconds: int) -> None:
    time = TIME + timedelta(microseconds=microseconds)
    for text in texts(time):
        event = AuditEvent.objects.create(action="member.add")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE channels_app_auditevent SET created_at = %s WHERE id = %s", [text, event.pk])
        for other in (time - timedelta(microseconds=1), time, time + timedelta(microseconds=1)):
            found = {
                name: AuditEvent.objects.filter(pk=event.pk, **{f"created_at__{name}": other}).exists()
                for name in ("gt", "gte", "lt", "lte")
            }
            expected = {"gt": time > other, "gte": time >= other, "lt": time < other, "lte": time <= other}
            assert found == expected, (text, other)
