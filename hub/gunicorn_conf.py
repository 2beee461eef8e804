"""gunicorn's settings: `gunicorn --config python:hub.gunicorn_conf hub.wsgi`, on one machine and in production."""

from typing import Any

from gunicorn.glogging import Logger
from gunicorn.workers import gthread

from hub.redaction import redacted

worker_class = "gthread"
workers = 2
threads = 32
loglevel = "warning"
# Longer than clients keep an idle connection (90 s in rattler's reqwest). If the hub closed one first, it could meet a
# request that is just being sent, and the client would fail: "connection closed before message completed".
keepalive = 120


class RedactingLogger(Logger):  # type: ignore[misc]
    """An access log without secrets, for whoever turns it on (`--access-logfile -`)."""

    def atoms(self, *request: Any) -> dict[str, Any]:
        atoms = super().atoms(*request).items()
        return {name: redacted(atom) if isinstance(atom, str) else atom for name, atom in atoms}


logger_class = RedactingLogger

# A thread waits 5 s for the first byte of every new connection, and clients open some that they never use: 16 of them
# stalled a hub of 16 threads. Such a connection goes back to the poller instead. (gunicorn's own constant would also
# shorten the reading of a left-over body, and a busy hub then closes connections that clients still use.) Slow senders
# still hold a thread: a public hub stands behind a proxy that buffers.
FIRST_BYTE_S = 0.01
wait_for_data = gthread.TConn.wait_for_data
gthread.TConn.wait_for_data = lambda connection, timeout: wait_for_data(connection, FIRST_BYTE_S)
