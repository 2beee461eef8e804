"""`manage.py createapikey USER --name N [--channel C]… [--scope S]… [--package P]… [--days N]` prints an API key."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from channels_app.access import user_names
from channels_app.access.permissions import SCOPES, Permission
from channels_app.authentication import api_keys
from channels_app.models import Channel
from hub import commands

DAYS = 365


class Command(commands.Command):
    help = "Create an API key and print it, this once: the hub stores only its hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--name", required=True, help="what the key is for")
        parser.add_argument("--channel", action="append", dest="channels", help="default: all channels of the user")
        parser.add_argument(
            "--scope", action="append", dest="scopes", choices=[str(scope) for scope in SCOPES], help="default: read"
        )
        parser.add_argument(
            "--package",
            action="append",
            dest="globs",
            help="a package that it may upload, such as numpy or 'py-*'; default: all",
        )
        parser.add_argument("--days", type=int, default=DAYS, help=f"days until the key expires, default {DAYS}")

    def handle(self, **options: Any) -> None:
        owner = user_names.with_name(options["user"]).first()
        if owner is None:
            raise CommandError(f"There is no user '{options['user']}'.")
        if options["days"] < 1:
            raise CommandError(f"--days is {options['days']}; expected a whole number above zero.")
        _, secret = api_keys.create_user_key(
            owner=owner,
            name=options["name"],
            scopes=options["scopes"] or [Permission.READ],
            channels=_channels(options["channels"]),
            expires_at=timezone.now() + timedelta(days=options["days"]),
            package_globs=options["globs"] or (),
        )
        self.stdout.write(secret)


def _channels(names: list[str] | None) -> list[Channel] | None:
    if names is None:
        return None
    channels = list(Channel.objects.filter(name__in=names))
    missing = sorted(set(names) - {channel.name for channel in channels})
    if missing:
        raise CommandError(f"There is no channel {', '.join(missing)}.")
    return channels
