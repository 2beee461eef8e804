"""When rights may have ended: a number in the database that triggers raise, so that decisions can be remembered.

Whatever could end or narrow somebody's right to read or to upload raises it within its own transaction, whoever changes
the row and however: to compare the number is to know that a decision still stands. What only gives rights does not
raise it. On PostgreSQL the triggers wait for the commit, where the one row is held for a moment and no two transactions
wait for each other.

As with search_tables.py, whatever remakes one of these tables on SQLite drops its triggers: such a migration ends with
`RunPython(access_epoch.install, access_epoch.remove)`. tests/access/test_revision.py says so where one forgot.
"""

from typing import Any

from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from hub import database

# table: the columns whose change could end a right; that of a row's deletion always could
NARROWING: dict[str, tuple[str, ...]] = {
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

BUMP = "UPDATE channels_app_accessepoch SET number = number + 1"
# A condition for queries; its value is the epoch that should still be the current one.
IS_CURRENT = "EXISTS (SELECT 1 FROM channels_app_accessepoch WHERE number = %s)"

RAISE_FUNCTION = f"""
CREATE OR REPLACE FUNCTION raise_access_epoch() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN {BUMP}; RETURN NULL; END $$
"""
POSTGRESQL = (
    "CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW {when} EXECUTE FUNCTION raise_access_epoch()"
)
SQLITE = "CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when} BEGIN " + BUMP + "; END"


def current() -> int | None:
    """The number as it is now, by one query; None where nothing may be remembered.

    So it is within a transaction: what that sees may never be, and what it changes raises the number only at its end.
    """
    if connection.in_atomic_block:
        return None
    with database.prepared() as cursor:
        cursor.execute("SELECT number FROM channels_app_accessepoch")
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def is_current(number: int | None) -> bool:
    """Whether the number is still this one, by one query, within a transaction, too; None is never."""
    if number is None:
        return False
    with database.prepared() as cursor:
        cursor.execute(f"SELECT {IS_CURRENT}", [number])  # nosec B608  # a constant
        return bool(cursor.fetchone()[0])


def install(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put the row and every trigger there, whatever there is already."""
    remove(apps, schema_editor)
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    if is_postgresql:
        schema_editor.execute(RAISE_FUNCTION)
    for table, columns in NARROWING.items():
        when = f"WHEN ({' OR '.join(_differs(column, is_postgresql) for column in columns)})"
        for event, condition in (("UPDATE", when), ("DELETE", "")):
            sql = POSTGRESQL if is_postgresql else SQLITE
            schema_editor.execute(sql.format(name=trigger(table, event), event=event, table=table, when=condition))
    schema_editor.execute("INSERT INTO channels_app_accessepoch (id, number) VALUES (1, 0) ON CONFLICT DO NOTHING")


def remove(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for table in NARROWING:
        for event in ("UPDATE", "DELETE"):
            on = f" ON {table}" if is_postgresql else ""
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {trigger(table, event)}{on}")
    if is_postgresql:
        schema_editor.execute("DROP FUNCTION IF EXISTS raise_access_epoch")


def trigger(table: str, event: str) -> str:
    """A trigger's name."""
    return f"access_epoch_{table}_{event.lower()}"


def _differs(column: str, is_postgresql: bool) -> str:
    return f"old.{column} {'IS DISTINCT FROM' if is_postgresql else 'IS NOT'} new.{column}"
