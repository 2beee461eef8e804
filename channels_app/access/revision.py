"""The access revision: a number in the database that rises when a right may have ended.

It lets processes cache access decisions: a decision is valid as long as the revision is the same. Triggers raise the
number in the transaction of every change that could end or narrow a right to read or to upload. Changes that only grant
rights don't raise it. On PostgreSQL the triggers are deferred to the commit. There the single row is locked for a
moment, so transactions can't deadlock on it.

As with search/indexes.py, a migration that recreates one of these tables on SQLite drops its triggers. Such a migration
ends with `RunPython(revision.install, revision.remove)`. tests/access/test_revision.py fails if that is missing.
"""

from typing import Any

from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from hub import database

# table: the columns whose change could end a right. The deletion of a row always could.
REVOKING_COLUMNS: dict[str, tuple[str, ...]] = {
    "channels_app_user": ("is_active", "is_superuser"),
    "channels_app_channel": (
        "name", "is_private", "deleted_at", "allow_overwrite", "allow_revision_3", "only_trusted_publishers",
        "require_attestation", "max_upload_bytes",
    ),
    "channels_app_member": ("channel_id", "user_id", "team_id", "role"),
    "channels_app_teammember": ("team_id", "user_id"),
    "channels_app_apikey": (
        "kind", "owner_id", "robot_of_id", "digest", "scopes", "all_channels", "package_globs", "expires_at",
        "revoked_at",
    ),
    "channels_app_apikey_channels": ("apikey_id", "channel_id"),
    "publishing_issuer": ("is_enabled",),
    "publishing_trustedpublisher": ("channel_id", "issuer_id", "may_read", "may_upload"),
    "publishing_trustedpublisher_keys": ("trustedpublisher_id", "apikey_id"),
    "allauth_idp_oidc_token": ("type", "hash", "client_id", "user_id", "scopes", "expires_at"),
}  # fmt: skip

BUMP = "UPDATE channels_app_accessrevision SET number = number + 1"
# A condition for queries; its parameter is the revision that is expected to be current.
IS_CURRENT = "EXISTS (SELECT 1 FROM channels_app_accessrevision WHERE number = %s)"

BUMP_FUNCTION = f"""
CREATE OR REPLACE FUNCTION bump_access_revision() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN {BUMP}; RETURN NULL; END $$
"""
POSTGRESQL = (
    "CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW {when} EXECUTE FUNCTION bump_access_revision()"
)
SQLITE = "CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when} BEGIN " + BUMP + "; END"


def current() -> int | None:
    """Return the current revision by one query; None if no decision may be cached.

    Return None inside a transaction: its snapshot may be rolled back, and its own changes raise the revision only at
    commit.
    """
    if connection.in_atomic_block:
        return None
    with database.prepared() as cursor:
        cursor.execute("SELECT number FROM channels_app_accessrevision")
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def is_current(number: int | None) -> bool:
    """Tell whether the revision is still `number`, by one query.

    It also works inside a transaction. None is never current.
    """
    if number is None:
        return False
    with database.prepared() as cursor:
        cursor.execute(f"SELECT {IS_CURRENT}", [number])  # nosec B608  # a constant
        return bool(cursor.fetchone()[0])


def bump() -> None:
    """Raise the revision at the end of a transaction that ends rights by a new row, which no trigger sees."""
    with connection.cursor() as cursor:
        cursor.execute(BUMP)


def install(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the row and every trigger; replace existing triggers."""
    remove(apps, schema_editor)
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    if is_postgresql:
        schema_editor.execute(BUMP_FUNCTION)
    for table, columns in REVOKING_COLUMNS.items():
        when = f"WHEN ({' OR '.join(_differs(column, is_postgresql) for column in columns)})"
        for event, condition in (("UPDATE", when), ("DELETE", "")):
            sql = POSTGRESQL if is_postgresql else SQLITE
            schema_editor.execute(sql.format(name=trigger(table, event), event=event, table=table, when=condition))
    schema_editor.execute("INSERT INTO channels_app_accessrevision (id, number) VALUES (1, 0) ON CONFLICT DO NOTHING")


def remove(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for table in REVOKING_COLUMNS:
        for event in ("UPDATE", "DELETE"):
            on = f" ON {table}" if is_postgresql else ""
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {trigger(table, event)}{on}")
    if is_postgresql:
        schema_editor.execute("DROP FUNCTION IF EXISTS bump_access_revision")


def trigger(table: str, event: str) -> str:
    return f"access_revision_{table}_{event.lower()}"


def _differs(column: str, is_postgresql: bool) -> str:
    return f"old.{column} {'IS DISTINCT FROM' if is_postgresql else 'IS NOT'} new.{column}"
