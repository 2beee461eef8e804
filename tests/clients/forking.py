"""A program for the Python of another environment: it runs a command of a client in forks of itself.

The import takes three quarters of such a command's time. Each line of its input is a JSON list of arguments, variables,
folder and file of the output. The line of its answer is the exit code.
"""

import json
import os
import signal
import sys
from importlib import import_module

COMMAND_S = 120


def run(arguments: list[str], variables: dict[str, str], folder: str, output: str) -> int:
    """Run `command` in a fork. Return its exit code, which is negative if it is killed after COMMAND_S."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    signal.alarm(COMMAND_S)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv[1:] = arguments
    sys.exit(command())


module, name = sys.argv[1:]
command = getattr(import_module(module), name)
for line in sys.stdin:
    print(run(*json.loads(line)), flush=True)  # noqa: T201
