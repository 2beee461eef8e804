"""`manage.py movedatabase --from URL`: copy every row of another database into the configured, new database."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from hub import commands
from publishing.transfer import database_copy
from publishing.transfer.database_copy import RefusedError


class Command(commands.Command):
    help = (
        "Copy every row of the database at URL into the one of DATABASE_URL, which must be migrated and unused. "
        "Stop the hub first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        url_help = "in the form of DATABASE_URL; the password may be in PGPASSWORD or ~/.pgpass instead"
        parser.add_argument("--from", required=True, dest="url", metavar="URL", help=url_help)

    def handle(self, **options: Any) -> None:
        try:
            with database_copy.connected(options["url"]) as source:
                counts = database_copy.copy_rows(source)
        except (RefusedError, DatabaseError) as error:
            raise CommandError(f"Nothing was copied. {str(error).splitlines()[0]}") from None
        for table, count in counts.items():
            if count:
                self.stdout.write(f"{table:45} {count:>12,}")
        self.stdout.write(f"{sum(counts.values()):,} rows of {len(counts)} tables are copied.")
