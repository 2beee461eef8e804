"""A receiver of webhooks in a thread, and a clock that tests move."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import orjson
import pytest
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User, Webhook
from channels_app.webhooks import webhooks


@dataclass
class Receiver:
    """A server that answers each request with `status`, `headers` and `body`, and keeps the received requests."""

    host: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"thanks"
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}/hook?from=hub"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [orjson.loads(body) for _, body in self.received]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.received]


@contextmanager
def receiving(settings: Settings) -> Iterator[Receiver]:
    """Run a receiver that the hub of this process may send to."""
    with listening() as receiver:
        settings.HUB_INTERNAL_HOSTS = [receiver.host]
        yield receiver


@contextmanager
def listening() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver.host = f"127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Clock:
    """A clock that tests move forward. The database keeps its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead, real = timedelta(), timezone.now
        monkeypatch.setattr(timezone, "now", lambda: real() + self.ahead)

    def forward(self, **duration: float) -> None:
        self.ahead += timedelta(**duration)


def make_webhook(
    channel: Channel,
    owner: User,
    url: str = "https://ci.example.org/hook",
    events: tuple[str, ...] = ("artifact.yanked",),
) -> tuple[Webhook, str]:
    """Add a webhook and return it with its secret."""
    return webhooks.add(actor=Actor(user=owner), channel=channel, url=url, events=events)
