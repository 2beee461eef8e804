"""checkstore on buckets that each break one guarantee."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_django import Settings

from hub.storage import StoreError, s3_checks
from hub.storage.checks import check
from hub.storage.folder import FolderStore
from hub.storage.probes import ProbeOutcome
from tests.storage.test_store_checks import by_probe

LIMITED, BROKEN = ProbeOutcome.LIMITED, ProbeOutcome.BROKEN


@dataclass
class Bucket:
    """A fake bucket with its settings, and the guarantees that it breaks. A folder has its files."""

    has_range: bool = True
    has_head_size: bool = True
    is_signed: bool = True
    is_private: bool = True
    has_private_list: bool = True
    expires: bool = True
    answers: bool = True
    allows_origin: str = "*"
    has_preflight: bool = True


class PromisingStore(FolderStore):
    """A folder store that claims to be a bucket."""

    def __init__(self, root: Path, address: str, conditions: Any = (True, False)) -> None:
        super().__init__(root)
        self.address = address
        self.conditions = iter(conditions)

    def url(self, key: str, *, method: str, expires_s: int, file_name: str) -> str | None:
        return f"{self.address}/file?expires={expires_s}&signature=1"

    def put_new(self, key: str, content: bytes) -> bool:
        found = next(self.conditions)
        if isinstance(found, StoreError):
            raise found
        return bool(found)

    def unsigned_urls(self, key: str) -> tuple[str, str]:
        return f"{self.address}/file", f"{self.address}/?list-type=2"


@contextmanager
def web_of(bucket: Bucket) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            if not bucket.answers:
                self.answer(500)
            elif "list-type" in query:
                self.answer(403 if bucket.has_private_list else 200)
            elif "signature" not in query:
                self.answer(403 if bucket.is_private else 200)
            elif (query["signature"] != ["1"] and bucket.is_signed) or (query["expires"] == ["1"] and bucket.expires):
                self.answer(403)
            elif "Range" in self.headers and bucket.has_range:
                self.answer(206, b"234")
            else:
                self.answer(200, b"0123456789")

        do_HEAD = do_GET  # noqa: N815

        def do_OPTIONS(self) -> None:
            asks_for_a_part = self.headers["Access-Control-Request-Headers"] == "range"
            self.answer(200 if bucket.has_preflight and asks_for_a_part else 403)

        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            size = len(body) if self.command == "GET" or bucket.has_head_size else 0
            self.send_header("Content-Length", str(size))
            if "Origin" in self.headers and bucket.allows_origin:
                self.send_header("Access-Control-Allow-Origin", bucket.allows_origin)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def check_bucket(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, Any]:
    monkeypatch.setattr("hub.storage.checks._own_probes", lambda _: s3_checks.PROBES)
    monkeypatch.setattr("hub.storage.s3_checks.EXPIRED_AFTER_S", 0)
    monkeypatch.setattr("hub.storage.checks.SLOW_MS", 60_000)
    with web_of(bucket) as address:
        return by_probe(check(PromisingStore(tmp_path / "store", address, **options)))


@pytest.mark.parametrize(
    ("bucket", "options", "probe", "sentence"),
    [
        (
            Bucket(),
            {"conditions": (True, True)},
            "conditional put",
            "overwrite existing files; the hub doesn't need them",
        ),
        (
            Bucket(),
            {"conditions": (StoreError("501"),)},
            "conditional put",
            "are refused (501); the hub doesn't need them",
        ),
        (Bucket(has_range=False), {}, "signed range", "a range got 200; expected 206."),
        (Bucket(has_head_size=False), {}, "signed HEAD", "answered without the file's size. Leave HUB_DELIVERY"),
        (Bucket(is_signed=False), {}, "signature", "works with a forged signature"),
        (Bucket(expires=False), {}, "expiry", "people keep access after it is revoked."),
        (Bucket(is_private=False), {}, "private", "private channels are not private"),
        (Bucket(has_private_list=False), {}, "private list", "Anyone can list the bucket"),
    ],
)
def test_each_broken_promise_of_a_bucket_is_reported(
    bucket: Bucket,
    options: dict[str, Any],
    probe: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = check_bucket(bucket, tmp_path, monkeypatch, **options)

    assert found.keys() == {probe}
    assert found[probe][0] is LIMITED
    assert sentence in found[probe][1]


@pytest.mark.parametrize(
    ("bucket", "delivery", "is_limited"),
    [
        (Bucket(), "redirect", False),
        (Bucket(allows_origin=""), "redirect", True),
        (Bucket(allows_origin="https://hub.example.org"), "redirect", True),
        (Bucket(has_preflight=False), "redirect", True),
        (Bucket(allows_origin="", has_preflight=False), "stream", False),
        (Bucket(allows_origin="", has_preflight=False), "accel", False),
    ],
)
def test_bucket_without_cors_is_reported_for_redirects(
    bucket: Bucket,
    delivery: str,
    is_limited: bool,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.HUB_DELIVERY = delivery

    found = check_bucket(bucket, tmp_path, monkeypatch)

    assert ("other origins" in found) == is_limited
    assert not is_limited or (found["other origins"][0] is LIMITED and "CORS" in found["other origins"][1])


@pytest.mark.parametrize(
    ("delivery", "outcome", "sentence"),
    [
        ("stream", LIMITED, "Redirect delivery will not work: a signed GET was answered with 500."),
        ("redirect", BROKEN, "HUB_DELIVERY is redirect, and a signed GET was answered with 500."),
    ],
)
def test_signed_addresses_that_fail_matter_where_they_are_used(
    delivery: str,
    outcome: ProbeOutcome,
    sentence: str,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.HUB_DELIVERY = delivery

    found = check_bucket(Bucket(answers=False), tmp_path, monkeypatch)["signed GET"]

    assert found[0] is outcome
    assert found[1].startswith(sentence)


def test_store_without_signed_urls_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PromisingStore, "url", lambda *_, **__: None)

    found = check_bucket(Bucket(), tmp_path, monkeypatch)["signed GET"]

    assert "the store does not sign URLs" in found[1]
