"""`manage.py preparehub`: tables, the first administrator, a look at the store; before every start, safe twice."""

import secrets
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import OperationalError

from channels_app.models import User


class Command(BaseCommand):
    help = "Make or upgrade the tables; at the first start make the administrator and look at the store."

    def handle(self, **options: Any) -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            raise CommandError(f"The database can't be used: {str(error).splitlines()[0]}") from None
        if not User.objects.exists():
            self.make_administrator()
            self.check_store()

    def make_administrator(self) -> None:
        """From the settings, or with a password that is printed this once."""
        password = settings.HUB_ADMIN_PASSWORD or secrets.token_urlsafe(12)
        User.objects.create_superuser(settings.HUB_ADMIN_USERNAME, password=password)
        shown = "from HUB_ADMIN_PASSWORD" if settings.HUB_ADMIN_PASSWORD else f"{password} (shown this once)"
        self.stdout.write(f"Administrator: {settings.HUB_ADMIN_USERNAME}, password: {shown}")

    def check_store(self) -> None:
        """What the store can't do is told, and stops nobody: it may be only that it is not there yet."""
        try:
            call_command("checkstore", stdout=self.stdout, stderr=self.stderr)
        except (CommandError, SystemExit) as error:
            self.stderr.write(f"The store: {error} `manage.py checkstore` looks again.")
