"""Watches of prefixes: `python -m bench.watch quiet [--files N] [--store seaweed]` and `… backlog [--files N]`.

`quiet` prints the time and the peak memory of passes over a channel with N files that are all taken in. Then it puts
three more packages, one after the other, and prints how long each takes to be visible. The index has only these three.

`backlog` puts N small packages at once below the prefix of a watched channel. It prints how long it takes until all are
visible. It also prints the times from upload to visible in another channel, before and meanwhile.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from bench.importing import STORES, make_packages, stopped_hub, store
from bench.upload import upload
from tests.live import MANAGE, LiveHub

WATCHED = """
from channels_app.channels import channels
from channels_app.models import Channel, User
from publishing.models import Watch
admin = User.objects.get()
taken = channels.create(name='taken', owner=admin, is_private=False)
channels.create(name='bench', owner=admin, is_private=False)
Watch.objects.create(channel=taken, created_by=admin)
"""
ROWS = """
from channels_app.models import Artifact, Package
from concurrent.futures import ThreadPoolExecutor
from hub.storage import store
channel = Channel.objects.get(name='taken')
package = Package.objects.create(channel=channel, name='part')
facts = {'build': '0', 'build_number': 0, 'revision': 1, 'size_bytes': 1, 'sha256': 'a', 'md5': 'b', 'index_json': {}}
place = {'channel': channel, 'package': package, 'subdir': 'noarch', 'indexed_timestamp': 1}
names = [f'part-{number}-0.conda' for number in range(FILES)]
rows = (Artifact(**place, **facts, file_name=name, version=name) for name in names)
Artifact.objects.bulk_create(rows, batch_size=500)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda name: store().put(f'taken/noarch/{name}', b'x'), names))
"""
PASSES = """
import resource, time
from publishing.models import Watch
from publishing.watches import passes
answer = []
for number in range(3):
    begun, spent = time.monotonic(), time.process_time()
    passes.work()
    times = round(time.monotonic() - begun, 2), round(time.process_time() - spent, 2)
    answer.append([*times, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024])
watch = Watch.objects.get()
answer.append([watch.error, watch.cursor, len(watch.clean), watch.refused.count()])
"""
PUT = "from pathlib import Path\nfrom hub.storage import store\nstore().put('taken/noarch/{name}', Path('{path}'))"
UPLOADS_BEFORE, PAUSE_S = 15, 0.5
PUTS = 3


def quiet(hub: LiveHub, folder: Path, files: int) -> None:
    hub.shell(WATCHED + ROWS.replace("FILES", str(files)))
    print("passes: seconds, of processor time, MiB:", _in_own_process(hub, PASSES), flush=True)
    hub.start()
    try:
        times = [put_visible_s(hub, path) for path in make_packages(folder / "late", PUTS, "late")]
        print("put to visible:", *(f"{each:.1f} s" for each in times))
    finally:
        hub.stop()


def put_visible_s(hub: LiveHub, path: Path) -> float:
    """Put a package below the watched prefix. Return the seconds until the index lists it."""
    hub.shell(PUT.format(name=path.name, path=path))
    begun = time.monotonic()
    while path.name not in index(hub, "taken"):
        time.sleep(0.1)
    return time.monotonic() - begun


def _in_own_process(hub: LiveHub, code: str) -> str:
    """Run the code by `manage.py shell`, so that its peak memory is its own. Return its variable `answer`."""
    command = [*MANAGE, "shell", "--verbosity", "0", "--command", f"{code}\nprint(answer)"]
    return subprocess.run(command, env=hub.environment, capture_output=True, text=True, check=True).stdout.strip()


def visible_s(hub: LiveHub, key: str, path: Path) -> float:
    """Upload a package to the other channel. Return the seconds until its index lists it."""
    begun = time.monotonic()
    upload(hub.url, key, [str(path)])
    while path.name not in index(hub, "bench"):
        time.sleep(0.02)
    return time.monotonic() - begun


def index(hub: LiveHub, channel: str) -> dict[str, object]:
    try:
        with urllib.request.urlopen(f"{hub.url}/{channel}/noarch/repodata.json") as answer:
            found: dict[str, object] = json.load(answer)["packages.conda"]
    except OSError:
        return {}
    return found


def backlog(hub: LiveHub, folder: Path, files: int) -> None:
    hub.shell(WATCHED)
    key = hub.manage("createapikey", "admin", "--name", "bench", "--scope", "upload", "--scope", "read")
    mine = iter(make_packages(folder / "other", 2000, "other"))
    make_packages(folder / "backlog", files, "backlog")
    hub.start()
    try:
        before = [visible_s(hub, key, next(mine)) for _ in range(UPLOADS_BEFORE)]
        prefix = hub.data_dir / "channels" / "taken" / "noarch"
        shutil.copytree(folder / "backlog", prefix, dirs_exist_ok=True)
        begun, meanwhile = time.monotonic(), []
        done = threading.Event()
        threading.Thread(target=_wait, args=[hub, files, done], daemon=True).start()
        while not done.is_set():
            meanwhile.append(visible_s(hub, key, next(mine)))
            time.sleep(PAUSE_S)
        print(f"{files} files visible after {time.monotonic() - begun:.0f} s")
        for title, times in (("before", before), ("meanwhile", meanwhile)):
            largest = statistics.quantiles(times, n=100)[98]
            print(f"{title}: {len(times)} uploads, p50 {statistics.median(times):.2f} s, p99 {largest:.2f} s")
    finally:
        hub.stop()


def _wait(hub: LiveHub, files: int, done: threading.Event) -> None:
    while len(index(hub, "taken")) < files:
        time.sleep(2)
    done.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("quiet", "backlog"))
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--store", choices=STORES, default="")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(store(arguments.store, folder))
        hub = stack.enter_context(stopped_hub(folder, **(server.environment() if server else {})))
        if arguments.what == "quiet":
            quiet(hub, folder, arguments.files)
        else:
            backlog(hub, folder, arguments.files)


if __name__ == "__main__":
    main()
