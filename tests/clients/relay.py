"""A relay before a server that counts a client's connections, and the bytes in both directions."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

CHUNK_BYTES = 64 * 1024


@dataclass
class Relay:
    """A relay. `sent` and `received`: the numbers of bytes from and to the client on each connection.

    It holds what clients send while `gate` is not set; `held` is set once it does.
    """

    listener: socket.socket
    port: int  # the server's
    sent: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    gate: Event = field(default_factory=Event)
    held: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                number = len(self.sent)
                self.sent.append(0)
                self.received.append(0)
                Thread(target=self.pump, args=(client, server, self.sent, number), daemon=True).start()
                Thread(target=self.pump, args=(server, client, self.received, number), daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket, counts: list[int], number: int) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                if counts is self.sent and not self.gate.is_set():
                    self.held.set()
                    self.gate.wait()
                target.sendall(chunk)
                counts[number] += len(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Relay(listener, port)
        made.gate.set()
        Thread(target=made.accept, daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
