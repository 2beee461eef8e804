"""The base class of the hub's commands: their output escapes control characters."""

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
    """The base of every command. The output can contain names of files and people, so it is escaped."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        # Set here, because Django would replace them with its own wrapper if the caller passes streams.
        self.stdout = PlainOutput(options.pop("stdout", None) or sys.stdout)
        self.stderr = PlainOutput(options.pop("stderr", None) or sys.stderr)
        result: str | None = super().execute(*args, **options)
        return result
