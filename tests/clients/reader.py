"""py-rattler as a reader of channels, each time in a separate process with empty caches.

rattler reads credentials and its environment once per process, and caches data of a channel.
"""

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rattler import Channel, Client, Gateway, RepoDataRecord, SourceConfig, Subdir, VirtualPackage, install, solve
from rattler.networking import AuthenticationMiddleware, RetryMiddleware, S3Middleware
from rattler.networking.middleware import S3Config
from rattler.sigstore import TrustedRoot, VerificationPolicy, verify_attestation

from channels_app.identifiers import KNOWN_SUBDIRS
from tests.forked import run_forked
from tests.stores import S3Server

CLIENT_S = 120


class ReadError(Exception):
    """The error message of py-rattler."""


@dataclass(frozen=True)
class Reader:
    """Options to read a channel. `credential` has the form of rattler's auth file: {"BearerToken": "…"}.

    `retries`: how often it repeats a request after an error of the server or the connection. pixi does 3 times.
    """

    channel: str
    credential: Any = None
    shards: bool = True
    zstd: bool = True
    s3: dict[str, str] = field(default_factory=dict)
    netrc_key: str = ""
    retries: int = 0

    def records(self) -> dict[str, Any]:
        """Return path → record for every record of the channel. Paths are relative to the channel's URL."""
        found: dict[str, Any] = self._in_child("records", list(KNOWN_SUBDIRS))
        return found

    def solve(self, *specs: str) -> list[str]:
        """Return the file names to which `specs` resolve on linux-64."""
        found: list[str] = self._in_child("solve", list(specs))
        return found

    def verify(self, file_name: str, trusted_root_json: str) -> dict[str, Any]:
        """Return py-rattler's result for the attestation that it requires. Raise ReadError if none is valid."""
        found: dict[str, Any] = self._in_child("verify", [file_name, trusted_root_json])
        return found

    def install(self, *specs: str) -> dict[str, str]:
        """Resolve and install. Return path → text for every file of the new environment except logs."""
        found: dict[str, str] = self._in_child("install", list(specs))
        return found

    def install_files(self, subdir: str, *file_names: str) -> dict[str, str]:
        """Install these files for the platform `subdir` without a solve. Return the same as `install`."""
        found: dict[str, str] = self._in_child("install_files", [subdir, *file_names])
        return found

    def notices(self) -> list[list[str]]:
        """Return level and message of each notice of the channel."""
        found: list[list[str]] = self._in_child("notices", [])
        return found

    def _in_child(self, action: str, values: list[str]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "auth.json").write_text(json.dumps({"127.0.0.1": self.credential} if self.credential else {}))
            if self.netrc_key:
                Path(folder, ".netrc").write_text(f"machine 127.0.0.1 login me password {self.netrc_key}\n")
            variables = {"HOME": folder, "RATTLER_AUTH_FILE": f"{folder}/auth.json", "NO_PROXY": "127.0.0.1"}
            done = run_forked(_answer, action, values, self, environment=os.environ | variables, timeout_s=CLIENT_S)
        if done.returncode:
            raise ReadError(done.stderr)
        return json.loads(done.stdout)


def from_bucket(server: S3Server, channel: str, *, shards: bool = True) -> Reader:
    """Return a reader of `s3://bucket/channel`, which doesn't use a hub."""
    return Reader(
        f"s3://{server.bucket}/{channel}",
        shards=shards,
        s3={
            "bucket": server.bucket,
            "endpoint_url": server.endpoint_url,
            "region": server.region,
            "access_key": server.access_key,
            "secret_key": server.secret_key,
        },
    )


class _Child:
    """The client in the child process."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.folder = folder
        self.channel = Channel(reader.channel)
        retry = RetryMiddleware(max_retries=reader.retries)
        self.client = Client([retry, AuthenticationMiddleware(), S3Middleware(_s3_config(reader.s3))])
        config = SourceConfig(sharded_enabled=reader.shards, zstd_enabled=reader.zstd)
        self.gateway = Gateway(cache_dir=folder / "repodata", default_config=config, client=self.client)

    async def records(self, subdirs: list[str]) -> dict[str, Any]:
        platforms = [Subdir(subdir) for subdir in subdirs]
        names = [name.normalized for name in await self.gateway.names([self.channel], platforms)]
        answers = await self.gateway.query([self.channel], platforms, names, recursive=False)
        records = [json.loads(record.to_json()) for answer in answers for record in answer]
        return {_pop_path(record): record for record in records}

    async def notices(self, _: list[str]) -> list[list[str]]:
        return [[notice.level, notice.message] for notice in await self.gateway.channel_notices([self.channel])]

    async def solve(self, specs: list[str]) -> list[str]:
        return sorted(record.file_name for record in await self._solve(specs))

    async def verify(self, values: list[str]) -> dict[str, Any]:
        file_name, trusted_root_json = values
        name = file_name.rsplit("-", 2)[0]
        answers = await self.gateway.query([self.channel], [Subdir("noarch")], [name], recursive=False)
        [record] = [record for answer in answers for record in answer if record.file_name == file_name]
        root = TrustedRoot.from_json(trusted_root_json)
        outcome = await verify_attestation(record, VerificationPolicy.require(), self.client, root)
        return asdict(outcome)

    async def install(self, specs: list[str]) -> dict[str, str]:
        return await self._install(await self._solve(specs), "linux-64")

    async def install_files(self, values: list[str]) -> dict[str, str]:
        subdir, *file_names = values
        names = [file_name.rsplit("-", 2)[0] for file_name in file_names]
        platforms = [Subdir(subdir), Subdir("noarch")]
        answers = await self.gateway.query([self.channel], platforms, names, recursive=False)
        records = [record for answer in answers for record in answer if record.file_name in file_names]
        return await self._install(records, subdir)

    async def _install(self, records: list[RepoDataRecord], subdir: str) -> dict[str, str]:
        prefix, cache = self.folder / "prefix", self.folder / "packages"
        platform = Subdir(subdir)
        await install(records, prefix, cache, client=self.client, platform=platform, show_progress=False)
        files = [path for path in prefix.rglob("*") if path.is_file()]
        return {path.relative_to(prefix).as_posix(): path.read_text(errors="replace") for path in files}

    async def _solve(self, specs: list[str]) -> list[RepoDataRecord]:
        platforms = [Subdir("linux-64"), Subdir("noarch")]
        detected = VirtualPackage.detect()
        return await solve([self.channel], specs, self.gateway, platforms, virtual_packages=detected)


def _pop_path(record: dict[str, Any]) -> str:
    """Remove URL and channel from `record`. Return the path of its file."""
    path: str = record.pop("url").removeprefix(record.pop("channel"))
    return path


def _s3_config(s3: dict[str, str]) -> dict[str, S3Config]:
    if not s3:
        return {}
    os.environ.update(AWS_ACCESS_KEY_ID=s3["access_key"], AWS_SECRET_ACCESS_KEY=s3["secret_key"])
    return {s3["bucket"]: S3Config(s3["endpoint_url"], s3["region"], "path")}


def _answer(action: str, values: list[str], reader: Reader) -> None:
    """Print the answer, or the message of any error, and end the process."""
    code = asyncio.run(_printed(action, values, reader))
    # rattler's threads may call Python during its shutdown and abort the process.
    os._exit(code)


async def _printed(action: str, values: list[str], reader: Reader) -> int:
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = await getattr(_Child(reader, Path(folder)), action)(values)
        except Exception as error:  # noqa: BLE001  the test reads the message of any exception
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            return 1
    print(json.dumps(answer), flush=True)  # noqa: T201
    return 0
