"""Copy of one database into another, SQLite or PostgreSQL: every row of every table, in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import environ
from django.apps import apps
from django.core.management.color import no_style
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model
from django.db.models.sql import InsertQuery

from channels_app.models import Channel, User

SOURCE = "source"
SCHEMES = ("sqlite:///", "postgres://", "postgresql://")
# Artifacts carry lists of their files: a batch of the largest is still some MiB.
ROWS_AT_ONCE = 200


class RefusedError(Exception):
    """The databases don't meet the conditions for a copy."""


@contextmanager
def connected(url: str) -> Iterator[str]:
    """Connect to the database at `url` and yield its alias, which is valid inside the block. Raise RefusedError."""
    if not url.startswith(SCHEMES):
        raise RefusedError(f"The URL of a database starts with {' or '.join(SCHEMES)}; this one does not.")
    config: dict[str, Any] = environ.Env.db_url_config(url)
    if url.startswith("sqlite") and not Path(config["NAME"]).is_file():
        raise RefusedError(f"There is no file {config['NAME']}; expected a hub's database.")
    connections.settings[SOURCE] = connections.configure_settings({DEFAULT_DB_ALIAS: {}, SOURCE: config})[SOURCE]
    try:
        yield SOURCE
    finally:
        connections[SOURCE].close()
        del connections[SOURCE]
        del connections.settings[SOURCE]


def copy_rows(source: str) -> dict[str, int]:
    """Copy every row from `source` into the default database. Return table → number of rows. Raise RefusedError."""
    check_same_migrations(source)
    check_unused()
    target = connections[DEFAULT_DB_ALIAS]
    # Foreign keys are checked at the end of the transaction, so the order of the tables does not matter.
    with _snapshot(source), transaction.atomic():
        _empty(target)
        counts = {model._meta.db_table: _copy_table(model, source) for model in _models()}
        for statement in target.ops.sequence_reset_sql(no_style(), _models()):
            with target.cursor() as cursor:
                cursor.execute(statement)
        target.check_constraints()
        _check_counts(counts)
    return counts


def check_same_migrations(source: str) -> None:
    ours, theirs = (set(MigrationRecorder(connections[alias]).applied_migrations()) for alias in ("default", source))
    if ours != theirs:
        app, name = min(ours ^ theirs)
        raise RefusedError(
            f"Only one of the two databases has the migration {app} {name}; run `manage.py migrate` on both."
        )


def check_unused() -> None:
    if User.objects.exists() or Channel.objects.exists():
        raise RefusedError(
            f"The database already has {User.objects.count()} users and {Channel.objects.count()} channels; "
            "expected a new database, migrated but not used by a hub yet."
        )


def _models() -> list[type[Model]]:
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]


@contextmanager
def _snapshot(source: str) -> Iterator[None]:
    """Read all tables from one snapshot, even during writes."""
    with transaction.atomic(using=source):
        if connections[source].vendor == "postgresql":
            with connections[source].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _empty(target: BaseDatabaseWrapper) -> None:
    """Delete all rows, including those that migrations added: the copied rows include them with the right ids."""
    tables = [model._meta.db_table for model in _models()]
    with target.cursor() as cursor:
        for statement in target.ops.sql_flush(no_style(), tables, reset_sequences=True):
            cursor.execute(statement)


def _copy_table(model: type[Model], source: str) -> int:
    target = connections[DEFAULT_DB_ALIAS]
    fields = model._meta.concrete_fields
    rows = model._base_manager.using(source).order_by("pk").iterator(chunk_size=ROWS_AT_ONCE)
    count = 0
    at_once = min(ROWS_AT_ONCE, target.ops.bulk_batch_size(fields, [None] * ROWS_AT_ONCE))
    while batch := list(islice(rows, at_once)):
        # raw=True skips the fields' pre_save, which would for example set the current time.
        query = InsertQuery(model)
        query.insert_values(fields, batch, raw=True)
        query.get_compiler(DEFAULT_DB_ALIAS).execute_sql()
        count += len(batch)
    return count


def _check_counts(counts: dict[str, int]) -> None:
    for model in _models():
        found = model._base_manager.using(DEFAULT_DB_ALIAS).count()
        if found != counts[model._meta.db_table]:
            raise RefusedError(f"{model._meta.db_table} has {found} rows; expected {counts[model._meta.db_table]}.")
