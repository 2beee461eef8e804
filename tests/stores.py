"""S3 servers of this machine for tests: moto honours conditional writes, rclone checks signatures."""

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

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START_TIMEOUT_S = 30
# The child ends with this process, however that ends: its standard input closes.
UNTIL_STDIN_CLOSES = ("sh", "-c", '"$@" & read -r _; kill $!; wait', "sh")


@dataclass(frozen=True, slots=True)
class S3Server:
    endpoint_url: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"

    def options(self, **changed: Any) -> dict[str, Any]:
        """What STORAGES["channels"]["OPTIONS"] of an S3Store holds for this server."""
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
        """The same as the environment variables of a hub."""
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
        """A client that goes around the hub."""
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
    """rclone's S3 server over `folder`, one subfolder per bucket."""
    port = free_port()
    options = ("--addr", f"127.0.0.1:{port}", "--auth-key", "hub,hub-secret", "--config", "")
    with _running("rclone", "serve", "s3", *options, str(folder), port=port):
        yield S3Server(f"http://127.0.0.1:{port}", "hub", "hub-secret", "").with_new_bucket()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(program: str, *arguments: str, port: int) -> Iterator[None]:
    command = (*UNTIL_STDIN_CLOSES, str(Path(sys.executable).with_name(program)), *arguments)
    quiet = subprocess.DEVNULL
    # A session of its own, so that Ctrl-C ends the shell by its standard input too, after the server.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True) as child:
        try:
            _wait_until_listening(program, port)
            yield
        finally:
            child.communicate()


def _wait_until_listening(program: str, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"{program} did not listen on port {port} within {START_TIMEOUT_S} s")
