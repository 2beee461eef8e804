"""gunicorn's settings: `gunicorn --config python:hub.server.gunicorn_conf hub.wsgi`."""

import os
from typing import Any

from django.conf import settings
from gunicorn.glogging import Logger

from hub.observability import logs, metrics
from hub.observability.redaction import redacted
from hub.plain_text import one_line
from hub.private_files import UMASK, be_private, open_files_warning
from hub.server.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

# The master loads the hub once; each process then begins as a copy, which takes half the time and shares memory.
preload_app = True
worker_class = "hub.server.gunicorn_worker.Worker"
umask = UMASK  # for a socket in the file system
workers = 2
threads = 32
graceful_timeout = settings.HUB_SHUTDOWN_S
loglevel = "warning"
# Longer than clients keep an idle connection (90 s in rattler's reqwest). If the hub closed it first, a request could
# be on its way, and the client would fail with "connection closed before message completed".
keepalive = 120
# The maximum of gunicorn: a client can wait for 100 files by their checksums in one URL of 7,300 characters.
limit_request_line = 8190


def on_starting(server: Any) -> None:
    be_private()
    if sentence := open_files_warning(settings.HUB_DATA_DIR, readers=settings.HUB_READERS_GROUP):
        server.log.warning("%s", sentence)
    metrics.remove_old_files(_program(server))


def post_fork(server: Any, worker: Any) -> None:
    """Stop the worker when the master is killed: otherwise the next master would find the port in use.

    The counts of a worker that exits stay in the sums until the server restarts.
    """
    die_with_parent()
    if settings.HUB_METRICS_TOKEN:
        metrics.use_shared_files(_program(server))


def _program(server: Any) -> str:
    """Return the program's name with its address: two servers on one machine are two programs."""
    return f"web-{'-'.join(server.cfg.bind)}"


class RedactingLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger with the hub's line format; if its access log is enabled, secrets are redacted in it."""

    def setup(self, config: Any) -> None:
        super().setup(config)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.FORMATTERS[settings.HUB_LOG_FORMAT]())

    def atoms(self, *request: Any) -> dict[str, Any]:
        atoms = super().atoms(*request).items()
        hidden = {name: redacted(one_line(atom)) if isinstance(atom, str) else atom for name, atom in atoms}
        # The user name of basic authentication may be a key, or an application's token.
        return hidden | {"u": "-"}


logger_class = RedactingLogger
