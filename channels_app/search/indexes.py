"""Search indexes of PostgreSQL and SQLite, created by migrations.

PostgreSQL gets indexes. SQLite gets a full-text table for each searched table, which triggers keep up to date. A
migration that recreates the searched table on SQLite, as most alterations by Django do, drops its triggers. Such a
migration ends with `RunPython(indexes.install, indexes.remove)`. tests/search/test_search.py fails if that is missing.
"""

from dataclasses import dataclass
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """A searched table, and its text column beside `name`."""

    table: str
    prose: str

    @property
    def full_text(self) -> str:
        """Return the name of SQLite's full-text table."""
        return f"{self.table}_search"


PACKAGES = SearchIndex("channels_app_package", "summary")
CHANNELS = SearchIndex("channels_app_channel", "description")

# The 'simple' configuration: the language of a summary is unknown. The expression equals that of SearchVector.
POSTGRESQL = """
CREATE INDEX {table}_name_trigrams ON {table} USING gin (name gin_trgm_ops);
CREATE INDEX {table}_words ON {table} USING gin (to_tsvector('simple'::regconfig, COALESCE({prose}, '')))
"""
NOT_POSTGRESQL = "DROP INDEX IF EXISTS {table}_name_trigrams; DROP INDEX IF EXISTS {table}_words"

NOT_SQLITE = """
DROP TRIGGER IF EXISTS {search}_insert;
DROP TRIGGER IF EXISTS {search}_update;
DROP TRIGGER IF EXISTS {search}_delete;
DROP TABLE IF EXISTS {search}
"""
# https://sqlite.org/fts5.html#external_content_tables: a row is removed by the values that it was indexed with.
DELETE = "INSERT INTO {search} ({search}, rowid, name, {prose}) VALUES ('delete', old.id, old.name, old.{prose})"
INSERT = "INSERT INTO {search} (rowid, name, {prose}) VALUES (new.id, new.name, new.{prose})"
SQLITE = (
    "CREATE VIRTUAL TABLE {search} USING fts5(name, {prose}, content={table}, content_rowid=id, tokenize=trigram)",
    "CREATE TRIGGER {search}_insert AFTER INSERT ON {table} BEGIN " + INSERT + "; END",
    "CREATE TRIGGER {search}_update AFTER UPDATE OF id, name, {prose} ON {table} BEGIN " + f"{DELETE}; {INSERT}; END",
    "CREATE TRIGGER {search}_delete AFTER DELETE ON {table} BEGIN " + DELETE + "; END",
    "INSERT INTO {search} ({search}) VALUES ('rebuild')",
)


def install(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the indexes, replace existing ones, and fill them from the rows."""
    remove(apps, schema_editor)
    if schema_editor.connection.vendor == "postgresql":
        _execute(schema_editor, *POSTGRESQL.split(";"))
    else:
        _execute(schema_editor, *SQLITE)


def remove(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    statements = NOT_POSTGRESQL if schema_editor.connection.vendor == "postgresql" else NOT_SQLITE
    _execute(schema_editor, *statements.split(";"))


def _execute(schema_editor: BaseDatabaseSchemaEditor, *statements: str) -> None:
    for searched in (PACKAGES, CHANNELS):
        for statement in statements:
            schema_editor.execute(
                statement.format(table=searched.table, prose=searched.prose, search=searched.full_text)
            )
