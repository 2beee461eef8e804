"""PostgreSQL connections from the pool that the threads of a process share."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.backends.utils import CursorWrapper
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase


@receiver(connection_created)
def replace_ended(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Replace a pooled connection that the server has closed, before the first query.

    The pool's own check sends a query, which costs a tenth of a small response. But an idle connection receives only
    its end, and this machine knows whether that has arrived.
    """
    if _is_pooled(connection) and _has_ended(connection.connection):
        connection.close()
        connection.connect()


def _has_ended(session: psycopg.Connection) -> bool:
    try:
        session.pgconn.consume_input()  # the server's last message
        session.pgconn.consume_input()  # the end of the stream
    except psycopg.OperationalError:
        session.close()
    return session.closed


def prepared() -> CursorWrapper:
    """Return a cursor for a query of every request: PostgreSQL plans it once per connection, by its text.

    The query must name its columns: a plan of `*` would fail after a migration adds one.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.ensure_connection()
    make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    return make(psycopg.Cursor(connection.connection))  # type: ignore[arg-type]  # the stubs name Django's wrapper


def moment(text: str | None) -> datetime | None:
    """Convert a time that was selected as text. PostgreSQL's has its zone, SQLite's is in UTC."""
    if not text:
        return None
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def release_connection() -> None:
    """Return this thread's connection to the pool before slow I/O. The next query takes one again."""
    if _is_pooled(connection) and not connection.in_atomic_block:
        connection.close()


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    return bool(connection.settings_dict["OPTIONS"].get("pool"))


def connection_released(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return the connection to the pool before a streaming response, which lasts as long as its reader takes."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.streaming:
            release_connection()
        return response

    return middleware
