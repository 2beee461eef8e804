"""gunicorn's worker with threads, made to wait for nobody who is silent, and to drop nobody when it stops.

gunicorn's own stops accepting, but leaves its socket open while it finishes: who connects meanwhile waits, and is reset
in the end. Here the socket closes at once, so that a proxy turns to another process; who was already there is answered.
"""

import select
import socket
from contextlib import suppress
from typing import Any

from gunicorn.http.body import LengthReader
from gunicorn.workers import gthread

# A thread waits 5 s for the first byte of every new connection, and clients open some that they never use: 16 of them
# stalled a hub of 16 threads. Such a connection goes back to the poller instead. (gunicorn's own constant would also
# shorten the reading of a left-over body, and a busy hub then closes connections that clients still use.) Slow senders
# still hold a thread: a public hub stands behind a proxy that buffers.
FIRST_BYTE_S = 0.01
# So long a thread stays with a connection on which it has just answered: a proxy that has much to ask sends the next
# request on it by then, and the way over the poller to another thread takes longer than to find a small answer. Not
# while others wait for a thread: whoever is fast would keep them out.
NEXT_REQUEST_MS = 1


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    sockets: list[Any]

    def handle(self, connection: Any) -> Any:
        is_new = not connection.initialized and not connection.data_ready
        wait_s = FIRST_BYTE_S if self.alive else gthread.STOP_KEEPALIVE_LINGER
        if is_new and not connection.wait_for_data(wait_s):
            return gthread._DEFER
        is_kept = super().handle(connection)
        while is_kept is True and self.alive and self.tpool._work_queue.empty() and _asks_again(connection.sock):
            is_kept = super().handle(connection)
        if is_kept is False:
            _expect_no_more(connection.sock)
        return is_kept

    def _keepalive_after(self, connection: Any, keepalive: bool) -> bool:
        """Nothing is left to read of a request without a body; to look for it costs a tenth of a small answer."""
        body = connection.parser.mesg.body.reader
        if isinstance(body, LengthReader) and body.length == 0:
            return keepalive
        return bool(super()._keepalive_after(connection, keepalive))

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled and self.alive)
        if not self.alive:
            for listener in self.sockets:
                self._accept_rest(listener)
                listener.close()
            self.sockets = []

    def is_parent_alive(self) -> bool:
        """Without a master it stops as if told to; gunicorn's own would go on with its socket open."""
        is_alive = bool(super().is_parent_alive())
        if not is_alive:
            self.alive = False
        return is_alive

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


def _expect_no_more(connection: socket.socket) -> None:
    """Let the worker close the connection without a wait.

    gunicorn's main thread, which accepts all others, waits up to 2 s for each client to close first: 66 that did not
    stopped a hub for a minute. It still reads what has arrived, so that the client gets its answer.
    """
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def _asks_again(connection: socket.socket) -> bool:
    arrivals = select.poll()
    arrivals.register(connection, select.POLLIN)
    return bool(arrivals.poll(NEXT_REQUEST_MS))
