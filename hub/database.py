"""The connections to PostgreSQL, which the threads of a process share: held while something is asked."""

from collections.abc import Callable
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
    """A connection of the pool that the server has ended meanwhile is replaced before anything is asked.

    The pool's own check is a question to the server, a tenth of what a small answer costs. But on an idle connection
    nothing arrives except for its end, and whether that has arrived this machine knows.
    """
    if _is_pooled(connection) and _has_ended(connection.connection):
        connection.close()
        connection.connect()


def _has_ended(session: psycopg.Connection) -> bool:
    try:
        session.pgconn.consume_input()  # what the server said in the end
        session.pgconn.consume_input()  # its end
    except psycopg.OperationalError:
        session.close()
    return session.closed


def prepared() -> CursorWrapper:
    """A cursor for what is asked at every request: PostgreSQL plans it once a connection, by the text of the query.

    A query that names its columns: a plan of `*` would fail when a migration adds one.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.ensure_connection()
    cursor: CursorWrapper = connection._prepare_cursor(psycopg.Cursor(connection.connection))  # type: ignore[attr-defined]
    return cursor


def give_back() -> None:
    """Before something that may take long: another thread may use this one's connection; the next query takes one."""
    if _is_pooled(connection) and not connection.in_atomic_block:
        connection.close()


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    return bool(connection.settings_dict["OPTIONS"].get("pool"))


def connection_released(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """The same before a stream goes out, at the pace of whoever reads it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.streaming:
            give_back()
        return response

    return middleware
