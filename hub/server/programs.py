"""Commands of the hub's programs. This module does not import Django."""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from hub.starting import without_collections

# Celery's own variable, for programs that start after a command has run Django's checks: they take half of a start.
CHECKED = {"CELERY_SKIP_CHECKS": "true"}
CELERY = ("celery", "--app", "hub", "--quiet")
BEAT = [*CELERY, "beat", "--scheduler", "hub.queue.schedule:Scheduler", "--loglevel", "warning", "--pidfile="]

# Modules that the programs import when they start.
PRELOADED = (
    "hub.urls", "hub.wsgi", "hub.server.gunicorn_conf", "hub.server.gunicorn_worker", "hub.queue.schedule",
    "celery.bin.worker", "celery.bin.beat", "celery.apps.worker", "celery.apps.beat", "celery.concurrency.thread",
)  # fmt: skip


def web(address: str) -> list[str]:
    """Return the command of a web process that listens on `address`."""
    return ["gunicorn", "--config", "python:hub.server.gunicorn_conf", "--bind", address, "hub.wsgi"]


def worker(*options: str) -> list[str]:
    """Return the command of a worker. Without the option `--queues`, it runs the jobs of all queues."""
    return [
        *CELERY, "worker", *options, "--pool", "threads", "--concurrency", "4", "--loglevel", "warning",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip


def load() -> None:
    """Load the code of all programs into this process. Its forks then start without loading it."""
    with without_collections():
        for script in ("gunicorn", "celery"):
            _script(script).load()
        for module in PRELOADED:
            import_module(module)
        import_module("hub.celery").app.loader.import_default_modules()


def run(command: list[str]) -> None:
    """Run a command of this module in this process."""
    os.environ.update(CHECKED)
    sys.argv = command
    sys.exit(_script(command[0]).load()())


@cache
def _script(name: str) -> EntryPoint:
    return entry_points(group="console_scripts")[name]
