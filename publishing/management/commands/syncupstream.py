"""`manage.py syncupstream CHANNEL`: poll the upstream of a channel now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from hub import commands
from publishing.index import builds
from publishing.models import Upstream
from publishing.upstreams import sync


class Command(commands.Command):
    help = "Poll the upstream of a channel now, and build its index."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel")

    def handle(self, **options: Any) -> None:
        found = Upstream.objects.select_related("channel").filter(channel__name=options["channel"])
        upstream = found.first()
        if upstream is None:
            raise CommandError(f"There is no upstream channel '{options['channel']}'.")
        if not sync.sync(upstream.channel_id, is_forced=True):
            raise CommandError("This upstream, or two others, are being polled. Try again in some minutes.")
        builds.build_channel(upstream.channel)
        if error := found.get().error:
            raise CommandError(error)
        self.stdout.write(f"{upstream.channel} is up to date.")
