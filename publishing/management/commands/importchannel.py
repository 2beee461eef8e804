"""`manage.py importchannel CHANNEL --owner USER [--public]`: a channel from the packages that lie in the store."""

import os
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError

from channels_app import channels, pending_names, user_names
from channels_app.models import Channel, User
from hub import commands
from hub.errors import HubError
from hub.plain_text import one_line
from hub.storage import StoreError
from publishing import index
from publishing.operations import importing

PROGRESS_S = 5
NICE = 10
AGAIN = "Run the command again: it goes on where it ended."
INTERRUPTED = 130  # 128 and the number of SIGINT, as of shells


class Command(commands.Command):
    help = "Take in every package below CHANNEL/ in the store that the database does not know."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")
        parser.add_argument("--owner", required=True, metavar="USER", help="the owner, where the channel is new")
        parser.add_argument("--public", action="store_true", help="anyone may read it, where it is new")

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the import as a process of its own, with less priority than the hub."""
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        super().run_from_argv(argv)

    def handle(self, **options: Any) -> None:
        owner = user_names.having(options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no user '{options['owner']}'; make one with createsuperuser or in the admin.")
        try:
            channels.check_name(options["channel"])
            importing.put_old_indexes_aside(options["channel"])
            channel = Channel.objects.filter(name=options["channel"]).first() or self._made(owner, options)
            refused = self._take_in(channel)
        except HubError as error:
            raise CommandError(error.detail) from None
        except (StoreError, OperationalError) as error:
            raise CommandError(f"{str(error).strip()}. {AGAIN}") from None
        except KeyboardInterrupt:
            raise CommandError(f"It was stopped. {AGAIN}", returncode=INTERRUPTED) from None
        if refused:
            raise SystemExit(1)

    def _made(self, owner: User, options: dict[str, Any]) -> Channel:
        name = options["channel"]
        if pending := pending_names.of_another(name, owner):
            self.stdout.write(f"{pending.user}'s CI can't make the channel any more; they are told by mail.")
        return channels.create(name=name, owner=owner, is_private=not options["public"], is_by_operator=True)

    def _take_in(self, channel: Channel) -> int:
        taken, refused = 0, 0
        progress = Progress(sum(importing.package_counts(channel.name).values()))
        for outcome in importing.take_in(channel):
            refused += bool(outcome.refusal)
            taken += not outcome.refusal
            if outcome.refusal or outcome.note:
                self.stdout.write(one_line(f"{outcome.key}: {outcome.refusal or outcome.note}"))
            if progress.is_due():
                self.stdout.write(one_line(f"{progress.line(taken + refused)}; {outcome.key} the last"))
        if progress.was_due:
            self.stdout.write(f"{progress.line(taken + refused)}; now the index")
        index.open_channel(channel)
        index.bring_channel_up_to_date(channel)
        yanked = channel.artifacts.filter(removal_reason=importing.YANKED).count()
        self.stdout.write(f"{channel}: taken in: {taken}, not taken in: {refused}, yanked: {yanked}.")
        return refused


class Progress:
    """Print the progress every few seconds."""

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
