"""`manage.py reindex CHANNEL`: every index file of a channel anew, from the database alone."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from channels_app.models import Channel
from publishing import index


class Command(BaseCommand):
    help = "Make every index file of a channel anew, from the database alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")

    def handle(self, **options: Any) -> None:
        channel = Channel.objects.filter(name=options["channel"]).first()
        if channel is None:
            raise CommandError(f"There is no channel '{options['channel']}'.")
        index.open_channel(channel.pk)
        # The subdirs first: the files of the whole channel are made from them.
        for row in channel.indexes.order_by("-subdir"):
            index.rebuild(row)
            self.stdout.write(f"{row.subdir or 'the whole channel'}: done")
