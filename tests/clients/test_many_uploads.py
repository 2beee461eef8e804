"""Many uploads at once: none is lost, one name keeps one content, and a hundred need a handful of index builds."""

import hashlib
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from rattler_build import upload_package_to_prefix

from tests.archives import make_conda
from tests.clients.conftest import Figure, Keys
from tests.clients.plain import Answer, ask, records, seconds_until_indexed, shard_records, upload, zst_records
from tests.live import LiveHub

PACKAGES = 100
CLIENTS = 4
# The pause between two builds of an index.
PAUSE_S = 0.25
AT_ONCE = 50


def test_hundred_uploads_by_four_clients(hub: LiveHub, keys: Keys, tmp_path: Path, figure: Figure) -> None:
    hub.manage("createchannel", "busy", "--owner", "olga")
    files = [make_conda(tmp_path, name=f"busy{number % 40}", version=f"1.{number}") for number in range(PACKAGES)]
    begun = time.monotonic()
    with ProcessPoolExecutor(CLIENTS, get_context("spawn")) as clients:
        parts = [[str(file) for file in files[start::CLIENTS]] for start in range(CLIENTS)]
        to_busy = partial(upload_package_to_prefix, url=hub.url, channels="busy", api_key=keys.olga)
        list(clients.map(to_busy, parts))
    took_s = time.monotonic() - begun
    figure(f"seconds for {PACKAGES} uploads by {CLIENTS} clients", round(took_s, 1))
    names = {file.name for file in files}
    seconds = seconds_until_indexed(hub, "busy", "noarch", names, keys.olga)
    figure("seconds from the last 2xx to repodata.json, .zst and shards", round(seconds, 2))
    published = records(hub, "busy", "noarch", keys.olga)
    assert {name: record["sha256"] for name, record in published.items()} == {file.name: sha256(file) for file in files}
    assert zst_records(hub, "busy", "noarch", keys.olga) == published
    in_shards = {name: record | {"run_exports": {}} for name, record in published.items()}
    assert shard_records(hub, "busy", "noarch", keys.olga) == in_shards
    builds = hub.shell("answer = SubdirIndex.objects.get(channel__name='busy', subdir='noarch').builds")
    figure("index builds", builds)
    assert builds < max(PACKAGES / 3, took_s / PAUSE_S + 3)


def test_same_bytes_fifty_times_at_once_are_one_artifact(hub: LiveHub, keys: Keys, tmp_path: Path) -> None:
    hub.manage("createchannel", "crowd", "--owner", "olga")
    file = make_conda(tmp_path, name="wanted")
    answers = upload_at_once(hub, "crowd", [file] * AT_ONCE, keys.olga)
    assert Counter(answer.status for answer in answers) == {201: 1, 200: AT_ONCE - 1}
    assert hub.shell("answer = Artifact.objects.filter(channel__name='crowd').count()") == 1
    assert ask(hub, "/crowd/noarch/wanted-1.0-0.conda", keys.olga).body == file.read_bytes()


def test_of_two_contents_at_once_one_wins(hub: LiveHub, keys: Keys, tmp_path: Path) -> None:
    hub.manage("createchannel", "duel", "--owner", "olga")
    rivals = [tmp_path / "one", tmp_path / "two"]
    for folder in rivals:
        folder.mkdir()
        make_conda(folder, name="duel", files={"share/text": folder.name.encode()})
    files = [folder / "duel-1.0-0.conda" for folder in rivals] * (AT_ONCE // 2)
    answers = upload_at_once(hub, "duel", files, keys.olga)
    [winner] = [file for file, answer in zip(files, answers, strict=True) if answer.status == 201]
    for file, answer in zip(files, answers, strict=True):
        assert answer.status in ((200, 201) if file == winner else (409,)), answer.text
    assert ask(hub, "/duel/noarch/duel-1.0-0.conda", keys.olga).body == winner.read_bytes()
    seconds_until_indexed(hub, "duel", "noarch", [winner.name], keys.olga)
    for form in (records, zst_records, shard_records):
        assert form(hub, "duel", "noarch", keys.olga)[winner.name]["sha256"] == sha256(winner)


def upload_at_once(hub: LiveHub, channel: str, files: list[Path], key: str) -> list[Answer]:
    with ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(upload, repeat(hub), repeat(channel), files, repeat(key)))


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
