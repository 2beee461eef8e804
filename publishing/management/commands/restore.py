"""`manage.py restore FOLDER [--overwrite | --only-store]`: restore a hub from a backup and rebuild its indexes."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from hub import commands
from hub.storage import StoreError
from publishing.transfer import backups
from publishing.transfer.backups import BackupError


class Command(commands.Command):
    help = "Restore the backup in FOLDER into this hub, which must be stopped, and rebuild its indexes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        extent = parser.add_mutually_exclusive_group()
        extent.add_argument("--overwrite", action="store_true", help="replace the users and channels of this hub")
        extent.add_argument("--only-store", action="store_true", help="restore only the packages, keep the database")

    def handle(self, **options: Any) -> None:
        choices = {"overwrite": options["overwrite"], "only_store": options["only_store"]}
        try:
            for line in backups.restore(options["folder"], **choices):
                self.stdout.write(line)
        except (BackupError, StoreError, OSError) as error:
            raise CommandError(f"The restore is not complete. {error}") from None
        self.stdout.write("Restored. Now run `manage.py verify --hash`, then start the hub.")
