"""SeaweedFS's own figures: the access log of its S3 server, and the bytes that this server has counted.

The server sends its log to a collector (the protocol of fluentd: messages of msgpack, each `[tag, time, entry, …]`).
"""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import msgpack
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import free_port
from tests.stores import S3Server, seaweed_server

CHUNK_BYTES = 64 * 1024
QUIET_S = 0.5
TRAFFIC = "SeaweedFS_s3_bucket_traffic_{}_bytes_total"


@dataclass(frozen=True, slots=True)
class Traffic:
    """The bytes of bodies that the store received and sent, and the requests for packages by operation."""

    received_bytes: int
    sent_bytes: int
    requests: Counter[str]

    def since(self, before: "Traffic") -> "Traffic":
        received, sent = self.received_bytes - before.received_bytes, self.sent_bytes - before.sent_bytes
        return Traffic(received, sent, self.requests - before.requests)


@dataclass
class StoreLog:
    """The log of a server. `entries` are those of finished requests."""

    listener: socket.socket
    metrics_port: int
    entries: list[dict[str, Any]] = field(default_factory=list)

    def collect(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        messages = msgpack.Unpacker(raw=False)
        while chunk := connection.recv(CHUNK_BYTES):
            messages.feed(chunk)
            self.entries += [message[2] for message in messages]

    def traffic(self) -> Traffic:
        """Return the figures so far, once no entry has come for half a second."""
        before = -1
        while (now := len(self.entries)) != before:
            before = now
            time.sleep(QUIET_S)
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        received, sent = (
            sum(int(each.value) for family in families for each in family.samples if each.name == TRAFFIC.format(way))
            for way in ("received", "sent")
        )
        packages = (entry for entry in self.entries if entry["key"].endswith((".conda", ".tar.bz2")))
        return Traffic(received, sent, Counter(entry["operation"] for entry in packages))


@contextmanager
def logged_seaweed_server(folder: Path) -> Iterator[tuple[S3Server, StoreLog]]:
    """Start SeaweedFS with its data in `folder`, and collect its log."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        log = StoreLog(listener, free_port())
        Thread(target=log.collect, daemon=True).start()
        collector = {"fluent_host": "127.0.0.1", "fluent_port": listener.getsockname()[1], "fluent_network": "tcp"}
        config = folder.with_name(f"{folder.name}-log.json")
        config.write_text(json.dumps(collector))
        with seaweed_server(folder, f"-s3.auditLogConfig={config}", f"-metricsPort={log.metrics_port}") as server:
            yield server, log
        listener.shutdown(socket.SHUT_RDWR)
