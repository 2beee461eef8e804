"""`manage.py createchannel NAME --owner USER [--public] [--description TEXT]` creates a channel."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from channels_app.access import user_names
from channels_app.channels import channels, pending_names
from hub import commands


class Command(commands.Command):
    help = "Create a channel. It is private unless --public is given."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--owner", required=True, metavar="USER", help="the user name of its first owner")
        parser.add_argument("--public", action="store_true", help="anyone may read it")
        parser.add_argument("--description", default="")

    def handle(self, **options: Any) -> None:
        owner = user_names.with_name(options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no user '{options['owner']}'; make one with createsuperuser or in the admin.")
        pending = pending_names.of_another(options["name"], owner)
        channel = channels.create(
            name=options["name"],
            owner=owner,
            is_private=not options["public"],
            description=options["description"],
            is_by_operator=True,
        )
        self.stdout.write(f"{channel.name}: a {'private' if channel.is_private else 'public'} channel of {owner}.")
        if pending:
            self.stdout.write(f"{pending.user}'s CI can't make the channel any more; they are told by mail.")
