"""gunicorn's worker with threads, made to wait for nobody who is silent, and to drop nobody when it stops.

gunicorn's own stops accepting, but leaves its socket open while it finishes: who connects meanwhile waits, and is reset
in the end. Here the socket closes at once, so that a proxy turns to another process; who was already there is answered.
"""

import select
import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.http.body import LengthReader
from gunicorn.workers import gthread

from hub.server import arrivals

# A thread waits 5 s for the first byte of every new connection, and clients open some that they never use: 16 of them
# stalled a hub of 16 threads. Such a connection goes back to the poller instead. (gunicorn's own constant would also
# shorten the reading of a left-over body, and a busy hub then closes connections that clients still use.)
FIRST_BYTE_S = 0.01
# So long a thread waits for the next bytes of a large body, or for a client to take some of its answer.
SILENT_S = 60
LOOK_S = 1
# So long a thread stays with a connection on which it has just answered: a proxy that has much to ask sends the next
# request on it by then, and the way over the poller to another thread takes longer than to find a small answer. Not
# while others wait for a thread: whoever is fast would keep them out.
NEXT_REQUEST_MS = 1


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    sockets: list[Any]
    _next_look = 0.0

    def handle(self, connection: Any) -> Any:
        is_new = not connection.initialized and not connection.data_ready
        wait_s = FIRST_BYTE_S if self.alive else gthread.STOP_KEEPALIVE_LINGER
        if is_new and not connection.wait_for_data(wait_s):
            return gthread._DEFER
        is_kept = self._answer(connection)
        while is_kept is True and self.alive and self.tpool._work_queue.empty() and _asks_again(connection.sock):
            is_kept = self._answer(connection)
        if is_kept is False:
            _expect_no_more(connection.sock)
        return is_kept

    def _answer(self, connection: Any) -> Any:
        """Answer a request that is whole; a part of one goes back to the poller, and no thread waits for the rest."""
        is_plain = hasattr(connection, "parser") and not connection.cfg.is_ssl
        if self.alive and is_plain:
            connection.init()
            state = arrivals.arrived(connection)
            if state is arrivals.State.PARTIAL:
                return gthread._DEFER
            if state is arrivals.State.DROPPED:
                return False
        elif connection.initialized:
            # While stopping, nothing is dropped: the parser waits for the rest.
            arrivals.hand_over(connection)
        return super().handle(connection)

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.settimeout(SILENT_S)
        return super().handle_request(req, conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        super().finish_request(conn, fs)
        if arrival := getattr(conn, "arrival", None):
            conn.timeout = min(conn.timeout or arrival.deadline, arrival.deadline)

    def murder_pending(self) -> None:
        """Close what has waited too long; each has a deadline of its own, so all are looked at, once a second."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_S
        for connection in [each for each in self.pending_conns if each.timeout <= now]:
            self.pending_conns.remove(connection)
            with suppress(OSError, KeyError, ValueError):
                self.poller.unregister(connection.sock)
            self.nr_conns -= 1
            arrivals.forget(connection)
            connection.close()

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
