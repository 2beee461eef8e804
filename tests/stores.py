"""S3 servers on this machine for tests.

moto honours conditional writes, rclone checks signatures; SeaweedFS does both but takes some seconds to start.
"""

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from deploy.local import free_port, seaweedfs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START_TIMEOUT_S = 180
# The child ends with this process in any case: its standard input closes. After 2 s it is killed: SeaweedFS takes
# longer, and never ends if its folder is gone.
STOP = "read -r _; kill $server; (sleep 2; kill -9 $server) 2>/dev/null & wait $server"
UNTIL_STDIN_CLOSES = ("sh", "-c", f'"$@" & server=$!; {STOP}', "sh")


@dataclass(frozen=True, slots=True)
class S3Server:
    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"

    def options(self, **changed: Any) -> dict[str, Any]:
        """Return STORAGES["channels"]["OPTIONS"] of an S3Store for this server."""
        return {
            "endpoint_url": self.endpoint_url,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "bucket_name": self.bucket,
            "region_name": self.region,
            "addressing_style": "path",
            "signature_version": "s3v4",
            **changed,
        }

    def environment(self) -> dict[str, str]:
        """Return the same options as environment variables of a hub."""
        return {
            "HUB_STORAGE": "s3",
            "AWS_S3_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_STORAGE_BUCKET_NAME": self.bucket,
            "AWS_S3_REGION_NAME": self.region,
            "AWS_S3_ADDRESSING_STYLE": "path",
        }

    def client(self) -> "S3Client":
        """Return a client that bypasses the hub."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def with_new_bucket(self) -> "S3Server":
        bucket = f"hub-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=bucket)
        return S3Server(self.endpoint_url, self.access_key, self.secret_key, bucket, self.region)


@contextmanager
def moto_server() -> Iterator[S3Server]:
    port = free_port()
    with _running("moto_server", "-H", "127.0.0.1", "-p", str(port), port=port):
        yield S3Server(f"http://127.0.0.1:{port}", "hub", "hub-secret", "").with_new_bucket()


@contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """Start rclone's S3 server over `folder`, with one subfolder per bucket."""
    port = free_port()
    options = ("--addr", f"127.0.0.1:{port}", "--auth-key", "hub,hub-secret", "--config", "")
    with _running("rclone", "serve", "s3", *options, str(folder), port=port):
        yield S3Server(f"http://127.0.0.1:{port}", "hub", "hub-secret", "").with_new_bucket()


@contextmanager
def seaweed_server(folder: Path, *options: str) -> Iterator[S3Server]:
    """Start SeaweedFS with its data in `folder`. All access needs the key."""
    port = free_port()
    # Each bucket gets several volumes. Small ones let many buckets fit on the disk.
    with _running(*seaweedfs(folder, port, "hub-secret", volume_mb=64).command, *options, port=port):
        server = S3Server(f"http://127.0.0.1:{port}", "hub", "hub-secret", "").with_new_bucket()
        _wait_until_writable(server)
        yield server


def _wait_until_writable(server: S3Server) -> None:
    """Wait until SeaweedFS accepts bytes; it listens earlier."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            server.client().put_object(Bucket=server.bucket, Key="ready", Body=b"x")
            break
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    server.client().delete_object(Bucket=server.bucket, Key="ready")


@contextmanager
def _running(program: str, *arguments: str, port: int) -> Iterator[None]:
    command = (*UNTIL_STDIN_CLOSES, str(Path(sys.executable).with_name(program)), *arguments)
    quiet = subprocess.DEVNULL
    # In its own session: Ctrl-C then ends the shell by its standard input, after the server.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True) as child:
        try:
            wait_until_listening(program, port)
            yield
        finally:
            child.communicate()


def wait_until_listening(program: str, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"{program} did not listen on port {port} within {START_TIMEOUT_S} s")


if __name__ == "__main__":  # for .ci/services: SeaweedFS in a folder, until the standard input closes
    with seaweed_server(Path(sys.argv[1])) as seaweed:
        print(seaweed.endpoint_url, flush=True)  # noqa: T201
        sys.stdin.read()
