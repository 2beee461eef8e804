"""`manage.py restore FOLDER [--overwrite | --only-store]`: a hub out of a backup, its indexes made anew."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from hub import commands
from hub.storage import StoreError
from publishing.transfer import backups
from publishing.transfer.backups import BackupError


class Command(commands.Command):
    help = "Restore the backup in FOLDER into this hub, which must be stopped, and make its indexes anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--overwrite", action="store_true", help="even though this hub has users or channels")
        what.add_argument("--only-store", action="store_true", help="the packages, where the database is not lost")

    def handle(self, **options: Any) -> None:
        choices = {"overwrite": options["overwrite"], "only_store": options["only_store"]}
        try:
            for line in backups.restore(options["folder"], **choices):
                self.stdout.write(line)
        except (BackupError, StoreError, OSError) as error:
            raise CommandError(f"The restore did not end. {error}") from None
        self.stdout.write("Restored. Now run `manage.py verify --hash`, then start the hub.")
