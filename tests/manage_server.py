"""A process that runs commands of manage.py one after the other: the import of Django costs each new process a second.

A line of its input is a JSON list of words; the line of its answer is `[exit code, output, errors]`.
"""

import json
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import django
from django.core.management import ManagementUtility
from django.db import connections

from hub.private_files import be_private


def run(words: list[str]) -> tuple[int, str, str]:
    """Return the exit code, the output and the errors of a command."""
    output, errors, code = StringIO(), StringIO(), 0
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            ManagementUtility(["manage.py", *words]).execute()
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:  # noqa: BLE001  a test wants the trace
            traceback.print_exc()
            code = 1
        finally:
            connections.close_all()
    return code, output.getvalue(), errors.getvalue()


def main() -> None:
    be_private()
    django.setup()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
