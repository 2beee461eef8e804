"""The S3 store: signatures, servers that fail half-way, and the requests that it sends."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from botocore.config import Config
from botocore.utils import parse_timestamp

from deploy.local import free_port
from hub.storage import NotInStore, Store, StoreError
from hub.storage.botocore_internals import parsed_time
from hub.storage.s3 import S3Store
from tests.stores import S3Server, rclone_server

KEY = "conda-forge/noarch/tiny-1.0-0.conda"
ONE_ATTEMPT = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=30,
    s3={"addressing_style": "path"},
    signature_version="s3v4",
)
VERBS: dict[str, Callable[[Store], object]] = {
    "put": lambda bucket: bucket.put(KEY, b"x"),
    "put a file": lambda bucket: bucket.put(KEY, Path(__file__)),
    "open": lambda bucket: bucket.open(KEY),
    "stat": lambda bucket: bucket.stat(KEY),
    "delete": lambda bucket: bucket.delete(KEY),
    "list": lambda bucket: list(bucket.list("conda-forge")),
    "delete_unfinished": lambda bucket: bucket.delete_unfinished(older_than_s=60),
}
verbs = pytest.mark.parametrize("verb", VERBS)


class FaultyServer(ThreadingHTTPServer):
    """A server that answers with `status`, `headers` and `body` and closes the connection, or hangs."""

    status = 200
    body = b""
    hangs: Literal["never", "before", "after"] = "never"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FaultyHandler)
        self.headers: dict[str, str] = {}
        self.released = threading.Event()
        self.seen: list[tuple[str, dict[str, str]]] = []

    def handle_error(self, *args: Any) -> None:
        """Ignore clients that gave up waiting."""

    def bucket(self) -> S3Store:
        server = S3Server(f"http://127.0.0.1:{self.server_port}", "hub", "hub-secret", "bucket")
        patience = ONE_ATTEMPT if self.hangs == "never" else ONE_ATTEMPT.merge(Config(read_timeout=0.5))
        return S3Store(**server.options(client_config=patience))


class FaultyHandler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"  # with 1.0, boto3 waits a second for "100 Continue"

    def answer(self) -> None:
        self.server.seen.append((self.command, {name.lower(): value for name, value in self.headers.items()}))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.hangs == "before":
            self.server.released.wait(10)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.server.body)
        if self.server.hangs == "after":
            self.server.released.wait(10)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.released.set()
        server.shutdown()


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@verbs
def test_a_wrong_secret_is_a_store_error(rclone: S3Server, verb: str) -> None:
    bucket = S3Store(**rclone.options(secret_key="wrong", client_config=ONE_ATTEMPT))

    with pytest.raises(StoreError, match=r"The store could not .*(SignatureDoesNotMatch|403)") as raised:
        VERBS[verb](bucket)

    assert not isinstance(raised.value, NotInStore)


@verbs
def test_a_store_that_is_down_is_a_store_error(verb: str) -> None:
    server = S3Server(f"http://127.0.0.1:{free_port()}", "hub", "hub-secret", "bucket")

    with pytest.raises(
        StoreError, match=f"The store could not {verb.split()[0]} .*: .*Could not connect to the endpoint"
    ):
        VERBS[verb](S3Store(**server.options(client_config=ONE_ATTEMPT)))


@verbs
def test_a_store_that_fails_is_a_store_error(faulty: FaultyServer, verb: str) -> None:
    faulty.status = 503

    with pytest.raises(StoreError, match=f"The store could not {verb.split()[0]} .*503"):
        VERBS[verb](faulty.bucket())


@verbs
def test_a_store_that_hangs_is_a_store_error(faulty: FaultyServer, verb: str) -> None:
    faulty.hangs = "before"

    with pytest.raises(StoreError, match=f"The store could not {verb.split()[0]} .*: Read timeout"):
        VERBS[verb](faulty.bucket())


def test_a_body_that_hangs_is_a_store_error(faulty: FaultyServer) -> None:
    faulty.headers, faulty.hangs = {"Content-Length": "1000"}, "after"
    chunks = faulty.bucket().open(KEY)

    with pytest.raises(StoreError, match=f"The store could not read {KEY}: Read timeout"):
        next(chunks)


def test_an_answer_without_its_headers_is_a_store_error(faulty: FaultyServer) -> None:
    with pytest.raises(StoreError, match=f"The store could not stat {KEY}: 'ContentLength'"):
        faulty.bucket().stat(KEY)


def test_a_missing_bucket_is_not_a_missing_key(rclone: S3Server) -> None:
    with pytest.raises(StoreError, match="NoSuchBucket") as raised:
        S3Store(**rclone.options(bucket_name="no-such-bucket")).open(KEY)

    assert not isinstance(raised.value, NotInStore)


@pytest.mark.parametrize("sent_bytes", [0, 1, 300_000, 999_999])
def test_a_body_that_ends_short_is_a_store_error(faulty: FaultyServer, sent_bytes: int) -> None:
    faulty.headers, faulty.body = {"Content-Length": "1000000"}, b"x" * sent_bytes
    chunks = faulty.bucket().open(KEY)

    with pytest.raises(StoreError, match=f"The store could not read {KEY}: .*"):
        list(chunks)


def test_a_body_without_length_is_a_store_error(faulty: FaultyServer) -> None:
    faulty.body = b"who knows whether this is all"

    with pytest.raises(StoreError, match="answered without the range or the length of its bytes"):
        faulty.bucket().open(KEY)


def test_a_range_that_is_ignored_is_a_store_error(faulty: FaultyServer) -> None:
    faulty.headers, faulty.body = {"Content-Length": "10"}, b"0123456789"

    with pytest.raises(StoreError, match="answered without the range or the length of its bytes"):
        faulty.bucket().open(KEY, first=5)


def test_a_failure_is_tried_again(faulty: FaultyServer) -> None:
    faulty.status = 503
    server = S3Server(f"http://127.0.0.1:{faulty.server_port}", "hub", "hub-secret", "bucket")

    with pytest.raises(StoreError, match="reached max retries"):
        S3Store(**server.options()).stat(KEY)

    assert len(faulty.seen) == 3


def test_requests_use_no_feature_of_amazon_alone(faulty: FaultyServer) -> None:
    faulty.headers = {"Content-Length": "0"}
    bucket = faulty.bucket()

    bucket.put(KEY, b"x", content_type="application/x-conda")
    bucket.put(KEY, Path(__file__))
    bucket.open(KEY).close()

    (_, put_bytes), (_, put_file), (_, get) = faulty.seen
    for headers in (put_bytes, put_file, get):
        assert not [name for name in headers if "acl" in name or "checksum" in name or "trailer" in name]
        assert "aws-chunked" not in headers.get("content-encoding", "")
    assert put_bytes["content-type"] == "application/x-conda"
    assert put_file["content-type"] == "application/octet-stream"


def test_the_options_of_django_storages_reach_the_store(faulty: FaultyServer) -> None:
    faulty.headers = {"Content-Length": "0"}
    options = {
        "default_acl": "private",
        "object_parameters": {"StorageClass": "STANDARD_IA", "RequestPayer": "requester"},
    }
    server = S3Server(f"http://127.0.0.1:{faulty.server_port}", "hub", "hub-secret", "bucket")
    bucket = S3Store(**server.options(**options))

    bucket.put(KEY, b"x")
    bucket.open(KEY).close()

    (_, put), (_, get) = faulty.seen
    assert (put["x-amz-acl"], put["x-amz-storage-class"]) == ("private", "STANDARD_IA")
    assert get["x-amz-request-payer"] == "requester"
    assert "x-amz-storage-class" not in get


def test_addresses_that_never_expire_are_not_handed_out(rclone: S3Server) -> None:
    for options in ({"custom_domain": "cdn.example.org"}, {"querystring_auth": False}):
        bucket = S3Store(**rclone.options(**options))
        assert bucket.url(KEY, method="GET", expires_s=60, file_name="tiny-1.0-0.conda") is None


def test_uploads_that_were_killed_are_swept(rclone: S3Server) -> None:
    server = rclone.with_new_bucket()
    client = server.client()
    upload_id = client.create_multipart_upload(Bucket=server.bucket, Key=KEY)["UploadId"]
    client.upload_part(Bucket=server.bucket, Key=KEY, UploadId=upload_id, PartNumber=1, Body=b"half a pack")
    bucket = S3Store(**server.options())

    assert bucket.delete_unfinished(older_than_s=60) == 0
    assert bucket.delete_unfinished(older_than_s=-1) == 1
    assert bucket.delete_unfinished(older_than_s=-1) == 0
    assert list(bucket.list("")) == []


@pytest.mark.parametrize(
    "value", ["2026-11-30T01:02:03.000Z", "2026-11-30T01:02:03", "Mon, 30 Nov 2026 01:02:03 GMT", "1796000523"]
)
def test_times_are_read_as_botocore_reads_them(value: str) -> None:
    assert parsed_time(value) == parse_timestamp(value)
