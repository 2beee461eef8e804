"""Tests of nginx's log: it has no key in any spelling of path or Referer, even if the hub is down."""

import socket
from contextlib import suppress
from pathlib import Path

from deploy.local import free_port
from tests.nginx import nginx

SECRET = "S3cret0fN0hub" * 2
PATHS = [
    "/t/{}/d", "//t/{}", "/T/{}/?", "/./t/{}/x", "%2Ft%2F{}", "/%2Ft%2F{}/a", "/%74/{}/a", "/x/..//t/{}/a",
    "/%2574%252F{}", "/t%2f{}", "/a?key={}", "http://host/t/{}/a", "/a%5Ct%5C{}", "/t;/{}", "/\x01/t/{}",
    "/chub%2D{}", "/invitations%2f{}",
]  # fmt: skip


def test_no_line_holds_a_key(tmp_path: Path) -> None:
    with nginx(tmp_path, free_port(), tmp_path) as url:
        port = int(url.rpartition(":")[2])
        for path in PATHS:
            for method in ("GET", "POST"):
                lines = [f"{method} {path.format(SECRET)} HTTP/1.1", "Host: host", f"Referer: http://host/t/{SECRET}/a"]
                with socket.create_connection(("127.0.0.1", port), timeout=20) as client, suppress(OSError):
                    client.sendall("\r\n".join([*lines, "Content-Length: 0", "Connection: close", "", ""]).encode())
                    client.recv(100)
    log = "".join(path.read_text() for path in tmp_path.glob("nginx-*/log"))
    assert len(log.splitlines()) >= len(PATHS)
    assert SECRET not in log
