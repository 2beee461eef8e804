"""Responses of a channel, header by header: conditional requests, ranges, HEAD, and access."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPMessage
from pathlib import Path
from socket import create_connection
from typing import Any

import msgpack
import pytest
import zstandard

from channels_app.identifiers import KNOWN_SUBDIRS
from tests.archives import make_conda
from tests.clients.conftest import Keys
from tests.clients.plain import ask, seconds_until, seconds_until_indexed, until_settled, upload
from tests.live import LiveHub
from tests.stack import DELIVERY

SUBDIR_FILES = (
    "repodata.json",
    "repodata.json.zst",
    "repodata_shards.msgpack.zst",
    "run_exports.json",
    "run_exports.json.zst",
    "current_repodata.json",
)
CHANNEL_FILES = ("channeldata.json", "notices.json")
INDEX_FILES = (*CHANNEL_FILES, *(f"noarch/{name}" for name in SUBDIR_FILES))
# rattler opens connections in advance and leaves some unused.
IDLE_CONNECTIONS = 32
# A connection that blocks a thread would block it for 5 s.
UNHINDERED_S = 4
# A redirected client gets the store's headers instead of the hub's.
by_the_hub = pytest.mark.skipif(DELIVERY == "redirect", reason="with redirect the store answers for packages")
# Headers that differ between responses to the same request.
CHANGING_HEADERS = ("Date", "Connection", "X-Request-ID")


@pytest.fixture(scope="package")
def file(hub: LiveHub, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish the only package of the private channel `reading`, and wait for its indexes."""
    hub.manage("createchannel", "reading", "--owner", "olga")
    file = make_conda(tmp_path_factory.mktemp("reading"), name="read", files={"junk": bytes(range(256)) * 40})
    assert upload(hub, "reading", file, keys.olga).status == 201
    seconds_until_indexed(hub, "reading", "noarch", [file.name], keys.olga)
    until_settled(hub)
    return file


@pytest.fixture(scope="package")
def paths(hub: LiveHub, keys: Keys, file: Path) -> list[str]:
    """Return one URL for every kind of file of a channel."""
    index = unpack(ask(hub, "/reading/noarch/repodata_shards.msgpack.zst", keys.olga).body)
    shard = f"noarch/shards/{index['shards']['read'].hex()}.msgpack.zst"
    names = (*INDEX_FILES, shard, f"noarch/{file.name}", "linux-64/repodata.json", "win-64/repodata_shards.msgpack.zst")
    return [f"/reading/{name}" for name in names]


@by_the_hub
def test_every_file_is_known_by_its_etag(hub: LiveHub, keys: Keys, paths: list[str]) -> None:
    for path in paths:
        first = ask(hub, path, keys.olga)
        assert first.status == 200, path
        again = ask(hub, path, keys.olga, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        other = ask(hub, path, keys.olga, headers={"If-None-Match": '"other"'})
        assert (other.status, other.body) == (200, first.body)


@by_the_hub
def test_head_answers_as_get_does(hub: LiveHub, keys: Keys, paths: list[str]) -> None:
    requests: list[tuple[str, str | None]] = [(path, keys.olga) for path in paths]
    requests += [(paths[0], None), (paths[0], keys.sam), ("/reading/noarch/none-1.0-0.conda", keys.olga)]
    for path, key in requests:
        got, head = ask(hub, path, key), ask(hub, path, key, method="HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert lasting(head.headers) == lasting(got.headers), path
        assert int(got.headers["Content-Length"]) == len(got.body)


def test_zst_files_have_no_content_encoding(hub: LiveHub, keys: Keys, paths: list[str]) -> None:
    for path in paths:
        answer = ask(hub, path, keys.olga, headers={"Accept-Encoding": "gzip, zstd"})
        if path.endswith(".zst"):
            assert "Content-Encoding" not in answer.headers
            assert zstandard.get_frame_parameters(answer.body).content_size == len(zstandard.decompress(answer.body))


@by_the_hub
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=5-", slice(5, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=3-999999999", slice(3, None)),
    ],
)
def test_range_of_a_package_gets_206(hub: LiveHub, keys: Keys, file: Path, asked: str, expected: slice) -> None:
    content = file.read_bytes()
    first, end, _ = expected.indices(len(content))
    answer = ask(hub, f"/reading/noarch/{file.name}", keys.olga, headers={"Range": asked})
    assert (answer.status, answer.body) == (206, content[expected])
    assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(content)}"


@by_the_hub
def test_range_behind_the_end_gets_416(hub: LiveHub, keys: Keys, file: Path) -> None:
    size_bytes = file.stat().st_size
    answer = ask(hub, f"/reading/noarch/{file.name}", keys.olga, headers={"Range": f"bytes={size_bytes}-"})
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{size_bytes}"
    assert answer.text == f"The file has {size_bytes} bytes; the requested range begins after its end.\n"


@by_the_hub
def test_part_of_another_file_is_the_whole_of_this(hub: LiveHub, keys: Keys, file: Path) -> None:
    path = f"/reading/noarch/{file.name}"
    etag = ask(hub, path, keys.olga, method="HEAD").headers["ETag"]
    for if_range, status in ((etag, 206), ('"other"', 200)):
        answer = ask(hub, path, keys.olga, headers={"Range": "bytes=0-9", "If-Range": if_range})
        assert answer.status == status
        assert len(answer.body) == (10 if status == 206 else file.stat().st_size)


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("name", [*INDEX_FILES, "noarch/read-1.0-0.conda", "nosuch", "a/b/c", "noarch/none.conda"])
def test_private_and_missing_channel_get_equal_responses(hub: LiveHub, keys: Keys, name: str) -> None:
    for key, status in ((None, 401), (keys.sam, 403), ("wrong", 401)):
        private, missing = ask(hub, f"/reading/{name}", key), ask(hub, f"/missing/{name}", key)
        assert private.status == missing.status == status
        assert private.body.replace(b"reading", b"missing") == missing.body
        assert lasting(private.headers) == lasting(missing.headers)
        assert ("WWW-Authenticate" in private.headers) == (status == 401)
        assert private.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_challenge_names_both_schemes(hub: LiveHub) -> None:
    answer = ask(hub, "/missing/noarch/repodata.json")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="channelhub", Basic realm="channelhub"'
    assert answer.text == (
        "No key was sent, and anonymous users have no read access to 'missing'. "
        "Send an API key of a member: as a bearer token, or as the password of basic authentication.\n"
    )


@pytest.mark.usefixtures("file")
def test_errors_for_clients_are_plain_text(hub: LiveHub, keys: Keys) -> None:
    for name in ("nosuch", "noarch/none-1.0-0.conda", "no-subdir-at-all/repodata.json", "noarch/shards/x.msgpack.zst"):
        answer = ask(hub, f"/reading/{name}", keys.olga)
        assert answer.status == 404
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.text.startswith("'reading' has no ")


def test_idle_connections_delay_no_request(hub: LiveHub) -> None:
    with ExitStack() as stack:
        for _ in range(IDLE_CONNECTIONS):
            stack.enter_context(create_connection(("127.0.0.1", hub.port)))
        assert seconds_until(hub.is_ready) < UNHINDERED_S


@pytest.mark.parametrize("is_built", [False, True], ids=["before the first build", "after it"])
def test_new_channel_is_whole_from_its_first_moment(hub: LiveHub, keys: Keys, *, is_built: bool) -> None:
    channel = f"brand-new-{is_built:d}"
    with worker_stopped(hub):
        hub.manage("createchannel", channel, "--owner", "olga")
        if not is_built:
            check_empty(hub, channel, keys.olga)
    if is_built:
        seconds_until(lambda: "noarch/run_exports.json" in hub.stored(f"{channel}/"))
        check_empty(hub, channel, keys.olga)


def check_empty(hub: LiveHub, channel: str, key: str) -> None:
    """Check that every file of every known subdir exists, is valid, and has no packages."""

    def read(path: str) -> bytes:
        answer = ask(hub, f"/{channel}/{path}", key)
        assert answer.status == 200, path
        return answer.body

    for subdir in KNOWN_SUBDIRS:
        repodata = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "removed": []}
        for name in ("repodata.json", "current_repodata.json"):
            assert json.loads(read(f"{subdir}/{name}")) == repodata | {"repodata_version": 1}
        assert zstandard.decompress(read(f"{subdir}/repodata.json.zst")) == read(f"{subdir}/repodata.json")
        run_exports = read(f"{subdir}/run_exports.json")
        assert json.loads(run_exports)["packages.conda"] == json.loads(run_exports)["packages"] == {}
        assert zstandard.decompress(read(f"{subdir}/run_exports.json.zst")) == run_exports
        index = unpack(read(f"{subdir}/repodata_shards.msgpack.zst"))
        assert (index["version"], index["shards"], index["info"]["subdir"]) == (1, {}, subdir)
        assert (index["info"]["base_url"], index["info"]["shards_base_url"]) == ("./", "./shards/")
    assert json.loads(read("channeldata.json")) == {"channeldata_version": 1, "packages": {}, "subdirs": ["noarch"]}
    assert json.loads(read("notices.json")) == {"notices": []}


@contextmanager
def worker_stopped(hub: LiveHub) -> Iterator[None]:
    """Stop the worker inside the block, so that no index is built."""
    pids = hub.part("celery")  # "worker" would also match nginx
    with closing(sqlite3.connect(hub.data_dir / "hub.sqlite3", timeout=30)) as database:
        database.execute("BEGIN IMMEDIATE")  # a worker that stops inside its transaction would block the hub
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        seconds_until(lambda: all_stopped(pids))
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def all_stopped(pids: list[int]) -> bool:
    states = subprocess.check_output(["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], text=True).split()
    return all(state.startswith("T") for state in states)


def lasting(headers: HTTPMessage) -> dict[str, list[str]]:
    """Return the comparable headers. The order within the Content-Security-Policy differs between processes."""
    return {name: sorted(value.split("; ")) for name, value in headers.items() if name not in CHANGING_HEADERS}


def unpack(compressed: bytes) -> Any:
    return msgpack.unpackb(zstandard.decompress(compressed))
