"""`manage.py handover USER --to OWNER [--deactivate]` hands over channels and teams, and may deactivate the user."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from channels_app.access import user_names
from channels_app.people import handing_over
from hub import commands


class Command(commands.Command):
    help = "Hand over the channels that a user alone owns, and the teams that a user alone manages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--to", required=True, help="the user name of the new owner")
        parser.add_argument("--deactivate", action="store_true", help="also deactivate the account of the user")

    def handle(self, **options: Any) -> None:
        user = user_names.with_name(options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user '{options['user']}'.")
        handed = handing_over.hand_over(by=None, user=user, username=options["to"], deactivate=options["deactivate"])
        self.stdout.write(handing_over.in_words(handed, options["to"]))
        if options["deactivate"]:
            self.stdout.write(f"{user} is deactivated.")
