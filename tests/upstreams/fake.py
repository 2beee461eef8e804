"""A fake upstream on 127.0.0.1: a channel with shards, zst and JSON, whose answers a test can spoil."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgpack
import zstandard

Record = dict[str, Any]
# (status, headers, body) for a path, in place of the channel's own answer. A body in parts needs a Content-Length.
Spoiled = tuple[int, dict[str, str], bytes | Iterable[bytes]]


def record(name: str, version: str = "1.0", build: str = "0", content: bytes = b"bytes", **more: Any) -> Record:
    """Return the record of a package whose bytes are `content`."""
    digests = {"sha256": hashlib.sha256(content).hexdigest(), "md5": hashlib.md5(content).hexdigest()}
    base = {"name": name, "version": version, "build": build, "build_number": 0, "subdir": "noarch", "depends": []}
    return {**base, "size": len(content), **digests, **more}


class FakeUpstream:
    """The files of the upstream, by path, and the requests that it got."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.spoiled: dict[str, Spoiled | Callable[[], Spoiled]] = {}
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def publish(self, *records: Record, subdir: str = "noarch", forms: tuple[str, ...] = ("shards",)) -> None:
        """Replace the index of the subdir by these records."""
        packages = {f"{each['name']}-{each['version']}-{each['build']}.conda": each for each in records}
        plain = json.dumps({"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages, "removed": []})
        if "shards" in forms:
            self._publish_shards(packages, subdir)
        if "zst" in forms:
            self.files[f"{subdir}/repodata.json.zst"] = zstandard.compress(plain.encode())
        if "json" in forms:
            self.files[f"{subdir}/repodata.json"] = plain.encode()

    def add_package(self, name: str, content: bytes, **more: Any) -> Record:
        """Add the file of a package, and return its record."""
        found = record(name, content=content, **more)
        self.files[f"noarch/{name}-{found['version']}-{found['build']}.conda"] = content
        return found

    def _publish_shards(self, packages: dict[str, Record], subdir: str) -> None:
        digests = {}
        for name in {each["name"] for each in packages.values()}:
            of_name = {
                key: value | {"sha256": bytes.fromhex(value["sha256"]), "md5": bytes.fromhex(value["md5"])}
                for key, value in packages.items()
                if value["name"] == name
            }
            shard = zstandard.compress(msgpack.packb({"packages": {}, "packages.conda": of_name, "removed": []}))
            digests[name] = hashlib.sha256(shard).digest()
            self.files[f"{subdir}/shards/{digests[name].hex()}.msgpack.zst"] = shard
        info = {
            "subdir": subdir,
            "base_url": "./",
            "shards_base_url": "./shards/",
            "created_at": "2026-01-01T00:00:00Z",
        }
        index = zstandard.compress(msgpack.packb({"version": 1, "info": info, "shards": digests}))
        self.files[f"{subdir}/repodata_shards.msgpack.zst"] = index


@contextmanager
def running(upstream: FakeUpstream) -> Iterator[FakeUpstream]:
    """Serve the upstream until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = self.path.removeprefix("/")
            upstream.requests[path] += 1
            upstream.headers.append(dict(self.headers))
            spoiled = upstream.spoiled.get(path)
            status, headers, body = (spoiled() if callable(spoiled) else spoiled) or self._file(path)
            self.send_response(status)
            length = {"Content-Length": str(len(body))} if isinstance(body, bytes) else {}
            for name, value in (length | headers).items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                for part in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(part)
            if "Content-Length" in headers:
                self.close_connection = True

        def _file(self, path: str) -> Spoiled:
            content = upstream.files.get(path)
            if content is None:
                return 404, {}, b""
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == tag:
                return 304, {"ETag": tag}, b""
            return 200, {"ETag": tag}, content

        def log_message(self, *args: object) -> None:
            """Leave out the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        upstream.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield upstream
        finally:
            server.shutdown()
