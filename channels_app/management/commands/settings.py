"""`manage.py settings [--write]` prints every setting with its default and meaning, as in docs/operating.md."""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from hub import commands, variables
from hub.social_providers import oidc_client

PAGE = Path(settings.BASE_DIR) / "docs" / "operating.md"
# All tables, from the first heading up to the next chapter.
TABLES = re.compile(r"^### The hub and its address\n.*?(?=^## )", re.MULTILINE | re.DOTALL)


class Command(commands.Command):
    help = "Print every setting, with its default and meaning, as Markdown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--write", action="store_true", help="write them into docs/operating.md instead")

    def handle(self, **options: Any) -> None:
        if not options["write"]:
            self.stdout.write(tables(), ending="")
            return
        PAGE.write_text(TABLES.sub(lambda _: f"{tables()}\n", PAGE.read_text(), count=1))


def tables() -> str:
    variables.section("A provider of OpenID Connect")
    oidc_client("name")
    return variables.markdown()
