"""`manage.py backup FOLDER [--without-store]`: back up the database, packages and secrets of a running hub."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from hub import commands
from hub.storage import StoreError
from publishing.transfer import backups
from publishing.transfer.backups import BackupError


class Command(commands.Command):
    help = (
        "Save the database, the packages and the secrets in FOLDER. Packages that it already has are not copied again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--without-store", action="store_true", help="don't copy the packages; for a bucket with its own backup"
        )

    def handle(self, **options: Any) -> None:
        try:
            for line in backups.backup(options["folder"], with_store=not options["without_store"]):
                self.stdout.write(line)
        except (BackupError, StoreError, OSError) as error:
            raise CommandError(f"The backup is not complete. {error}") from None
        self.stdout.write(
            f"The backup in {options['folder']} is complete. It holds secrets: keep it as safe as the hub."
        )
