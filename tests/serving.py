"""A server of raw bytes for one connection; they may be invalid HTTP."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from pytest_django import Settings

STEP_S = 0.05

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(settings: Settings, serve: Serve, *, host: str = "127.0.0.1") -> Iterator[str]:
    """Start a server for one connection at an internal `host:port`. `serve` may fail when the client hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        netloc = f"{host}:{listener.getsockname()[1]}"
        settings.HUB_INTERNAL_HOSTS = [netloc]

        def serve_one() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                serve(connection)

        thread = Thread(target=serve_one, daemon=True)
        thread.start()
        yield netloc
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def answering(answer: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return serve


def dripping(start: bytes, drop: bytes) -> Serve:
    """Send `drop` again and again, each before the timeout, until the client hangs up."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        connection.settimeout(STEP_S)
        is_open = True
        while is_open:
            connection.sendall(drop)
            with suppress(TimeoutError):
                is_open = connection.recv(65536) != b""

    return serve


def ok(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", body])


def over_tls(file: Path, answer: bytes, drop: bytes = b"") -> Serve:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    serve = dripping(answer, drop) if drop else answering(answer)
    return lambda connection: serve(context.wrap_socket(connection, server_side=True))
