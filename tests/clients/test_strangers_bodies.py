"""Unauthenticated clients before nginx: their bodies are not stored, and slow clients don't block others."""

import secrets
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from hub.sizes import MIB
from tests.archives import make_conda
from tests.clients.plain import upload
from tests.live import LiveHub, live_hub
from tests.nginx import fronted

SLOW = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strangers")


@pytest.fixture(scope="module")
def embedded(folder: Path) -> Iterator[LiveHub]:
    with live_hub(folder) as hub:
        hub.manage("createchannel", "demo", "--owner", "admin")
        yield hub


@pytest.fixture(scope="module")
def front(embedded: LiveHub, folder: Path) -> Iterator[LiveHub]:
    with fronted(embedded, folder) as hub:
        yield hub


@pytest.fixture(scope="module")
def key(embedded: LiveHub) -> str:
    return embedded.manage("createapikey", "admin", "--name", "x", "--scope", "upload").splitlines()[-1]


def head(path: str, hub: LiveHub, length: int, *more: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{hub.port}", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def spooled(folder: Path) -> int:
    """Return the bytes of request bodies on the disk, including deleted files that nginx holds open."""
    named = sum(path.stat().st_size for path in (folder / "cache" / "bodies").rglob("*") if path.is_file())
    held = 0
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(folder / "cache" / "bodies") in str(link.readlink()):
                held += link.stat().st_size
        except OSError:
            continue
    return named + held


def refused(hub: LiveHub, folder: Path, start: bytes, length: int) -> tuple[bytes, int, int]:
    """Send a body until the answer arrives. Return the answer, the bytes sent, and the most bytes on the disk."""
    sent, most, chunk = 0, 0, secrets.token_bytes(MIB)
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as client:
        client.sendall(start)
        answer = b""
        while sent < length and not answer:
            client.settimeout(0.02)
            try:
                answer = client.recv(65536)
            except TimeoutError:
                client.settimeout(10)
                try:
                    client.sendall(chunk)
                except OSError:
                    break
                sent += len(chunk)
            most = max(most, spooled(folder))
        client.settimeout(20)
        return answer or client.recv(65536), sent, most


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/api/v1/upload/demo", [], b"401"),
        ("/api/v1/upload/nowhere", [], b"401"),
        ("/api/v1/upload/demo", ["Authorization: Bearer chub-nonsense"], b"401"),
        ("/api/v1/upload/demo?force=true", ["Cookie: sessionid=x"], b"401"),
        ("/t/chub-nonsense/api/v1/upload/demo", [], b"401"),
        ("//api/v1/upload/demo", [], b"404"),
        ("/channels/demo/settings/upload", [], b"403"),
        ("/channels/demo/settings/upload", ["Cookie: sessionid=nonsense"], b"403"),
    ],
)
def test_a_strangers_body_lies_nowhere(front: LiveHub, folder: Path, path: str, more: list[str], status: bytes) -> None:
    length = 200 * MIB
    answer, sent, most = refused(front, folder, head(path, front, length, *more), length)
    assert answer.split(b" ")[1] == status, answer
    assert most == 0
    assert sent < 20 * MIB


def test_strangers_body_to_an_existing_file_with_a_fragment_is_not_stored(
    front: LiveHub, embedded: LiveHub, folder: Path, tmp_path: Path, key: str
) -> None:
    """The hub ignores fragments: the check of `FILE#` was a download of the file, and let the body pass."""
    package = make_conda(tmp_path)
    embedded.manage("createchannel", "open", "--owner", "admin")
    embedded.shell("Channel.objects.filter(name='open').update(is_private=False)")
    assert upload(embedded, "open", package, key).status == 201
    length = 200 * MIB
    for fragment in ("#", "#?x", "?x#"):
        start = head(f"/open/noarch/{package.name}{fragment}", front, length, method="PUT")
        answer, _, most = refused(front, folder, start, length)
        assert (answer.split(b" ")[1], most) == (b"401", 0)


def test_a_refusal_is_the_uploads_own(front: LiveHub, embedded: LiveHub) -> None:
    answers = []
    for hub in (embedded, front):
        with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as client:
            client.sendall(head("/api/v1/upload/demo", hub, 10, "Connection: close") + b"0123456789")
            answers.append(b"".join(iter(lambda: client.recv(65536), b"")).decode())
    for answer in answers:
        assert answer.startswith("HTTP/1.1 401")
        assert "X-Error-Code: credential_needed" in answer
        assert 'WWW-Authenticate: Bearer realm="channelhub", Basic realm="channelhub"' in answer
    assert len({answer.rpartition("\r\n\r\n")[2] for answer in answers}) == 1


@pytest.mark.parametrize("way", ["bearer", "basic", "path", "user"])
def test_upload_with_permission_is_accepted(front: LiveHub, tmp_path: Path, key: str, way: str) -> None:
    package = make_conda(tmp_path, name=f"pack{way}").read_bytes()
    headers = {"Content-Type": "application/octet-stream", "X-File-Name": f"pack{way}-1.0-0.conda"}
    if way == "bearer":
        headers["Authorization"] = f"Bearer {key}"
    elif way in ("basic", "user"):
        pair = f"any:{key}" if way == "basic" else f"{key}:"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    start = f"/t/{key}" if way == "path" else ""
    request = Request(f"{front.url}{start}/api/v1/upload/demo", package, headers, method="POST")
    with urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def test_the_page_is_still_a_page(front: LiveHub) -> None:
    with urlopen(f"{front.url}/channels/demo/settings/upload", timeout=20) as answer:
        assert "/accounts/login/" in answer.url


def trickle(hub: LiveHub, start: bytes, stop: threading.Event) -> None:
    """Send a byte per second."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=60) as client:
        for position in range(len(start)):
            if stop.is_set():
                return
            try:
                client.sendall(start[position : position + 1])
            except OSError:
                return
            stop.wait(1)


def stall(hub: LiveHub, start: bytes, stop: threading.Event) -> None:
    """Send the beginning of a body, then only wait."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=60) as client:
        client.sendall(start)
        stop.wait(60)


def slowest_of_five(hub: LiveHub) -> float:
    took = []
    for _ in range(5):
        begun = time.monotonic()
        urlopen(f"{hub.url}/channels", timeout=20).close()
        took.append(time.monotonic() - begun)
    return max(took)


@pytest.mark.parametrize("way", ["embedded", "front"])
@pytest.mark.parametrize("kind", ["headers", "form", "upload", "token", "chunked", "begun", "large"])
def test_slow_strangers_delay_no_request(request: pytest.FixtureRequest, way: str, kind: str, key: str) -> None:
    hub: LiveHub = request.getfixturevalue(way)
    form = "Content-Type: application/x-www-form-urlencoded"
    starts = {
        "headers": head("/channels", hub, 0, *[f"X-Slow-{number}: x" for number in range(20)], method="GET"),
        "begun": head("/", hub, 0, method="GET")[:-2],
        "form": head("/accounts/login/", hub, 1000, form) + b"login=",
        "upload": head("/api/v1/upload/demo", hub, 10**6) + b"0" * 100,
        "token": head("/api/oidc/mint_token", hub, 20_000) + b"{",
        "chunked": head("/api/oidc/mint_token", hub, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        + b"5\r\nabc",
        "large": head("/api/v1/upload/demo", hub, 50 * MIB, f"Authorization: Bearer {key}", "X-File-Name: a-1-0.conda")
        + b"0" * 100,
    }
    stop, how = threading.Event(), trickle if kind == "headers" else stall
    threads = [threading.Thread(target=how, args=(hub, starts[kind], stop)) for _ in range(SLOW)]
    try:
        for thread in threads:
            thread.start()
        time.sleep(3)
        # A busy machine delays some of them; a blocked hub would delay all of them.
        slowest = [slowest_of_five(hub) for _ in range(3)]
        assert min(slowest) < 2, slowest
    finally:
        stop.set()
        for thread in threads:
            thread.join()
