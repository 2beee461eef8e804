"""The connections that a worker holds for requests that wait for an event; see holding.py.

The worker's main thread owns the connections. One thread looks for events, by one call for all requests. One other
thread answers: two hundred clients that wait for the same event never take the threads of other requests.
"""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from hub.server.holding import HOLD, Hold

# Half of the connections that gunicorn allows each process.
HELD_MAX = 500
LOOK_S = 0.1
# Python switches between busy threads every 5 ms only, so each answer gives way to the requests of others.
PAUSE_S = 0.002

logger = logging.getLogger(__name__)


class KeptBackError(Exception):
    """The response is kept back, and its request is held."""

    def __init__(self, hold: Hold) -> None:
        super().__init__()
        self.hold = hold


@dataclass(frozen=True, slots=True)
class HeldRequest:
    request: Any
    hold: Hold


class HeldConnections:
    """The held connections of gunicorn's `worker`. Its connections have a HeldRequest as `held`, or None."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._held: dict[Any, HeldRequest] = {}
        self._answering = ThreadPoolExecutor(1)
        self._last = threading.local()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def application(self, wsgi: Callable[..., Any]) -> Callable[..., Any]:
        """Return the WSGI application that raises KeptBackError instead of a response that is to be kept back."""

        def ask(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            last = environ[HOLD] = getattr(self._last, "hold", None)
            response = wsgi(environ, start_response)
            hold: Hold | None = environ[HOLD]
            if hold is None or hold is last or hold.ends_at <= time.monotonic() or not self._has_room():
                return response
            response.close()
            raise KeptBackError(hold)

        return ask

    def _has_room(self) -> bool:
        return bool(self._worker.alive) and len(self._held) < HELD_MAX

    def add(self, connection: Any) -> None:
        """Hold the connection, in the main thread. The poller tells when its client leaves."""
        if not self._watcher.is_alive() and self._worker.alive:
            self._watcher.start()
        connection.sock.setblocking(False)
        self._held[connection] = connection.held
        self._worker.poller.register(connection.sock, selectors.EVENT_READ, partial(self._on_readable, connection))
        if not self._worker.alive:
            self.resume([connection])

    def resume_all(self) -> None:
        self.resume(list(self._held))

    def resume(self, connections: Iterable[Any]) -> None:
        """Ask the views of these connections again, one after the other."""
        for connection in connections:
            if self._held.pop(connection, None):
                with suppress(KeyError, ValueError):
                    self._worker.poller.unregister(connection.sock)
                connection.sock.setblocking(True)
                answer = self._answering.submit(self._answer, connection)
                answer.add_done_callback(
                    partial(self._worker.method_queue.defer, self._worker.finish_request, connection)
                )

    def _answer(self, connection: Any) -> Any:
        time.sleep(PAUSE_S)
        held, connection.held = connection.held, None
        self._last.hold = held.hold
        try:
            return self._worker.answer_again(held.request, connection)
        finally:
            self._last.hold = None

    def _on_readable(self, connection: Any, client: socket.socket) -> None:
        """Drop the connection if its client has left. Bytes of a next request wait for the answer of this one."""
        self._worker.poller.unregister(client)
        try:
            has_left = not client.recv(1, socket.MSG_PEEK)
        except OSError:
            has_left = True
        if has_left:
            del self._held[connection]
            self._worker.nr_conns -= 1
            connection.close()

    def _watch(self) -> None:
        while self._worker.alive:
            time.sleep(LOOK_S)
            held = {connection: each.hold for connection, each in list(self._held.items())}
            if due := _due(held):
                self._worker.method_queue.defer(self.resume, due)


def _due(held: dict[Any, Hold]) -> list[Any]:
    """Return the connections whose event is there, or whose time is over."""
    now = time.monotonic()
    due = [connection for connection, hold in held.items() if hold.ends_at <= now]
    for are_ready in {hold.are_ready for hold in held.values()}:
        waiting = [(connection, hold.wanted) for connection, hold in held.items() if hold.are_ready == are_ready]
        try:
            ready = are_ready([wanted for _, wanted in waiting])
        except Exception:
            logger.exception("could not look for the events of held requests")
            continue
        due += [connection for (connection, _), is_ready in zip(waiting, ready, strict=True) if is_ready]
    return due
