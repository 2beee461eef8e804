"""Queries of downloads from one readable channel, each of which also checks that the access decision is current."""

from typing import Any, NamedTuple

from channels_app.access.revision import IS_CURRENT
from channels_app.models import Channel
from hub.database import prepared


class StaleDecision(Exception):  # noqa: N818
    """The cached access decision may no longer be current."""


class ChannelLookup(NamedTuple):
    """Queries for one readable channel. With `access_revision`, each also checks that the decision is current."""

    channel: Channel
    access_revision: int | None = None

    def row(self, sql: str, *values: str | int) -> tuple[Any, ...] | None:
        """Run `sql`, which must end in its WHERE clause, and return one row or None.

        Raise StaleDecision if there is no row and the access decision was cached.
        """
        if self.access_revision is not None:
            sql, values = f"{sql} AND {IS_CURRENT}", (*values, self.access_revision)
        with prepared() as cursor:
            cursor.execute(sql, values)
            row: tuple[Any, ...] | None = cursor.fetchone()
        if row is None and self.access_revision is not None:
            raise StaleDecision
        return row
