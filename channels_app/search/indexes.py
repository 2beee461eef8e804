"""What makes searching fast, in the words of each database; migrations put it there.

PostgreSQL gets indexes. SQLite gets a full-text table beside each searched table, kept in step by triggers. Whatever
remakes the searched table on SQLite, as most of Django's alterations do, drops its triggers: such a migration ends with
`RunPython(search_tables.install, search_tables.remove)`. tests/search/test_search.py says so where one forgot.
"""

from dataclasses import dataclass
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor


@dataclass(frozen=True, slots=True)
class Searched:
    """A table with its column of prose beside `name`."""

    table: str
    prose: str

    @property
    def full_text(self) -> str:
        """SQLite's full-text table."""
        return f"{self.table}_search"


PACKAGES = Searched("channels_app_package", "summary")
CHANNELS = Searched("channels_app_channel", "description")

# Of one configuration, since nobody says in which language a summary is; the expression is the one of SearchVector.
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
# https://sqlite.org/fts5.html#external_content_tables: a row is forgotten by the values that it was known by.
FORGET = "INSERT INTO {search} ({search}, rowid, name, {prose}) VALUES ('delete', old.id, old.name, old.{prose})"
LEARN = "INSERT INTO {search} (rowid, name, {prose}) VALUES (new.id, new.name, new.{prose})"
SQLITE = (
    "CREATE VIRTUAL TABLE {search} USING fts5(name, {prose}, content={table}, content_rowid=id, tokenize=trigram)",
    "CREATE TRIGGER {search}_insert AFTER INSERT ON {table} BEGIN " + LEARN + "; END",
    "CREATE TRIGGER {search}_update AFTER UPDATE OF id, name, {prose} ON {table} BEGIN " + f"{FORGET}; {LEARN}; END",
    "CREATE TRIGGER {search}_delete AFTER DELETE ON {table} BEGIN " + FORGET + "; END",
    "INSERT INTO {search} ({search}) VALUES ('rebuild')",
)


def install(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put everything there, whatever there is already, and fill it from the rows that there are."""
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
