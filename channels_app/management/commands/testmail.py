"""`manage.py testmail ADDRESS` sends a test mail and prints the steps. It exits with an error if sending fails."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from channels_app.audit import test_message
from hub import commands


class Command(commands.Command):
    help = "Send a test mail, to check the settings of the mail server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("address")

    def handle(self, **options: Any) -> None:
        outcome = test_message.send(options["address"])
        self.stdout.write(outcome.tried)
        if not outcome.is_sent:
            raise CommandError(outcome.found)
        self.stdout.write(outcome.found)
