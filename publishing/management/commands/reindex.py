"""`manage.py reindex CHANNEL`: rebuild every index file of a channel from the database."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from channels_app.models import Channel
from hub import commands
from publishing.index import builds, merging, virtual_names
from publishing.models import SubdirIndex

WHOLE = builds.WHOLE_CHANNEL


class Command(commands.Command):
    help = "Rebuild every index file of a channel from the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")

    def handle(self, **options: Any) -> None:
        channel = Channel.objects.filter(name=options["channel"]).first()
        if channel is None:
            raise CommandError(f"There is no channel '{options['channel']}'.")
        builds.open_channel(channel)
        published = set(channel.artifacts.values_list("subdir", flat=True).distinct())
        if merging.is_virtual(channel):
            published |= virtual_names.subdirs(channel)
        # Subdirs first, because the files of the whole channel are made from them.
        for subdir in [*sorted({*published, *channel.indexes.values_list("subdir", flat=True)} - {WHOLE}), WHOLE]:
            builds.rebuild(SubdirIndex.objects.get_or_create(channel=channel, subdir=subdir)[0])
            self.stdout.write(f"{subdir or 'the whole channel'}: done")
