"""Tests of nginx between a fake hub and a fake store: responses, caching and errors of HUB_DELIVERY=accel."""

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest

from tests.nginx import nginx

CONTENT = bytes(range(256)) * 4
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
KEY = "demo/noarch/pack-1!2.0+local-0.conda"
QUOTED_KEY = "demo/noarch/pack-1%212.0%2Blocal-0.conda"
HUBS_HEADERS = {
    "ETag": ETAG,
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Type": "application/octet-stream",
    "Last-Modified": "Fri, 01 May 2026 12:00:00 GMT",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
    "Vary": "Authorization, Cookie",
    "X-Request-ID": "0123456789abcdef",
    "Content-Security-Policy": "default-src 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=()",
    "Strict-Transport-Security": "max-age=31536000",
}
SENTENCE = b"The package store does not answer. Nothing was changed; try again.\n"


class SentResponse(NamedTuple):
    """A response that a server sends."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class Answer(NamedTuple):
    """A response that the client received."""

    status: int
    headers: Message
    body: bytes

    def all(self, name: str) -> list[str]:
        return list(self.headers.get_all(name, []))


class ReceivedRequest(NamedTuple):
    method: str
    path: str
    headers: Message


class Server:
    """A server that sends `answer` to every request and records the requests. `first` are sent before it, once each."""

    def __init__(self) -> None:
        self.answer = SentResponse(200, {})
        self.first: list[SentResponse] = []
        self.received: list[ReceivedRequest] = []
        self.port = 0

    @contextmanager
    def running(self) -> Iterator["Server"]:
        this = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                this.received.append(ReceivedRequest(self.command, self.path, self.headers))
                status, headers, body = this.first.pop(0) if this.first else this.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_GET = do_HEAD = answer  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.port = server.server_port
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield self
            server.shutdown()
            thread.join()


class World(NamedTuple):
    hub: Server
    store: Server
    port: int
    folder: Path

    def ask(self, path: str = "/demo/x", method: str = "GET", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def from_folder(self, **headers: str) -> None:
        self.hub.answer = SentResponse(
            200, HUBS_HEADERS | {"X-Accel-Redirect": f"/.files/folder/{QUOTED_KEY}"} | headers
        )

    def from_store(self, entry: str = "private/one", **headers: str) -> None:
        url = f"http://127.0.0.1:{self.store.port}/bucket/{QUOTED_KEY}?X-Amz-Signature=a%2Fb%2Bc"
        words = {"X-Accel-Redirect": f"/.files/store/{entry}/{QUOTED_KEY}", "X-Store-URL": url}
        self.hub.answer = SentResponse(200, HUBS_HEADERS | words | headers)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("nginx")
    channels = folder / "channels"
    (channels / KEY).parent.mkdir(parents=True)
    with ExitStack() as stack:
        hub, store = stack.enter_context(Server().running()), stack.enter_context(Server().running())
        url = stack.enter_context(nginx(folder, hub.port, channels))
        yield World(hub, store, int(url.rpartition(":")[2]), folder)


@pytest.fixture
def world(servers: World, request: pytest.FixtureRequest) -> World:
    """Put the same file in the folder and in the store; nginx has not cached it."""
    servers.hub.received.clear()
    servers.store.received.clear()
    servers.store.first.clear()
    servers.store.answer = SentResponse(
        200, {"ETag": '"md5"', "Last-Modified": "Fri, 01 May 2026 10:00:00 GMT"}, CONTENT
    )
    (servers.folder / "channels" / KEY).write_bytes(CONTENT)
    entry = f"private/{hashlib.sha256(request.node.name.encode()).hexdigest()}"
    servers.from_store(entry)
    return servers


@pytest.fixture(params=["folder", "store"])
def sent(world: World, request: pytest.FixtureRequest) -> World:
    if request.param == "folder":
        world.from_folder()
    return world


def test_the_answer_is_the_file_with_the_hubs_headers(sent: World) -> None:
    for method in ("GET", "HEAD", "GET"):
        answer = sent.ask(method=method)
        assert (answer.status, answer.body) == (200, CONTENT if method == "GET" else b"")
        found = {name: value for name, value in answer.headers.items() if name not in ("Date", "Server", "Connection")}
        assert found == HUBS_HEADERS | {"Content-Length": str(len(CONTENT)), "Accept-Ranges": "bytes"}
        assert len(answer.headers.items()) == len(dict(answer.headers.items()))


@pytest.mark.parametrize(
    ("headers", "status", "part"),
    [
        ({"Range": "bytes=0-0"}, 206, slice(0, 1)),
        ({"Range": "bytes=10-19"}, 206, slice(10, 20)),
        ({"Range": "bytes=1000-"}, 206, slice(1000, None)),
        ({"Range": "bytes=-5"}, 206, slice(-5, None)),
        ({"Range": "bytes=0-1,3-4"}, 200, slice(None)),
        ({"Range": "bytes=10-19", "If-Range": ETAG}, 206, slice(10, 20)),
        ({"Range": "bytes=10-19", "If-Range": '"md5"'}, 200, slice(None)),
        ({"Range": "bytes=10-19", "If-Range": "Fri, 01 May 2026 10:00:00 GMT"}, 200, slice(None)),
        ({"Range": "bytes=10-19", "If-Range": HUBS_HEADERS["Last-Modified"]}, 206, slice(10, 20)),
        ({"If-None-Match": '"other"'}, 200, slice(None)),
        ({"If-Modified-Since": "Fri, 01 May 2036 10:00:00 GMT"}, 200, slice(None)),
        ({"Accept-Encoding": "gzip"}, 200, slice(None)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_ranges_and_conditions_get_their_status(sent: World, headers: dict[str, str], status: int, part: slice) -> None:
    for _ in ("not kept yet", "kept"):
        answer = sent.ask(**headers)
        assert (answer.status, answer.body) == (status, CONTENT[part])
        assert answer.headers["ETag"] == ETAG
        if status == 206:
            first, last, _ = part.indices(len(CONTENT))
            assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(CONTENT)}"


def test_store_gets_one_request_without_credentials(world: World) -> None:
    secrets = {"Authorization": "Bearer chub-x", "Cookie": "sessionid=x", "X_Store_URL": "http://127.0.0.1:1/"}
    for _ in range(3):
        assert world.ask(Range="bytes=0-1", **secrets).status == 206
    [received] = world.store.received
    assert (received.method, received.path) == ("GET", f"/bucket/{QUOTED_KEY}?X-Amz-Signature=a%2Fb%2Bc")
    assert {name.lower() for name in received.headers} <= {"host", "connection"}
    assert received.headers["Host"] == f"127.0.0.1:{world.store.port}"
    assert len(world.hub.received) == 3


@pytest.mark.parametrize("changed", ["public/one", "private/two"])
def test_every_state_of_a_file_and_every_visibility_has_an_entry_of_its_own(world: World, changed: str) -> None:
    world.from_store("private/one")
    world.ask()
    world.store.answer = SentResponse(200, {}, b"other bytes")
    assert world.ask().body == CONTENT
    world.from_store(changed)
    assert world.ask().body == b"other bytes"


@pytest.mark.parametrize(
    "path",
    [
        f"/.files/folder/{QUOTED_KEY}",
        f"/.files/store/private/one/{QUOTED_KEY}",
        f"//.files/folder/{QUOTED_KEY}",
        f"/%2efiles/folder/{QUOTED_KEY}",
        f"/x/../.files/folder/{QUOTED_KEY}",
        f"/.files/folder/../folder/{QUOTED_KEY}",
    ],
)
def test_internal_location_from_outside_is_404(world: World, path: str) -> None:
    world.hub.answer = SentResponse(404, {}, b"from the hub")
    answer = world.ask(path, X_Accel_Redirect=path, X_Store_URL=f"http://127.0.0.1:{world.store.port}/")
    assert answer.status == 404
    assert CONTENT not in answer.body
    assert world.store.received == []


def test_no_header_of_a_client_leads_nginx_anywhere(world: World) -> None:
    world.hub.answer = SentResponse(200, {}, b"from the hub")
    answer = world.ask(X_Accel_Redirect="/.files/store/x", X_Store_URL=f"http://127.0.0.1:{world.store.port}/")
    assert (answer.body, world.store.received) == (b"from the hub", [])


def test_headers_and_redirects_of_the_store_are_dropped(world: World) -> None:
    said = {
        "X-Accel-Redirect": f"/.files/folder/{QUOTED_KEY}",
        "Cache-Control": "no-store",
        "Set-Cookie": "a=b",
        "Vary": "*",
        "Permissions-Policy": "camera=*",
        "Content-Security-Policy": "default-src *",
        "Content-Type": "text/html",
        "Content-Disposition": "attachment",
        "x-amz-request-id": "secret",
        "Location": "http://elsewhere.example",
        "Last-Modified": "Fri, 01 May 2026 10:00:00 GMT",
        "Access-Control-Allow-Origin": "https://elsewhere.example",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "x-amz-request-id",
    }
    world.store.answer = SentResponse(200, said, b"from the store")
    for _ in range(2):
        answer = world.ask()
        assert (answer.status, answer.body) == (200, b"from the store")
        for name in HUBS_HEADERS:
            assert answer.all(name) == [HUBS_HEADERS[name]]
        unwanted = {"Set-Cookie", "Content-Disposition", "x-amz-request-id", "Access-Control-Allow-Credentials"}
        assert not unwanted & set(answer.headers)
    assert len(world.store.received) == 1


@pytest.mark.parametrize("name", ["Last-Modified", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"])
def test_nginx_header_that_the_hub_does_not_send_is_not_there(sent: World, name: str) -> None:
    status, headers, _ = sent.hub.answer
    sent.hub.answer = SentResponse(status, {header: value for header, value in headers.items() if header != name})
    sent.store.answer = SentResponse(200, {name: "Fri, 01 May 2026 10:00:00 GMT"}, CONTENT)
    assert name not in sent.ask().headers


def test_nginx_encoded_index_keeps_its_encoding_and_its_bytes(sent: World) -> None:
    status, headers, _ = sent.hub.answer
    sent.hub.answer = SentResponse(status, headers | {"Content-Encoding": "zstd", "Content-Type": "application/json"})
    answer = sent.ask(Accept_Encoding="zstd, gzip")
    assert (answer.all("Content-Encoding"), answer.body) == (["zstd"], CONTENT)
    assert answer.all("Content-Type") == ["application/json"]


@pytest.mark.parametrize(
    ("content_type", "is_compressed"),
    [("text/css", True), ("text/javascript", True), ("image/svg+xml", True), ("font/woff2", False)],
)
def test_nginx_static_text_is_compressed(world: World, content_type: str, is_compressed: bool) -> None:
    world.hub.answer = SentResponse(200, {"Content-Type": content_type, "ETag": '"a"'}, CONTENT)
    answer = world.ask("/static/x", Accept_Encoding="gzip")
    assert answer.all("Content-Encoding") == (["gzip"] if is_compressed else [])
    assert (gzip.decompress(answer.body) if is_compressed else answer.body) == CONTENT
    assert world.ask("/static/x").body == CONTENT
    assert world.ask("/elsewhere", Accept_Encoding="gzip").all("Content-Encoding") == []


def test_missing_file_of_a_public_channel_is_404_with_cors_headers(sent: World) -> None:
    (sent.folder / "channels" / KEY).unlink()
    sent.store.answer = SentResponse(404, {}, b"<Error/>")
    assert sent.ask().all("Access-Control-Allow-Origin") == ["*"]


@pytest.mark.parametrize("linked", [KEY, KEY.partition("/")[0]], ids=["file", "folder"])
def test_link_in_the_folder_of_a_channel_is_not_followed(world: World, linked: str) -> None:
    path, moved = world.folder / "channels" / linked, world.folder / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    world.from_folder()
    answer = world.ask()
    path.unlink()
    moved.rename(path)
    assert (answer.status, answer.body) == (503, SENTENCE)
    assert world.ask().body == CONTENT


@pytest.mark.parametrize("status", [301, 400, 403, 404, 416, 500, 503])
def test_failing_store_gets_503_without_caching(world: World, status: int) -> None:
    world.store.answer = SentResponse(
        status, {"Location": "http://elsewhere.example"}, b"<Error>bucket-with-a-secret</Error>"
    )
    answer = world.ask()
    assert (answer.status, answer.body) == (503, SENTENCE)
    assert answer.headers["Retry-After"] == "5"
    assert "no-store" in ", ".join(answer.all("Cache-Control"))
    assert "ETag" not in answer.headers
    world.store.answer = SentResponse(200, {}, CONTENT)
    assert world.ask().body == CONTENT


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=10-19"}], ids=["whole", "range"])
def test_single_failure_of_the_store_is_repeated(world: World, status: int, headers: dict[str, str]) -> None:
    world.store.first.append(SentResponse(status, {"ETag": '"error"', "Content-Type": "text/xml"}, b"<Error/>"))
    again, cached = world.ask(**headers), world.ask(**headers)
    assert again.body == cached.body == (CONTENT[10:20] if headers else CONTENT)
    assert again.status == cached.status == (206 if headers else 200)
    for name, value in HUBS_HEADERS.items():
        assert again.all(name) == [value]
    assert world.ask(**headers).body == again.body
    assert len(world.store.received) == 3


def test_store_that_goes_on_failing_gets_two_requests(world: World) -> None:
    world.store.answer = SentResponse(503, {})
    assert world.ask().status == 503
    assert len(world.store.received) == 2


def test_a_store_that_is_not_there_is_503(world: World) -> None:
    world.hub.answer = SentResponse(200, {**world.hub.answer.headers, "X-Store-URL": "http://127.0.0.1:1/"})
    assert world.ask()[0::2] == (503, SENTENCE)


def test_a_file_that_the_store_lacks_is_its_fault_unless_its_time_may_be_over(sent: World) -> None:
    (sent.folder / "channels" / KEY).unlink()
    sent.store.answer = SentResponse(404, {}, b"<Error/>")
    assert sent.ask()[0::2] == (503, SENTENCE)
    status, headers, _ = sent.hub.answer
    sent.hub.answer = SentResponse(status, {**headers, "X-File-May-Be-Gone": "yes"})
    assert sent.ask()[0::2] == (404, b"There is no such file any more.\n")
