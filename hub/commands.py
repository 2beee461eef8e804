"""The base of the hub's commands: their output moves no cursor and hides nothing, whatever it quotes."""

import sys
from typing import Any

from django.core.management import base

from hub.plain_text import escaped


class PlainOutput(base.OutputWrapper):
    def write(  # type: ignore[override]  # as Django's own
        self, msg: str = "", style_func: Any = None, ending: str | None = None
    ) -> None:
        super().write(escaped(msg), style_func, ending)


class Command(base.BaseCommand):
    """Every command of the hub is one; names of files and people stand in what it prints."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        # Django would put outputs of its own in the place of these, where a caller names some.
        self.stdout = PlainOutput(options.pop("stdout", None) or sys.stdout)
        self.stderr = PlainOutput(options.pop("stderr", None) or sys.stderr)
        result: str | None = super().execute(*args, **options)
        return result
