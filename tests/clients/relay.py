"""A relay before the hub that counts a client's connections and the bytes sent on each."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

CHUNK_BYTES = 64 * 1024


@dataclass
class Relay:
    """A relay. `sent`: the number of bytes that the client sent on each connection."""

    listener: socket.socket
    port: int  # the hub's
    sent: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                hub = socket.create_connection(("127.0.0.1", self.port))
                self.sent.append(0)
                Thread(target=self.pump, args=(client, hub, len(self.sent) - 1), daemon=True).start()
                Thread(target=self.pump, args=(hub, client, None), daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket, number: int | None) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                target.sendall(chunk)
                if number is not None:
                    self.sent[number] += len(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Relay(listener, port)
        Thread(target=made.accept, daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
