"""`manage.py importchannel CHANNEL --owner USER [--public]`: a channel from the packages that lie in the store."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from channels_app import channels
from channels_app.models import Channel, User
from hub.errors import HubError
from hub.storage import StoreError
from publishing import index
from publishing.operations import importing

PROGRESS = 100


class Command(BaseCommand):
    help = "Take in every package below CHANNEL/ in the store that the database does not know."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")
        parser.add_argument("--owner", required=True, metavar="USER", help="the owner, where the channel is new")
        parser.add_argument("--public", action="store_true", help="anyone may read it, where it is new")

    def handle(self, **options: Any) -> None:
        owner = User.objects.filter(username=options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no user '{options['owner']}'; make one with createsuperuser or in the admin.")
        try:
            channels.check_name(options["channel"])
            importing.put_old_indexes_aside(options["channel"])
            channel = Channel.objects.filter(name=options["channel"]).first() or channels.create(
                name=options["channel"], owner=owner, is_private=not options["public"]
            )
            self._take_in(channel)
        except HubError as error:
            raise CommandError(error.detail) from None
        except StoreError as error:
            raise CommandError(f"{error}. Run the command again: it goes on where it ended.") from None

    def _take_in(self, channel: Channel) -> None:
        taken, refused = 0, 0
        for outcome in importing.take_in(channel):
            refused += bool(outcome.refusal)
            taken += not outcome.refusal
            if outcome.refusal or outcome.note:
                self.stdout.write(f"{outcome.key}: {outcome.refusal or outcome.note}")
            elif taken % PROGRESS == 0:
                self.stdout.write(f"{taken} packages so far, {outcome.key} the last")
        index.open_channel(channel.pk)
        index.bring_channel_up_to_date(channel)
        yanked = channel.artifacts.filter(removal_reason=importing.YANKED).count()
        self.stdout.write(f"{channel}: taken in: {taken}, not taken in: {refused}, yanked: {yanked}.")
        if refused:
            raise SystemExit(1)
