"""`manage.py movestore --to s3|filesystem`: copy the store into the other kind of store, without changes to it."""

from argparse import ArgumentParser
from typing import Any, cast

from django.conf import settings
from django.core.files.storage import storages
from django.core.management.base import CommandError

from hub import commands
from hub.storage import Store, StoreError
from hub.storage.checks import check
from hub.storage.probes import ProbeOutcome
from publishing.transfer.store_copy import Totals, copy

OTHER = {"s3": "filesystem", "filesystem": "s3"}


class Command(commands.Command):
    help = (
        "Copy the store of this hub into the other kind of store. You can run it repeatedly while the hub runs; "
        "stop the hub for the last run. Nothing is removed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--to", required=True, choices=sorted(OTHER), help="the store to copy into")

    def handle(self, **options: Any) -> None:
        to = options["to"]
        if not settings.AWS_STORAGE_BUCKET_NAME:
            raise CommandError("AWS_STORAGE_BUCKET_NAME is empty; expected the name of the bucket to copy to or from.")
        source, target = store_of(OTHER[to]), store_of(to)
        check_target(target)
        totals = Totals()
        try:
            for totals in copy(source, target):
                self.stdout.write(f"{totals}")
        except StoreError as error:
            raise CommandError(f"{error}. Run this command again; it keeps the files that were copied.") from None
        if totals.wrong:
            raise CommandError(f"Not copied, since their bytes differ from the database: {', '.join(totals.wrong)}.")
        self.stdout.write(
            "Everything is copied. If the hub was running, stop it and run this command once more; "
            f"then set HUB_STORAGE={to}, start it, and run `manage.py verify --hash`."
        )


def store_of(kind: str) -> Store:
    return cast(Store, storages.create_storage(settings.CHANNEL_STORES[kind]))


def check_target(target: Store) -> None:
    for finding in check(target):
        if finding.outcome is ProbeOutcome.BROKEN:
            raise CommandError(f"The store to copy into does not work ({finding.probe}): {finding.sentence}")
