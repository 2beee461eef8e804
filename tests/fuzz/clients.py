"""The trees that the clients unpack from a package, and the lists that they read there.

conda unpacks by conda-package-streaming. rattler unpacks files and HTTP responses by one reader, and reads single files
by another one.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import rattler.package_streaming
from conda_package_streaming.extract import extract
from rattler.networking import Client
from rattler.package_streaming import PackageArchive

from tests.fuzz import listings

# Path → kind, whether it is executable, and the digest of its bytes or its target.
Tree = dict[str, tuple[str, bool, str]]
Unpacked = tuple[Tree, list[listings.Entry]]
Outcome = Unpacked | str
# Errors of rattler's reader of single files on packages that rattler unpacks: ZIP64 fields that rattler-build wrote for
# years, data after the first of several zstd frames, and a member for the root.
NOT_BY_SINGLE_FILES = (
    "(async)",
    "failed to read entire block",
    "unexpected EOF",
    "invalid package-relative archive path",
)


class Clients:
    """Runs all clients on a file. `folder` holds the unpacked files, and is emptied after each run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._client = Client()
        self._content = b""
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._port = server.sockets[0].getsockname()[1]

    def outcomes(self, path: Path, *, from_file: bool) -> dict[str, Outcome]:
        """Return each client's tree and list of the file at `path`, or its error.

        Without `from_file`, rattler reads the file only over HTTP.
        """
        found = {
            "conda": self._outcome(lambda target: extract(str(path), str(target)), listings.by_conda),
            "rattler over HTTP": self._outcome(lambda target: self._by_http(path, target), listings.by_rattler),
        }
        if from_file:
            unpack = rattler.package_streaming.extract
            found["rattler"] = self._outcome(lambda target: _ignore(unpack(path, target)), listings.by_rattler)
        return found

    def single_files(self, path: Path) -> Tree | str:
        """Return the tree that rattler's reader of single files finds, without executable bits, or its error."""
        try:
            return self._loop.run_until_complete(_single_files(path))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  a panic is no Exception
            return f"{type(error).__name__}: {error}"

    def _outcome(self, unpack: Callable[[Path], None], listing: Callable[[Path], list[listings.Entry]]) -> Outcome:
        target = self.folder / "unpacked" / "package"
        target.mkdir(parents=True)
        try:
            unpack(target)
            return tree(target.parent, target), sorted(listing(target))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  a panic is no Exception
            return f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(target.parent)

    def _by_http(self, path: Path, target: Path) -> None:
        self._content = path.read_bytes()
        url = f"http://127.0.0.1:{self._port}/{path.name}"
        self._loop.run_until_complete(rattler.package_streaming.download_and_extract(self._client, url, target))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(self._content))
        writer.write(self._content)
        await writer.drain()
        writer.close()


def tree(folder: Path, package: Path) -> Tree:
    """Return every path below `folder` except directories, relative to `package`: no client installs directories."""
    found: Tree = {}
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            key = os.path.relpath(path, package)
            if path.is_symlink():
                found[key] = ("symlink", False, os.readlink(path))  # noqa: PTH115  as it is stored
            elif path.is_file():
                found[key] = ("file", bool(path.stat().st_mode & 0o111), _digest(path.read_bytes()))
            elif not path.is_dir():
                found[key] = ("special", False, "")
    return found


async def _single_files(path: Path) -> Tree:
    found: Tree = {}
    archive = await PackageArchive.from_path(path)
    for section in ("info", "pkg") if path.suffix == ".conda" else ("pkg",):
        async for entry in archive.stream(section):
            name = os.path.normpath(entry.name)
            if entry.is_symlink:
                found[name] = ("symlink", False, entry.link_target or "")
            elif entry.is_hardlink:
                # The target may be a contiguous file, which this reader skips.
                if (target := os.path.normpath(entry.link_target or "")) in found:
                    found[name] = found[target]
            elif entry.is_file and not entry.name.endswith("/"):
                found[name] = ("file", False, _digest(await entry.read()))
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _ignore(_: object) -> None:
    pass
