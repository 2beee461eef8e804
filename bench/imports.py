"""Import from a folder: `python -m bench.imports [--packages N] [--store rclone]`.

N small packages lie in a folder outside the store. `manage.py importchannel FOLDER --into CHANNEL` imports them, with
SQLite or DATABASE_URL. It prints packages per second and processor time of the command, with its start.
"""

import argparse
import resource
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.importing import STORES, make_packages, stopped_hub, store
from tests.live import LiveHub


def import_rate(hub: LiveHub, folder: Path, count: int) -> tuple[float, float]:
    """Import the folder. Return packages per second, and milliseconds of processor time per package."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    output = hub.manage("importchannel", str(folder), "--into", "copy", "--owner", "admin", "--public")
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert f"imported: {count}, there before: 0, refused: 0" in output, output  # noqa: S101
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count / seconds, spent / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--store", choices=STORES, default="")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(store(arguments.store, folder))
        make_packages(folder / "source" / "noarch", arguments.packages, "imported")
        hub = stack.enter_context(stopped_hub(folder, **(server.environment() if server else {})))
        rate, processor_ms = import_rate(hub, folder / "source", arguments.packages)
    print(f"{arguments.packages} packages: {rate:.0f}/s, {processor_ms:.1f} ms of processor time each")


if __name__ == "__main__":
    main()
