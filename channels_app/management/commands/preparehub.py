"""`manage.py preparehub` prepares tables, secrets, the first administrator and the store.

Run it before every start; a repeated run changes nothing.
"""

import secrets
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError

from channels_app.accounts import factor_secrets
from channels_app.models import User
from channels_app.webhooks import signing
from hub import commands


class Command(commands.Command):
    help = "Create or upgrade the tables. At the first start, create the administrator and check the store."

    def handle(self, **options: Any) -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            raise CommandError(f"The database can't be used: {str(error).splitlines()[0]}") from None
        self.encrypt_factors()
        self.encrypt_webhook_secrets()
        if not User.objects.exists():
            self.make_administrator()
            self.check_store(options["verbosity"])

    def encrypt_factors(self) -> None:
        """Encrypt second factors with the current SECRET_KEY. An unreadable one is reported, but doesn't stop the
        start.
        """
        if unreadable := factor_secrets.encrypt_all():
            self.stderr.write(
                f"{unreadable} second factors can't be read: they were set up with a different SECRET_KEY. "
                "Add that one to SECRET_KEY_FALLBACKS and start again, or remove them with `manage.py removefactors`."
            )

    def encrypt_webhook_secrets(self) -> None:
        if unreadable := signing.encrypt_all():
            self.stderr.write(
                f"The secrets of {unreadable} webhooks can't be read: they were made with a different SECRET_KEY. "
                "Add that one to SECRET_KEY_FALLBACKS and start again, or add these webhooks anew."
            )

    def make_administrator(self) -> None:
        """Create the administrator from the settings. Print a generated password; it is not stored in plain text."""
        password = settings.HUB_ADMIN_PASSWORD or secrets.token_urlsafe(12)
        User.objects.create_superuser(settings.HUB_ADMIN_USERNAME, password=password)
        shown = "from HUB_ADMIN_PASSWORD" if settings.HUB_ADMIN_PASSWORD else f"{password} (shown this once)"
        self.stdout.write(f"Administrator: {settings.HUB_ADMIN_USERNAME}, password: {shown}")

    def check_store(self, verbosity: int) -> None:
        """Print the results of the store's checks. A failure doesn't stop the start: it may be temporary."""
        try:
            call_command("checkstore", verbosity=verbosity, stdout=self.stdout, stderr=self.stderr)
        except (CommandError, SystemExit) as error:
            self.stderr.write(f"Check of the store failed: {error} Run `manage.py checkstore` to repeat it.")
