"""`manage.py freename NAME` frees the reserved name of a deleted channel."""

from argparse import ArgumentParser
from typing import Any

from channels_app.access.permissions import ANONYMOUS
from channels_app.channels import reserved_names
from hub import commands


class Command(commands.Command):
    help = "Free the name of a deleted channel, which is reserved for its last owners."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, **options: Any) -> None:
        reserved_names.free(name=options["name"], actor=ANONYMOUS)
        self.stdout.write(
            f"Any user can now create a channel '{options['name']}'. Its last owners are notified by mail."
        )
