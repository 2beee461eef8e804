"""Clients of bench/day.py: readers and uploaders with the retries of real clients, and their observations."""

import hashlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import msgpack
import zstandard

from bench.history import Life, Read
from tests.archives import make_conda
from tests.clients.reader import Reader, ReadError
from tests.live import LiveHub

CHANNEL = "day"
SUBDIR = "noarch"
SHARD_INDEX = "repodata_shards.msgpack.zst"
TRIES = 6
FIRST_PAUSE_S = 0.25
ANSWER_S = 60
DELETE_EACH = 20
LARGE_EACH = 10
LARGE_BYTES = 1_000_000
RATTLER_PAUSE_S = 5
RATTLER_RETRIES = 3


@dataclass
class Notes:
    """Observations of all clients, by time.monotonic(). `retries` counts responses and errors that led to a retry."""

    lives: dict[str, Life] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    retries: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


class Client:
    """A client that keeps its connection and retries as rattler does."""

    def __init__(self, hub: LiveHub, key: str, notes: Notes, is_over: threading.Event) -> None:
        self.hub = hub
        self.key = key
        self.notes = notes
        self.is_over = is_over
        self.connection = HTTPConnection("127.0.0.1", hub.port, timeout=ANSWER_S)

    def ask(
        self, kind: str, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, str, bytes]:
        """Return status, ETag and body of the first response that needs no retry."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        begun = time.monotonic()
        for number in range(TRIES):
            answer = self._once(kind, method, path, body, headers)
            if isinstance(answer, tuple):
                self.notes.seconds[kind].append(time.monotonic() - begun)
                return answer
            self.notes.retries[answer] += 1
            time.sleep(FIRST_PAUSE_S * 2**number)
        self.notes.errors.append(f"{kind}: {answer} after {TRIES} tries at {path}")
        return 0, "", b""

    def _once(
        self, kind: str, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str, bytes] | str:
        """Return the response, or the reason for a retry."""
        try:
            self.connection.request(method, path, body, {"Authorization": f"Bearer {self.key}"} | headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            self.connection.close()
            return f"{kind}: {type(error).__name__}"
        if answer.status in (502, 503, 504):
            return f"{kind}: {answer.status}{' with Retry-After' if 'Retry-After' in answer.headers else ''}"
        return answer.status, answer.headers.get("ETag", ""), content

    def check(self, is_right: bool, what: str) -> None:
        if not is_right:
            self.notes.errors.append(what)


def read_forever(client: Client, pace_s: float) -> None:
    """Read the shard index again and again, if it changed; each time also a shard and its package."""
    etag, shards = "", {}
    while not client.is_over.wait(random.uniform(0, 2 * pace_s)):
        began = time.monotonic()
        status, new_etag, body = client.ask("index", "GET", f"/{CHANNEL}/{SUBDIR}/{SHARD_INDEX}", If_None_Match=etag)
        if status == 200:
            etag, shards = new_etag, unpack(body)["shards"]
        client.check(status in (0, 200, 304), f"index: {status}")
        if status:
            client.notes.reads.append(Read(began, time.monotonic(), frozenset(shards)))
        if shards:
            read_package(client, *random.choice(list(shards.items())))


def read_package(client: Client, name: str, shard: bytes) -> None:
    """Check that a listed package exists and has the uploaded bytes. A package that is being deleted may be missing."""
    life = client.notes.lives.get(name)
    if life is None or life.deletion_began is not None:
        return
    status, _, body = client.ask("shard", "GET", f"/{CHANNEL}/{SUBDIR}/shards/{shard.hex()}.msgpack.zst")
    client.check(status in (0, 200) and (not status or hashlib.sha256(body).digest() == shard), f"shard: {status}")
    status, _, body = client.ask("package", "GET", f"/{CHANNEL}/{SUBDIR}/{name}-1.0-0.conda")
    is_right = status == 200 and hashlib.sha256(body).hexdigest() == client.notes.sha256[name]
    client.check(not status or is_right or life.deletion_began is not None, f"package {name}: {status}")


def upload_forever(client: Client, pace_s: float, uploader: int, folder: Path) -> None:
    """Upload small packages, each tenth a larger one. After each twentieth, delete one of the earlier ones."""
    for number in count():
        if client.is_over.wait(random.uniform(0, 2 * pace_s)):
            return
        name = f"by-{uploader}-{number}"
        filling = {"share/filling": random.randbytes(LARGE_BYTES if number % LARGE_EACH == 1 else 1000)}
        package = make_conda(folder, name=name, files=filling)
        upload(client, name, package)
        package.unlink()
        if number % DELETE_EACH == DELETE_EACH - 1:
            delete(client, f"by-{uploader}-{number - DELETE_EACH // 2}")


def upload(client: Client, name: str, package: Path) -> None:
    body = package.read_bytes()
    client.notes.sha256[name] = hashlib.sha256(body).hexdigest()
    life = client.notes.lives[name] = Life(time.monotonic())
    status, *_ = client.ask("upload", "POST", f"/api/v1/upload/{CHANNEL}", body, X_File_Name=package.name)
    client.check(status in (0, 200, 201), f"upload: {status}")
    if status:
        life.uploaded = time.monotonic()


def delete(client: Client, name: str) -> None:
    life = client.notes.lives[name]
    life.deletion_began = time.monotonic()
    status, *_ = client.ask("deletion", "DELETE", f"/api/v1/delete/{CHANNEL}/{SUBDIR}/{name}-1.0-0.conda")
    # 404: an earlier try succeeded, but its response was lost.
    client.check(status in (0, 200, 404), f"deletion: {status}")
    if status:
        life.deleted = time.monotonic()


def rattler_forever(client: Client) -> None:
    """Read all records with py-rattler, the retries of pixi, and cold caches."""
    while not client.is_over.wait(RATTLER_PAUSE_S):
        begun = time.monotonic()
        try:
            names = records_by_rattler(client)
        except ReadError as error:
            client.notes.errors.append(f"py-rattler: {error}"[:500])
        else:
            client.notes.seconds["py-rattler"].append(time.monotonic() - begun)
            client.notes.reads.append(Read(begun, time.monotonic(), names))


def records_by_rattler(client: Client) -> frozenset[str]:
    reader = Reader(f"{client.hub.url}/{CHANNEL}", {"BearerToken": client.key}, retries=RATTLER_RETRIES)
    records = reader.records()
    return frozenset(record["name"] for record in records.values())


def guarded(client: Client, work: Callable[..., None], *arguments: Any) -> None:
    try:
        work(client, *arguments)
    except Exception as error:  # noqa: BLE001  (any failure of a client is an error of the day)
        client.notes.errors.append(f"{work.__name__}: {type(error).__name__}: {error}"[:500])


def unpack(body: bytes) -> Any:
    return msgpack.unpackb(zstandard.decompress(body))
