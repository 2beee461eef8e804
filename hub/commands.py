"""The base class of the hub's commands: errors take one line, and the output escapes control characters."""

import sys
from typing import Any

from django.core.management import base
from django.db import DatabaseError, InterfaceError, OperationalError

from hub.errors import HubError
from hub.full_disk import is_disk_full
from hub.plain_text import escaped
from hub.starting import SETTINGS
from hub.storage import StoreError


class PlainOutput(base.OutputWrapper):
    def write(  # type: ignore[override]  # as Django's own
        self, msg: str = "", style_func: Any = None, ending: str | None = None
    ) -> None:
        super().write(escaped(msg), style_func, ending)


class Command(base.BaseCommand):
    """The base of every command. The output can contain names of files and people, so it is escaped."""

    requires_system_checks = (SETTINGS,)

    def execute(self, *args: Any, **options: Any) -> str | None:
        # Set here, because Django would replace them with its own wrapper if the caller passes streams.
        self.stdout = PlainOutput(options.pop("stdout", None) or sys.stdout)
        self.stderr = PlainOutput(options.pop("stderr", None) or sys.stderr)
        try:
            result: str | None = super().execute(*args, **options)
        except (HubError, OSError, StoreError, DatabaseError) as error:
            raise _refusal(error) from None
        return result


def _refusal(error: Exception) -> Exception:
    """Print errors that an operator can resolve as one line; raise others with their traceback."""
    if isinstance(error, HubError):
        return base.CommandError(error.detail)
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if is_disk_full(error):
        return base.CommandError(f"The hub's disk is full ({reason}). Make room on it, then try again.")
    if isinstance(error, (OperationalError, InterfaceError)):
        return base.CommandError(f"The database can't be used: {reason}")
    return error
