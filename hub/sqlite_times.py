"""Comparisons of stored times with values on SQLite, which keeps times as text of different lengths.

The same time ends with milliseconds from `Now()`, and with microseconds or whole seconds from Python. Its shortest text
begins all others, so that none is less. Its longest text is not less than any.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, lookups

SECONDS = len("2026-01-31 12:00:00")
MICROSECONDS = len("2026-01-31 12:00:00.000000")


class _Comparison(lookups.FieldGetDbPrepValueMixin):
    def get_db_prep_lookup(self, value: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        sql, values = super().get_db_prep_lookup(value, connection)
        return sql, tuple(self.text(str(each)) for each in values) if connection.vendor == "sqlite" else values

    def text(self, value: str) -> str:
        """Return the text that compares as every text of this time."""
        raise NotImplementedError


class _ByShortestText(_Comparison):
    def text(self, value: str) -> str:
        return value if len(value) == SECONDS else value.rstrip("0").rstrip(".")


class _ByLongestText(_Comparison):
    def text(self, value: str) -> str:
        return (f"{value}." if len(value) == SECONDS else value).ljust(MICROSECONDS, "0")


@DateTimeField.register_lookup
class GreaterThanOrEqual(_ByShortestText, lookups.GreaterThanOrEqual):
    """Compare times by `__gte`."""


@DateTimeField.register_lookup
class LessThan(_ByShortestText, lookups.LessThan):
    """Compare times by `__lt`."""


@DateTimeField.register_lookup
class GreaterThan(_ByLongestText, lookups.GreaterThan):
    """Compare times by `__gt`."""


@DateTimeField.register_lookup
class LessThanOrEqual(_ByLongestText, lookups.LessThanOrEqual):
    """Compare times by `__lte`."""
