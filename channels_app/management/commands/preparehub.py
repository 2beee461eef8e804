"""`manage.py preparehub`: tables, secrets, the first administrator, the store; before every start, safe twice."""

import secrets
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError

from channels_app.accounts import factor_secrets
from channels_app.models import User
from hub import commands


class Command(commands.Command):
    help = "Make or upgrade the tables; at the first start make the administrator and check the store."

    def handle(self, **options: Any) -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            raise CommandError(f"The database can't be used: {str(error).splitlines()[0]}") from None
        self.encrypt_factors()
        if not User.objects.exists():
            self.make_administrator()
            self.check_store(options["verbosity"])

    def encrypt_factors(self) -> None:
        """Encrypt second factors by the present SECRET_KEY. One that can't be read stops no start."""
        if unreadable := factor_secrets.encrypt_all():
            self.stderr.write(
                f"{unreadable} second factors can't be read: they were set up while SECRET_KEY was another one. "
                "Set that one in SECRET_KEY_FALLBACKS and start again, or remove them with `manage.py removefactors`."
            )

    def make_administrator(self) -> None:
        """Make the administrator from the settings. A password that is made here is printed this once."""
        password = settings.HUB_ADMIN_PASSWORD or secrets.token_urlsafe(12)
        User.objects.create_superuser(settings.HUB_ADMIN_USERNAME, password=password)
        shown = "from HUB_ADMIN_PASSWORD" if settings.HUB_ADMIN_PASSWORD else f"{password} (shown this once)"
        self.stdout.write(f"Administrator: {settings.HUB_ADMIN_USERNAME}, password: {shown}")

    def check_store(self, verbosity: int) -> None:
        """Print what the store can do. A store that fails stops no start: it may only be down at the moment."""
        try:
            call_command("checkstore", verbosity=verbosity, stdout=self.stdout, stderr=self.stderr)
        except (CommandError, SystemExit) as error:
            self.stderr.write(f"The store: {error} `manage.py checkstore` looks again.")
