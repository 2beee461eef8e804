"""Patterns of names, compared by the database: `*` stands for any text, `?` for one character."""

from typing import Any

from django.db.models import Lookup

LIKE = str.maketrans({"!": "!!", "%": "!%", "_": "!_", "*": "%", "?": "_"})
# SQLite's GLOB also reads sets of characters in brackets. Its LIKE ignores case.
GLOB = str.maketrans({"[": "[[]"})


class Matches(Lookup):
    """A condition: the text on the left matches the pattern on the right, with regard to case."""

    lookup_name = "matches"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        text, parameters = self.process_lhs(compiler, connection)
        return f"{text} LIKE %s ESCAPE '!'", (*parameters, str(self.rhs).translate(LIKE))

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        text, parameters = self.process_lhs(compiler, connection)
        return f"{text} GLOB %s", (*parameters, str(self.rhs).translate(GLOB))
