"""A channel of another server: a folder that rattler-index has indexed. The server notes its requests."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from pytest_django import Settings
from rattler.index import index_fs

from tests.archives import make_conda, make_tar_bz2

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class SourceServer:
    """The server: `answers` replaces files by answers, `credential` is a header that each request needs."""

    folder: Path
    url: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answers: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    credential: tuple[str, str] | None = None
    is_chunked: bool = False

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def packages(self) -> list[str]:
        return [path for path in self.paths() if path.endswith((".conda", ".tar.bz2"))]

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.requests.append((path, headers))
        if self.credential and headers.get(self.credential[0]) != self.credential[1]:
            return 401, {}, b""
        if path in self.answers:
            return self.answers[path]()
        file = self.folder / path.lstrip("/")
        return (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")


@contextmanager
def source_server(folder: Path, settings: Settings) -> Iterator[SourceServer]:
    """Serve the folder at an internal address, below /."""
    source = SourceServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = source.answer(self.path, dict(self.headers))
            self.send_response(status)
            is_chunked = source.is_chunked and status == HTTPStatus.OK
            size = {"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(len(body))}
            for name, value in {**size, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    source.url = f"http://127.0.0.1:{server.server_port}"
    settings.HUB_INTERNAL_HOSTS = [*settings.HUB_INTERNAL_HOSTS, f"127.0.0.1:{server.server_port}"]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()


def make_source(folder: Path) -> Path:
    """Make a channel with packages of both formats in two subdirs, as rattler-index writes it."""
    for subdir in ("noarch", "linux-64"):
        (folder / subdir).mkdir(parents=True)
    for version in ("1.0", "1.1", "2.0"):
        make_conda(folder / "noarch", name="lib", version=version)
    make_conda(folder / "noarch", name="other")
    make_tar_bz2(folder / "linux-64", name="app", subdir="linux-64")
    index(folder)
    return folder


def index(folder: Path) -> None:
    asyncio.run(index_fs(folder, write_zst=True, write_shards=True, force=True))


def change_index(folder: Path, subdir: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the repodata.json of a subdir, and remove its other forms."""
    path = folder / subdir / "repodata.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    for other in ("repodata.json.zst", "repodata_shards.msgpack.zst"):
        (folder / subdir / other).unlink(missing_ok=True)
