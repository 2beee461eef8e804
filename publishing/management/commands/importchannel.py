"""`manage.py importchannel CHANNEL --owner USER [--public]`: import the packages in the store as a channel."""

import os
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError

from channels_app.access import user_names
from channels_app.channels import channels, pending_names
from channels_app.models import Channel, User
from hub import commands
from hub.plain_text import one_line
from hub.storage import StoreError
from publishing.index import builds
from publishing.transfer import channel_import, import_indexes

PROGRESS_S = 5
NICE = 10
AGAIN = "Run the command again: it continues where it stopped."
INTERRUPTED = 130  # as shells exit: 128 plus the number of SIGINT


class Command(commands.Command):
    help = "Import every package below CHANNEL/ in the store that has no row in the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")
        parser.add_argument("--owner", required=True, metavar="USER", help="the owner, if the channel is new")
        parser.add_argument("--public", action="store_true", help="create a public channel, if it is new")

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command with a lower process priority than the hub."""
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        super().run_from_argv(argv)

    def handle(self, **options: Any) -> None:
        owner = user_names.with_name(options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no user '{options['owner']}'; make one with createsuperuser or in the admin.")
        try:
            channels.check_name(options["channel"])
            import_indexes.back_up(options["channel"])
            channel = Channel.objects.filter(name=options["channel"]).first() or self._create_channel(owner, options)
            refused = self._import_packages(channel)
        except (StoreError, OperationalError) as error:
            raise CommandError(f"{str(error).strip()}. {AGAIN}") from None
        except KeyboardInterrupt:
            raise CommandError(f"The import was stopped. {AGAIN}", returncode=INTERRUPTED) from None
        if refused:
            raise SystemExit(1)

    def _create_channel(self, owner: User, options: dict[str, Any]) -> Channel:
        name = options["channel"]
        if pending := pending_names.of_another(name, owner):
            self.stdout.write(f"{pending.user}'s CI can't make the channel any more; they are told by mail.")
        return channels.create(name=name, owner=owner, is_private=not options["public"], is_by_operator=True)

    def _import_packages(self, channel: Channel) -> int:
        labels = import_indexes.create_labels(channel)
        imported, refused = 0, 0
        progress = Progress(sum(import_indexes.package_counts(channel.name).values()))
        for outcome in channel_import.import_packages(channel):
            refused += bool(outcome.refusal)
            imported += not outcome.refusal
            if outcome.refusal or outcome.note:
                self.stdout.write(one_line(f"{outcome.key}: {outcome.refusal or outcome.note}"))
            if progress.is_due():
                self.stdout.write(one_line(f"{progress.line(imported + refused)}; last: {outcome.key}"))
        if progress.was_due:
            self.stdout.write(f"{progress.line(imported + refused)}; building the index")
        builds.open_channel(channel)
        builds.build_channel(channel)
        yanked = channel.artifacts.filter(removal_reason=channel_import.YANKED).count()
        if labels:
            self.stdout.write(f"{channel}: labels: {len(labels)}. Set their ends again; the store has none.")
        self.stdout.write(f"{channel}: imported: {imported}, not imported: {refused}, yanked: {yanked}.")
        return refused


class Progress:
    """Progress of the import, which is printed every few seconds."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.was_due = False
        self._began = self._due = time.monotonic()

    def is_due(self) -> bool:
        if time.monotonic() < self._due + PROGRESS_S:
            return False
        self._due = time.monotonic()
        self.was_due = True
        return True

    def line(self, count: int) -> str:
        seconds = time.monotonic() - self._began
        return f"{count:,} of {self.total:,} packages in {seconds:.0f} s, {count / max(seconds, 0.001):.0f}/s"
