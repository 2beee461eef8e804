"""Tests of a page of another origin that reads a public channel in Chromium, for each way of delivery."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import msgpack
import pytest
import zstandard
from playwright.sync_api import Browser, Page

from tests.archives import make_conda
from tests.clients.plain import ask, seconds_until, seconds_until_indexed, upload
from tests.live import LiveHub, live_hub
from tests.nginx import fronted
from tests.stores import moto_server

FILE = "demo-1.0-0.conda"
SHARD_INDEX = "noarch/repodata_shards.msgpack.zst"
FETCH = """
async ([url, headers]) => {
  const answer = await fetch(url, {headers, cache: "no-store"});
  const read = name => answer.headers.get(name);
  const bytes = Array.from(new Uint8Array(await answer.arrayBuffer()));
  return {status: answer.status, bytes, etag: read("ETag"), range: read("Content-Range"), size: read("Content-Length"),
          encoding: read("Content-Encoding"), modified: read("Last-Modified")};
}
"""


@dataclass(frozen=True)
class Notebook:
    """A page of an origin other than the hub's."""

    page: Page
    url: str
    content: bytes

    def fetch(self, path: str, **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: dict[str, Any] = self.page.evaluate(FETCH, [f"{self.url}{path}", named])
        return answer | {"bytes": bytes(answer["bytes"])}

    def is_refused(self, path: str, **headers: str) -> bool:
        """Tell whether the browser hides the response from the page."""
        try:
            self.fetch(path, **headers)
        except Exception as error:  # noqa: BLE001  (Playwright's error for any exception of the page)
            return "Failed to fetch" in str(error)
        return False


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Run a server for an empty page and yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=["stream", "accel", "redirect"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveHub, bytes]]:
    """Run a hub with the channels `open` and `private`. Yield it with the bytes of the package in each."""
    folder, how = tmp_path_factory.mktemp("hub"), request.param
    path = make_conda(folder)
    with ExitStack() as stack:
        bucket = stack.enter_context(moto_server()).environment() if how == "redirect" else {}
        direct = stack.enter_context(live_hub(folder, HUB_DELIVERY=how, HUB_PROXIES="0", **bucket))
        hub = stack.enter_context(fronted(direct, folder)) if how == "accel" else direct
        hub.manage("createchannel", "open", "--owner", "admin", "--public")
        hub.manage("createchannel", "private", "--owner", "admin")
        key = hub.manage("createapikey", "admin", "--name", "test", "--scope", "read", "--scope", "upload")
        for channel in ("open", "private"):
            assert upload(hub, channel, path, key).status == 201
            seconds_until_indexed(hub, channel, "noarch", [FILE], key)
        yield hub, path.read_bytes()


@pytest.fixture
def notebook(hub: tuple[LiveHub, bytes], elsewhere: str, browser: Browser) -> Iterator[Notebook]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(elsewhere)
    yield Notebook(page, hub[0].url, hub[1])
    context.close()


def test_page_of_another_origin_reads_a_public_channel(notebook: Notebook) -> None:
    seconds_until(lambda: notebook.fetch(f"/open/{SHARD_INDEX}")["modified"] is not None)
    index = notebook.fetch(f"/open/{SHARD_INDEX}")
    shards = msgpack.unpackb(zstandard.decompress(index["bytes"]))["shards"]
    shard = notebook.fetch(f"/open/noarch/shards/{shards['demo'].hex()}.msgpack.zst")
    assert FILE in msgpack.unpackb(zstandard.decompress(shard["bytes"]))["packages.conda"]
    assert notebook.fetch(f"/open/noarch/{FILE}")["bytes"] == notebook.content

    again = notebook.fetch(f"/open/{SHARD_INDEX}", If_None_Match=index["etag"])
    assert (again["status"], again["etag"]) == (304, index["etag"])
    unchanged = notebook.fetch(f"/open/{SHARD_INDEX}", If_Modified_Since=index["modified"])
    assert unchanged["status"] == 304
    assert notebook.fetch("/open/noarch/none-1-0.conda")["status"] == 404
    assert notebook.fetch("/open/noarch/shards/" + "0" * 64 + ".msgpack.zst")["status"] == 404


def test_page_of_another_origin_reads_parts_of_a_package(notebook: Notebook, hub: tuple[LiveHub, bytes]) -> None:
    part = notebook.fetch(f"/open/noarch/{FILE}", Range="bytes=10-19")
    assert (part["status"], part["bytes"]) == (206, notebook.content[10:20])
    tail = notebook.fetch(f"/open/noarch/{FILE}", Range="bytes=-7", If_Range="x")
    assert tail["bytes"] in (notebook.content[-7:], notebook.content)
    if ask(hub[0], f"/open/noarch/{FILE}").status != 302:  # with redirects, the bucket's CORS rules decide
        assert (part["range"], part["size"]) == (f"bytes 10-19/{len(notebook.content)}", "10")


def test_browser_decodes_json_that_was_sent_as_zstd(notebook: Notebook) -> None:
    answer = notebook.fetch("/open/noarch/repodata.json")
    assert b'"packages.conda"' in answer["bytes"]
    assert (answer["encoding"], answer["etag"][-6:]) == (None, '-zstd"')


@pytest.mark.parametrize("channel", ["private", "missing"])
def test_page_of_another_origin_reads_no_private_channel(notebook: Notebook, channel: str) -> None:
    for path in (SHARD_INDEX, f"noarch/{FILE}", "channeldata.json"):
        assert notebook.is_refused(f"/{channel}/{path}")
        assert notebook.is_refused(f"/{channel}/{path}", If_None_Match='"x"')
