"""A hub behind nginx that sends the files (HUB_DELIVERY=accel), from a folder and from S3 servers."""

import gzip
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import zstandard

from tests.archives import make_conda
from tests.clients.plain import Answer, ask, seconds_until, seconds_until_indexed, until_settled, upload
from tests.clients.reader import Reader
from tests.live import LiveHub, live_hub
from tests.nginx import fronted
from tests.stack import DELIVERY
from tests.stores import moto_server, rclone_server, seaweed_server

FILE = "demo-1!2.0+local-0.conda"
INDEXES = ("repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst")
SERVERS = {"rclone": rclone_server, "seaweed": seaweed_server}
CHANNELS = ("private", "open")


@dataclass(frozen=True)
class World:
    hub: LiveHub
    front: LiveHub  # the same hub behind nginx
    key: str
    content: bytes

    def get(self, path: str, key: str | None = None, **headers: str) -> Answer:
        return ask(self.front, path, key, headers={name.replace("_", "-"): value for name, value in headers.items()})


@contextmanager
def store(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """Start the store and yield the hub's settings for it."""
    if kind == "folder":
        yield {}
        return
    with moto_server() if kind == "moto" else SERVERS[kind](folder) as server:
        yield server.environment()


# The folder always; moto with SQLite, the other servers with PostgreSQL.
@pytest.fixture(scope="module", params=["folder", "rclone", "seaweed"] if DELIVERY else ["folder", "moto"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp(request.param)
    path = make_conda(folder, version="1!2.0+local")
    with ExitStack() as stack:
        settings = stack.enter_context(store(request.param, folder / "store"))
        hub = stack.enter_context(live_hub(folder, HUB_DELIVERY="accel", HUB_PROXIES="1", **settings))
        front = stack.enter_context(fronted(hub, folder))
        hub.manage("createchannel", "private", "--owner", "admin")
        hub.manage("createchannel", "open", "--owner", "admin", "--public")
        hub.shell("Channel.objects.update(allow_overwrite=True)")
        key = hub.manage("createapikey", "admin", "--name", "test", "--scope", "read", "--scope", "upload")
        for channel in CHANNELS:
            assert upload(front, channel, path, key).status == 201
        until_settled(hub)
        for channel in CHANNELS:
            seconds_until_indexed(front, channel, "noarch", [FILE], key)
        yield World(hub, front, key, path.read_bytes())


def test_the_hub_itself_sends_no_file(world: World) -> None:
    answer = ask(world.hub, f"/open/noarch/{FILE}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["X-Accel-Redirect"].startswith("/.files/")


@pytest.mark.parametrize("channel", CHANNELS)
def test_files_come_with_the_hubs_headers(world: World, channel: str) -> None:
    key = world.key if channel == "private" else None
    visibility = "private" if key else "public"
    for name in (FILE, *INDEXES):
        for _ in range(2):
            answer = world.get(f"/{channel}/noarch/{name}", key)
            head = ask(world.front, f"/{channel}/noarch/{name}", key, method="HEAD")
            assert (answer.status, head.status) == (200, 200)
            assert head.headers["Content-Length"] == answer.headers["Content-Length"] == str(len(answer.body))
            assert answer.headers.get_all("Cache-Control") == [f"{visibility}, no-cache, max-age=0"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            again = world.get(f"/{channel}/noarch/{name}", key, If_None_Match=answer.headers["ETag"])
            assert (again.status, again.headers["ETag"]) == (304, answer.headers["ETag"])
        assert name != FILE or answer.body == world.content
    assert (answer.headers["Vary"] or "").startswith("Authorization") == bool(key)


def test_json_in_an_encoding_is_the_same_content(world: World) -> None:
    for channel, key in (("open", None), ("private", world.key)):
        for path in (f"/{channel}/noarch/repodata.json", f"/{channel}/channeldata.json"):
            plain = world.get(path, key)
            for encoding, decode in (("zstd", zstandard.decompress), ("gzip", gzip.decompress)):
                for _ in range(2):
                    answer = world.get(path, key, Accept_Encoding=encoding)
                    assert answer.headers.get_all("Content-Encoding") == [encoding]
                    assert (decode(answer.body), answer.headers["Content-Type"]) == (plain.body, "application/json")
                    assert "Accept-Encoding" in (answer.headers["Vary"] or "")
                again = world.get(path, key, Accept_Encoding=encoding, If_None_Match=answer.headers["ETag"])
                assert (again.status, again.headers["ETag"]) == (304, answer.headers["ETag"])


def has_time(world: World, name: str) -> bool:
    """Tell whether the second of the last build is over."""
    return "Last-Modified" in world.get(f"/open/noarch/{name}").headers


def test_times_are_the_hubs_and_are_answered_right(world: World) -> None:
    for name in (FILE, *INDEXES):
        seconds_until(partial(has_time, world, name))
        for _ in range(2):
            time = world.get(f"/open/noarch/{name}").headers["Last-Modified"]
            assert ask(world.hub, f"/open/noarch/{name}").headers["Last-Modified"] == time
        assert world.get(f"/open/noarch/{name}", If_Modified_Since=time).status == 304
        assert world.get(f"/open/noarch/{name}", If_Modified_Since="Fri, 01 May 2020 10:00:00 GMT").status == 200
    part = world.get(
        f"/open/noarch/{FILE}", Range="bytes=1-2", If_Range=world.get(f"/open/noarch/{FILE}").headers["Last-Modified"]
    )
    assert (part.status, part.body) == (206, world.content[1:3])


def test_other_origins_read_public_files_alone(world: World) -> None:
    for name in (FILE, *INDEXES, "none-1-0.conda"):
        answer = world.get(f"/open/noarch/{name}", Origin="https://notebook.example")
        assert answer.headers.get_all("Access-Control-Allow-Origin") == ["*"]
        assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
        private = world.get(f"/private/noarch/{name}", world.key, Origin="https://notebook.example")
        assert not [header for header in private.headers if header.startswith("Access-Control-")]


def test_range_requests_through_nginx_get_206(world: World) -> None:
    path = f"/private/noarch/{FILE}"
    etag = world.get(path, world.key).headers["ETag"]
    for headers in ({"Range": "bytes=10-19"}, {"Range": "bytes=10-19", "If_Range": etag}):
        answer = world.get(path, world.key, **headers)
        assert (answer.status, answer.body) == (206, world.content[10:20])
        assert answer.headers["Content-Range"] == f"bytes 10-19/{len(world.content)}"
    assert world.get(path, world.key, Range="bytes=10-19", If_Range='"other"').body == world.content
    assert world.get(path, world.key, Range="bytes=9999999-").status == 416
    index = world.get("/private/noarch/repodata.json", world.key, Range="bytes=0-1")
    assert (index.status, index.body[:1]) == (200, b"{")


def test_a_real_client_solves_and_installs(world: World) -> None:
    for shards in (True, False):
        reader = Reader(f"{world.front.url}/private", {"BearerToken": world.key}, shards=shards)
        assert set(reader.records()) == {f"noarch/{FILE}"}
    assert "share/demo.txt" in reader.install("demo")


def test_cached_file_without_permission_is_refused(world: World) -> None:
    key = world.hub.manage("createapikey", "admin", "--name", "short", "--scope", "read")
    path = f"/private/noarch/{FILE}"
    assert [world.get(path, key).status for _ in range(3)] == [200] * 3
    assert world.get(path).status == 401
    world.hub.shell(
        "from django.utils import timezone\nApiKey.objects.filter(name='short').update(revoked_at=timezone.now())"
    )
    assert [world.get(path, key).status for _ in range(3)] == [401] * 3
    for folder in ("folder", "store/private", "store/public"):
        assert world.get(f"/.files/{folder}{path}", world.key).status == 404


def test_a_public_channel_that_becomes_private_is_closed(world: World) -> None:
    path = f"/open/noarch/{FILE}"
    assert world.get(path).status == 200
    world.hub.shell("Channel.objects.filter(name='open').update(is_private=True)")
    try:
        assert [world.get(path).status for _ in range(5)] == [401] * 5
        assert world.get(path, world.key).headers["Cache-Control"] == "private, no-cache, max-age=0"
    finally:
        world.hub.shell("Channel.objects.filter(name='open').update(is_private=False)")


def test_a_replaced_file_is_seen_at_once(world: World, tmp_path: Path) -> None:
    path = f"/private/noarch/{FILE}"
    tags = {world.get(path, world.key).headers["ETag"]}
    changed = make_conda(tmp_path, version="1!2.0+local", files={"share/demo.txt": b"changed\n"}).read_bytes()
    for content in (changed, world.content, changed, world.content):
        sent = ask(
            world.front, "/api/v1/upload/private?force=true", world.key,
            method="POST", body=content, headers={"X-File-Name": FILE, "Content-Type": "application/octet-stream"},
        )  # fmt: skip
        assert sent.status in (200, 201), sent.text
        answer = world.get(path, world.key)
        assert answer.body == content
        tags.add(answer.headers["ETag"])
    assert len(tags) == 2
