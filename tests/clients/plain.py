"""Plain HTTP requests to a live hub, and a channel's index in each of its formats."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgpack
import zstandard

from tests.live import LiveHub

ANSWER_S = 60
# Long enough for a worker that was just started on a busy machine. Tests report the real time as a figure.
VISIBLE_S = 120
POLL_S = 0.02

Records = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    hub: LiveHub,
    path: str,
    key: str | None = None,
    *,
    method: str = "GET",
    body: bytes | Iterable[bytes] | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request. A body of bytes is sent with its length, any other body chunked."""
    credential = {} if key is None else {"Authorization": f"Bearer {key}"}
    connection = HTTPConnection("127.0.0.1", hub.port, timeout=ANSWER_S)
    try:
        connection.request(method, path, body, credential | (headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def fetched(hub: LiveHub, path: str, key: str | None) -> bytes:
    """Return the bytes of a file, from the hub or from the URL to which it redirects."""
    answer = ask(hub, path, key)
    if answer.status != 302:
        return answer.body
    with urlopen(answer.headers["Location"], timeout=ANSWER_S) as stored:
        content: bytes = stored.read()
        return content


def upload(hub: LiveHub, channel: str, file: Path, key: str | None) -> Answer:
    """Upload by the prefix protocol with the file as the body, as scripts do."""
    return ask(
        hub,
        f"/api/v1/upload/{channel}",
        key,
        method="POST",
        body=file.read_bytes(),
        headers={"X-File-Name": file.name, "Content-Type": "application/octet-stream"},
    )


def records(hub: LiveHub, channel: str, subdir: str, key: str | None = None) -> Records:
    """Return file name → record of repodata.json."""
    return from_json(json.loads(_body(hub, f"/{channel}/{subdir}/repodata.json", key)))


def zst_records(hub: LiveHub, channel: str, subdir: str, key: str | None = None) -> Records:
    """Return file name → record of repodata.json.zst."""
    return from_json(json.loads(zstandard.decompress(_body(hub, f"/{channel}/{subdir}/repodata.json.zst", key))))


def run_exports(hub: LiveHub, channel: str, subdir: str, key: str | None = None) -> Records:
    """Return file name → its entry of run_exports.json, which the record in the shard also has (CEP 21)."""
    return from_json(json.loads(_body(hub, f"/{channel}/{subdir}/run_exports.json", key)))


def shard_records(hub: LiveHub, channel: str, subdir: str, key: str | None = None) -> Records:
    """Return file name → record of all shards, with checksums in hex as in repodata.json."""
    index = _unpack(_body(hub, f"/{channel}/{subdir}/repodata_shards.msgpack.zst", key))
    found: Records = {}
    for sha256 in index["shards"].values():
        path = f"/{channel}/{subdir}/{index['info']['shards_base_url']}{sha256.hex()}.msgpack.zst"
        found |= from_json(_unpack(_body(hub, path.replace("/./", "/"), key)))
    for record in found.values():
        record |= {name: record[name].hex() for name in ("md5", "sha256")}
    return found


def seconds_until(is_so: Callable[[], bool], limit_s: float = VISIBLE_S) -> float:
    """Poll `is_so`, ever less often, until it is true. Return the seconds that it took, up to a twentieth more."""
    begun = time.monotonic()
    while not is_so():
        waited_s = time.monotonic() - begun
        assert waited_s < limit_s, f"It was not so within {limit_s} s"
        time.sleep(max(POLL_S, waited_s / 20))
    return time.monotonic() - begun


def until_true(hub: LiveHub, expression: str, limit_s: float = VISIBLE_S) -> None:
    """Wait until an expression of Django's models is true. One command of the hub polls it."""
    code = f"import time\nfrom django.db.models import F\ndeadline = time.monotonic() + {limit_s}\n"
    code += f"while not (answer := bool({expression})) and time.monotonic() < deadline:\n    time.sleep({POLL_S})"
    assert hub.shell(code), f"{expression} was not true within {limit_s} s"


def seconds_until_indexed(
    hub: LiveHub, channel: str, subdir: str, names: Iterable[str], key: str | None, limit_s: float = VISIBLE_S
) -> float:
    """Return the seconds until repodata.json, its .zst and the shards all have the files `names`."""
    wanted = set(names)
    seconds = 0.0
    for form in (records, zst_records, shard_records):
        seconds += seconds_until(partial(_has, form, wanted, hub, channel, subdir, key), limit_s)
    return seconds


def until_settled(hub: LiveHub) -> None:
    """Wait until no index is stale: a build writes its files before their ETag.

    rclone's server empties a file before it writes it. Until then, a reader may see the empty file or an error.
    """
    until_true(hub, "not SubdirIndex.objects.filter(requested_revision__gt=F('built_revision')).exists()")


def _has(form: Callable[..., Records], wanted: set[str], *place: object) -> bool:
    return wanted <= set(form(*place))


def _body(hub: LiveHub, path: str, key: str | None) -> bytes:
    answer = ask(hub, path, key)
    assert answer.status == 200, f"{path}: {answer.status} {answer.text}"
    return answer.body


def from_json(content: dict[str, Any]) -> Records:
    found = content["packages"] | content["packages.conda"]
    for extension, entries in content.get("v3", {}).items():
        found |= {f"{stem}.{extension}": record for stem, record in entries.items()}
    return dict(found)


def _unpack(compressed: bytes) -> Any:
    return msgpack.unpackb(zstandard.decompress(compressed))
