"""`manage.py removefactors USER` removes a user's second factors, for example lost ones."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from channels_app.access import user_names
from channels_app.accounts import factor_removal
from hub import commands


class Command(commands.Command):
    help = "Remove the authenticator app, the passkeys and the recovery codes of a user, who is told by mail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")

    def handle(self, **options: Any) -> None:
        user = user_names.with_name(options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user '{options['user']}'.")
        removed = factor_removal.remove_all(user=user)
        self.stdout.write(factor_removal.in_words(user, removed))
