"""The triggers of migrations 0009 and 0010, as they were: migration 0019 replaces them."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# table: the columns whose change could end a right. The deletion of a row always could.
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

RAISE_FUNCTION = f"""
CREATE OR REPLACE FUNCTION raise_access_epoch() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN {BUMP}; RETURN NULL; END $$
"""
POSTGRESQL = (
    "CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW {when} EXECUTE FUNCTION raise_access_epoch()"
)
SQLITE = "CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW {when} BEGIN " + BUMP + "; END"


def install(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the row and every trigger; replace existing triggers."""
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
    return f"access_epoch_{table}_{event.lower()}"


def _differs(column: str, is_postgresql: bool) -> str:
    return f"old.{column} {'IS DISTINCT FROM' if is_postgresql else 'IS NOT'} new.{column}"
