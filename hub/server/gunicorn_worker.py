"""A gthread worker that doesn't block a thread on idle connections and drains open ones on shutdown.

gunicorn's own worker stops accepting but leaves its socket open: new connections wait and are reset in the end. Here
the socket closes at once, so that a proxy uses another process; accepted connections are answered.
"""

import select
import socket
import time
from contextlib import suppress
from typing import Any

from hub.server import arrivals
from hub.server.gunicorn_internals import STOP_LINGER_S, TO_POLLER, ThreadWorker
from hub.server.held_connections import HeldConnections, HeldRequest, KeptBackError

# gunicorn waits 5 s in a thread for the first byte of a new connection, and clients open some that they never use: 16
# of them stalled a hub of 16 threads. Here such a connection returns to the poller. (gunicorn's own constant would also
# shorten the reading of a left-over body, and a busy hub would close connections that clients still use.)
FIRST_BYTE_S = 0.01
# Timeout for the next bytes of a large body, and for a client to accept bytes of its response.
SILENT_S = 60
LOOK_S = 1
# A thread waits this long for the next request on a connection that it has just answered. A busy proxy sends it by
# then, and the way through the poller to another thread takes longer than a small response. It doesn't wait while
# others need a thread: fast clients would keep them out.
NEXT_REQUEST_MS = 1


class Worker(ThreadWorker):
    sockets: list[Any]
    wsgi: Any
    held: HeldConnections
    _next_look = 0.0

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.held = HeldConnections(self)
        self.wsgi = self.held.application(self.wsgi)

    def handle(self, connection: Any) -> Any:
        is_new = not connection.initialized and not connection.data_ready
        wait_s = FIRST_BYTE_S if self.alive else STOP_LINGER_S
        if is_new and not connection.wait_for_data(wait_s):
            return TO_POLLER
        is_kept = self._answer(connection)
        while is_kept is True and self._may_stay() and _has_next_request(connection.sock):
            is_kept = self._answer(connection)
        if is_kept is False:
            _stop_receiving(connection.sock)
        return is_kept

    def _may_stay(self) -> bool:
        return self.alive and not self.has_waiting_requests()

    def _answer(self, connection: Any) -> Any:
        """Answer a complete request. An incomplete one returns to the poller, so that no thread waits for the rest."""
        is_plain = hasattr(connection, "parser") and not connection.cfg.is_ssl
        if self.alive and is_plain:
            connection.init()
            state = arrivals.receive(connection)
            if state is arrivals.State.PARTIAL:
                return TO_POLLER
            if state is arrivals.State.DROPPED:
                return False
        elif connection.initialized:
            # While stopping, no request is dropped: the parser waits for the rest.
            arrivals.hand_over(connection)
        is_kept = super().handle(connection)
        return TO_POLLER if getattr(connection, "held", None) else is_kept

    def answer_again(self, request: Any, connection: Any) -> Any:
        """Answer a request that was held."""
        is_kept = self.handle_again(request, connection)
        if not is_kept:
            _stop_receiving(connection.sock)
        return is_kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        conn.sock.settimeout(SILENT_S)
        try:
            return super().handle_request(req, conn)
        except KeptBackError as error:
            conn.held = HeldRequest(req, error.hold)
            return True

    def finish_request(self, conn: Any, fs: Any) -> None:
        if getattr(conn, "held", None):
            self.held.add(conn)
            return
        super().finish_request(conn, fs)
        if arrival := getattr(conn, "arrival", None):
            conn.timeout = min(conn.timeout or arrival.deadline, arrival.deadline)

    def murder_pending(self) -> None:
        """Close connections past their deadline. Deadlines differ, so all are checked, once a second."""
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

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled and self.alive)
        if self.alive:
            return
        for listener in self.sockets:
            self._accept_rest(listener)
            listener.close()
        self.sockets = []
        self.held.resume_all()
        # Connections that never sent a request end with those that are kept.
        for connection in self.pending_conns:
            connection.timeout = min(connection.timeout, time.monotonic() + STOP_LINGER_S)

    def is_parent_alive(self) -> bool:
        """Stop if the master is gone; gunicorn's own worker would keep serving its open socket."""
        is_alive = bool(super().is_parent_alive())
        if not is_alive:
            self.alive = False
        return is_alive

    def _accept_rest(self, listener: Any) -> None:
        before = -1
        while before < self.nr_conns:
            before = self.nr_conns
            self.accept(listener)


def _stop_receiving(connection: socket.socket) -> None:
    """Shut down reading, so that the worker closes the connection without waiting.

    gunicorn's main thread, which accepts all connections, waits up to 2 s for each client to close first: 66 that did
    not stopped a hub for a minute. It still reads the bytes that have arrived, so that the client gets its response.
    """
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def _has_next_request(connection: socket.socket) -> bool:
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(NEXT_REQUEST_MS))
