"""Import of a channel: `python -m bench.imports [--packages N] [--store rclone] [--from-hub]`.

N small packages lie in a folder outside the store. `manage.py importchannel FOLDER --into CHANNEL` imports them, with
SQLite or DATABASE_URL. It prints packages per second and processor time of the command, with its start.

With `--from-hub`, a second hub then imports the channel from the first by HTTP. The command is killed (-9) half-way and
run again, and the channel is verified. It prints packages per second of both runs, and the times from upload to visible
in another channel, before and meanwhile.
"""

import argparse
import os
import re
import resource
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from bench.importing import STORES, make_packages, stopped_hub, store
from bench.watch import PAUSE_S, UPLOADS_BEFORE, visible_s
from tests.live import MANAGE, LiveHub

PROGRESS = re.compile(r"([\d,]+) of ([\d,]+) packages")


def import_rate(hub: LiveHub, folder: Path, count: int) -> tuple[float, float]:
    """Import the folder. Return packages per second, and milliseconds of processor time per package."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    output = hub.manage("importchannel", str(folder), "--into", "copy", "--owner", "admin", "--public")
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert f"imported: {count}, there before: 0, refused: 0" in output, output  # noqa: S101
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count / seconds, spent / count * 1000


def from_hub(source: LiveHub, target: LiveHub, mine: list[Path]) -> None:
    """Import the channel `copy` of a running hub, in two runs. `mine`: packages that are uploaded meanwhile."""
    target.manage("createchannel", "bench", "--owner", "admin", "--public")
    key = target.manage("createapikey", "admin", "--name", "bench", "--scope", "upload", "--scope", "read")
    target.start()
    try:
        before = [visible_s(target, key, path) for path in mine[:UPLOADS_BEFORE]]
        done, meanwhile = threading.Event(), list[float]()
        uploads = threading.Thread(target=_upload, args=[target, key, mine[UPLOADS_BEFORE:], done, meanwhile])
        uploads.start()
        try:
            for is_killed in (True, False):
                print(_run(target, f"{source.url}/copy", is_killed=is_killed))
        finally:
            done.set()
            uploads.join()
        print(target.manage("verify", "copy").splitlines()[-1])
    finally:
        target.stop()
    for title, times in (("before", before), ("meanwhile", meanwhile)):
        largest = statistics.quantiles(times, n=100)[98]
        print(f"{title}: {len(times)} uploads, p50 {statistics.median(times):.2f} s, p99 {largest:.2f} s")


def _upload(hub: LiveHub, key: str, paths: list[Path], done: threading.Event, times: list[float]) -> None:
    for path in paths:
        if done.is_set():
            return
        times.append(visible_s(hub, key, path))
        time.sleep(PAUSE_S)


def _run(hub: LiveHub, url: str, *, is_killed: bool) -> str:
    """Run the command, and kill it half-way if `is_killed`. Return its last line, its seconds and its peak memory."""
    command = [*MANAGE, "importchannel", url, "--into", "copy", "--owner", "admin", "--public"]
    environment, begun, line = hub.environment | {"PYTHONUNBUFFERED": "1"}, time.monotonic(), ""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout  # noqa: S101
        for line in process.stdout:
            found = PROGRESS.match(line)
            if is_killed and found and int(found[1].replace(",", "")) * 2 >= int(found[2].replace(",", "")):
                process.send_signal(signal.SIGKILL)
                break
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    return f"{line.strip()} ({time.monotonic() - begun:.0f} s, {used.ru_maxrss // 1024} MiB)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--store", choices=STORES, default="")
    parser.add_argument("--from-hub", action="store_true", help="also import from a running hub")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(store(arguments.store, folder))
        make_packages(folder / "source" / "noarch", arguments.packages, "imported")
        hub = stack.enter_context(stopped_hub(folder, **(server.environment() if server else {})))
        rate, processor_ms = import_rate(hub, folder / "source", arguments.packages)
        print(f"{arguments.packages} packages: {rate:.0f}/s, {processor_ms:.1f} ms of processor time each")
        if arguments.from_hub:
            (folder / "target").mkdir()
            internal = {"HUB_INTERNAL_HOSTS": f"127.0.0.1:{hub.port}"}
            target = stack.enter_context(stopped_hub(folder / "target", **internal))
            mine = make_packages(folder / "other", 1000, "other")
            hub.start()
            stack.callback(hub.stop)
            from_hub(hub, target, mine)


if __name__ == "__main__":
    main()
