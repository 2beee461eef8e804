"""py-rattler's verdict on variants, over HTTP and from a file: the digest of the installed tree, or the error.

It runs in processes of its own: some packages abort the process, and its memory caches must not affect other tests.
"""

import asyncio
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import rattler

from tests.differential import trees
from tests.differential.files import MANIFEST, PYTHON_FOLDER

AT_ONCE = 8
CLIENT_S = 300
PLATFORM = "linux-64"
KINDS = ("http", "file")
ABORTED = {kind: {"error": "rattler aborts the whole process"} for kind in KINDS}

Outcomes = dict[str, dict[str, dict[str, Any]]]


def outcomes(folder: Path, scratch: Path) -> Outcomes:
    """Return by the key of each variant in `folder` the outcomes of "http" and "file"."""
    keys = [each["key"] for each in json.loads((folder / MANIFEST).read_text())]
    with _served(folder) as base:
        run = functools.partial(_in_child, folder, base, scratch)
        found = run(keys)
        while missing := [key for key in keys if key not in found]:
            # The shared process was aborted by one of the first missing variants.
            for key in missing[:AT_ONCE]:
                found |= run([key]) or {key: ABORTED}
            found |= run(missing[AT_ONCE:])
    return found


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    """A file server that logs no requests."""

    def log_message(self, *_: object) -> None:
        pass


def _in_child(folder: Path, base: str, scratch: Path, keys: Sequence[str]) -> Outcomes:
    """Return the outcomes that a child process wrote before it ended."""
    if not keys:
        return {}
    done = subprocess.run(
        [sys.executable, "-m", "tests.differential.rattler_oracle", str(folder), base, str(scratch)],
        input=json.dumps(keys),
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
        check=False,
        env=os.environ | {"RUST_BACKTRACE": "0", "NO_PROXY": "127.0.0.1", "HOME": str(scratch)},
        cwd=Path(__file__).parents[2],
    )
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.endswith("]"))


async def _outcome(listed: dict[str, str], folder: Path, base: str, scratch: Path) -> dict[str, Any]:
    """Install a variant from `base`. Return {"tree": …} of the installed files, or {"error": …}."""
    with tempfile.TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True) as work:
        prefix = Path(work, "prefix")
        try:
            records = _records(folder / listed["folder"], f"{base}/{listed['folder']}", listed["subdir"])
            for spec in [spec for record in records for spec in [*record.depends, *record.constrains]]:
                rattler.MatchSpec(spec)
            if listed["subdir"] == "noarch":
                records += _records(folder / PYTHON_FOLDER, f"{base}/{PYTHON_FOLDER}", PLATFORM)
            await rattler.install(
                records,
                prefix,
                cache_dir=Path(work, "cache"),
                platform=rattler.Subdir(PLATFORM),
                alternative_target_prefix=trees.PREFIX,
                show_progress=False,
            )
            found = trees.tree(prefix)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  a panic is no Exception
            return {"error": f"{type(error).__name__}: {error}".replace(work, "")[:300]}
        return {"tree": trees.digest(found)} | ({"files": found} if os.environ.get("SHOW_FILES") else {})


def _records(channel: Path, url: str, subdir: str) -> list[rattler.RepoDataRecord]:
    repodata = rattler.RepoData.from_path(channel / subdir / "repodata.json")
    records: list[rattler.RepoDataRecord] = repodata.into_repo_data(rattler.Channel(url))
    if not records:
        raise ValueError("repodata.json has no record that rattler reads")
    return records


async def _all(folder: Path, http: str, scratch: Path) -> None:
    """Write one line for each variant that the input names as soon as it is finished."""
    wanted = set(json.load(sys.stdin))
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: dict[str, str]) -> None:
        async with room:
            bases = (http, folder.as_uri())
            found = [await _outcome(each, folder, base, scratch) for base in bases]
        sys.stdout.write(json.dumps([each["key"], dict(zip(KINDS, found, strict=True))]) + "\n")
        sys.stdout.flush()

    listed = [each for each in json.loads((folder / MANIFEST).read_text()) if each["key"] in wanted]
    await asyncio.gather(*map(one, listed))


if __name__ == "__main__":
    os.umask(trees.UMASK)
    asyncio.run(_all(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
    # Not sys.exit: a thread of rattler that calls Python during its shutdown aborts the process.
    os._exit(0)
