"""gunicorn's worker with threads, made to wait for nobody who is silent, and to drop nobody when it stops.

gunicorn's own stops accepting, but leaves its socket open while it finishes: who connects meanwhile waits, and is reset
in the end. Here the socket closes at once, so that a proxy turns to another process; who was already there is answered.
"""

from typing import Any

from gunicorn.workers import gthread

# A thread waits 5 s for the first byte of every new connection, and clients open some that they never use: 16 of them
# stalled a hub of 16 threads. Such a connection goes back to the poller instead. (gunicorn's own constant would also
# shorten the reading of a left-over body, and a busy hub then closes connections that clients still use.) Slow senders
# still hold a thread: a public hub stands behind a proxy that buffers.
FIRST_BYTE_S = 0.01


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    sockets: list[Any]

    def handle(self, connection: Any) -> Any:
        is_new = not connection.initialized and not connection.data_ready
        wait_s = FIRST_BYTE_S if self.alive else gthread.STOP_KEEPALIVE_LINGER
        if is_new and not connection.wait_for_data(wait_s):
            return gthread._DEFER
        return super().handle(connection)

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled and self.alive)
        if not self.alive:
            for listener in self.sockets:
                self._accept_rest(listener)
                listener.close()
            self.sockets = []

    def _accept_rest(self, listener: Any) -> None:
        before = -1
        while before < self.nr_conns:
            before = self.nr_conns
            self.accept(listener)

    def _cap_keepalive(self, deadline: float) -> None:
        """Nor does a connection on which nothing was ever asked hold up the end."""
        super()._cap_keepalive(deadline)
        for connection in self.pending_conns:
            connection.timeout = min(connection.timeout, deadline)
