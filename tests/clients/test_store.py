"""The store as a plain conda channel: clients read it without the hub, from a folder and from buckets."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.archives import SHARED_PACKAGES
from tests.clients.conftest import seconds_to_upload
from tests.clients.plain import ask, records, seconds_until, seconds_until_indexed, until_settled
from tests.clients.reader import Reader, from_bucket
from tests.live import LiveHub, live_hub
from tests.stores import S3Server, rclone_server

FILES = {
    "linux-64": ["dummy-a-0.1.0-hb0f4dca_0.conda", "dummy-c-0.1.0-hb0f4dca_0.conda", "package-0.2.0-hb0f4dca_0.conda"],
    "noarch": ["clobber-1-0.1.0-h4616a5c_0.tar.bz2", "clobber-1-0.2.0-h4616a5c_0.tar.bz2"],
}
PATHS = {f"{subdir}/{name}" for subdir, names in FILES.items() for name in names}
SPECS = ("package", "dummy-a", "clobber-1")
SOLVED = ["clobber-1-0.2.0-h4616a5c_0.tar.bz2", *FILES["linux-64"]]
INSTALLED = {"bin/dummy-a", "bin/dummy-c", "bin/package0.2.0", "clobber.txt"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    """Yield rclone's server, which checks signatures. test_accel.py has moto's and SeaweedFS."""
    with rclone_server(tmp_path / "buckets") as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store of a hub that was stopped, with the channels `demo` and `fresh`."""
    with live_hub(tmp_path_factory.mktemp("hub")) as hub:
        fill(hub)
        hub.manage("createchannel", "fresh", "--owner", "admin")
        seconds_until((hub.data_dir / "channels" / "fresh" / "noarch" / "run_exports.json").exists)
        until_settled(hub)
    return hub.data_dir / "channels"


def test_folder_behind_any_web_server_is_a_channel(folder: Path) -> None:
    with web_server(folder) as url:
        for shards in (True, False):
            reader = Reader(f"{url}/demo", shards=shards)
            assert set(reader.records()) == PATHS
            assert reader.solve(*SPECS) == SOLVED
            assert set(reader.install(*SPECS)) >= INSTALLED


def test_new_channels_folder_is_a_channel_already(folder: Path) -> None:
    with web_server(folder) as url:
        assert Reader(f"{url}/fresh").records() == {}


def test_bucket_is_a_channel(server: S3Server, tmp_path: Path) -> None:
    with live_hub(tmp_path, **server.environment()) as hub:
        key = fill(hub)
        check_reading_through(hub, key)
        assert not is_redirected(hub, server, key)
        hub.restart(HUB_DELIVERY="redirect")
        check_reading_through(hub, key)
        assert is_redirected(hub, server, key)
    for shards in (True, False):
        reader = from_bucket(server, "demo", shards=shards)
        assert set(reader.records()) == PATHS
        assert reader.solve(*SPECS) == SOLVED
    assert set(reader.install(*SPECS)) >= INSTALLED


def check_reading_through(hub: LiveHub, key: str) -> None:
    reader = Reader(f"{hub.url}/demo", {"BearerToken": key})
    assert set(reader.records()) == PATHS
    assert set(reader.install(*SPECS)) >= INSTALLED


def fill(hub: LiveHub) -> str:
    """Upload FILES into a new private channel `demo` and wait for its index. Return a key."""
    hub.manage("createchannel", "demo", "--owner", "admin")
    key = hub.manage("createapikey", "admin", "--name", "test", "--scope", "read", "--scope", "upload")
    seconds_to_upload(hub, "demo", [SHARED_PACKAGES / path for path in sorted(PATHS)], key)
    until_settled(hub)
    for subdir, names in FILES.items():
        seconds_until_indexed(hub, "demo", subdir, names, key)
    return key


def is_redirected(hub: LiveHub, server: S3Server, key: str) -> bool:
    """Tell whether a package is redirected to the bucket. Index files are never redirected."""
    assert records(hub, "demo", "noarch", key)
    answer = ask(hub, f"/demo/noarch/{FILES['noarch'][0]}", key)
    if answer.status == 200:
        assert answer.body == (SHARED_PACKAGES / "noarch" / FILES["noarch"][0]).read_bytes()
        return False
    assert answer.status == 302
    assert urlsplit(answer.headers["Location"]).netloc == urlsplit(server.endpoint_url).netloc
    return True


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Run `python -m http.server` over `folder`. Yield its URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)))
        thread = Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        yield f"http://127.0.0.1:{server.server_port}"
