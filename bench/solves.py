"""Solutions of random specs: `.ci/need nginx nginx && python -m bench.solves [options]`.

rattler-index writes two channels of small packages, and nginx serves them. `--shared` is how many of their 300 names
both channels can have. Each of the other names is in one channel. A hub has an upstream channel of each, and a
virtual channel of both. Clients solve the same random specs from the first channel and from its upstream channel. They
also solve them from both channels in strict priority, and from the virtual channel. py-rattler does it with each form
of the index. conda does it if `--conda-python` gives a Python that has it.

It prints how many solutions differ, and how many always do: conda takes any of several solutions that are equally good.
It also prints how many requests nginx got while clients asked the hub. The virtual channel is also compared with a
channel that rattler-index wrote of the packages that strict priority chooses.
"""

import argparse
import asyncio
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rattler import Channel, Gateway, SourceConfig, Subdir, solve
from rattler.exceptions import SolverError
from rattler.index import index_fs

from tests.archives import make_conda, make_tar_bz2
from tests.live import LiveHub, Program, live_hub
from tests.nginx import serving_folder

NAMES = [f"pack-{number:03}" for number in range(300)]
VERSIONS_MAX = 8
MEMBERS = ("first", "second")
PLATFORMS = ("linux-64", "noarch")
# Repetitions of solves that differ.
TIMES = 8
FORMS = {
    "shards": SourceConfig(sharded_enabled=True),
    "zst": SourceConfig(sharded_enabled=False, zstd_enabled=True),
    "JSON": SourceConfig(sharded_enabled=False, zstd_enabled=False),
}
SETUP = """
from channels_app.access.permissions import Actor
from channels_app.models import ChannelKind
from publishing.models import Upstream
from publishing.virtual import virtual
from publishing.virtual.virtual import MemberText, Wanted
from tests.builders import make_channel, make_user
olga = make_user("olga")
for name in {members}:
    channel = make_channel(name, owner=olga, is_private=False, kind=ChannelKind.UPSTREAM)
    Upstream.objects.create(channel=channel, url=f"{url}/{{name}}", subdirs=list({subdirs}))
merged = make_channel("merged", owner=olga, is_private=False, kind=ChannelKind.VIRTUAL)
virtual.change(actor=Actor(user=olga), channel=merged, wanted=Wanted([MemberText(name) for name in {members}], []))
"""
# The hub polls, too: one of both waits.
POLL = """
from publishing.models import SubdirIndex, Upstream, UpstreamSubdir
from publishing.upstreams import sync
for upstream in Upstream.objects.all():
    sync.sync(upstream.channel_id)
indexes = SubdirIndex.objects.filter(subdir__in={subdirs})
is_complete = indexes.count() == 6 and UpstreamSubdir.objects.filter(is_synced=True).count() == 4
answer = is_complete and all(index.is_current for index in indexes)
"""
# conda's command line in one process. It reads [[arguments], …] and prints a list of answers.
CONDA = """
import contextlib, io, json, sys
from conda.cli.main import main_subshell
from conda.exception_handler import conda_exception_handler
answers = []
for arguments in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        conda_exception_handler(main_subshell, *arguments)
    answers.append(json.loads(out.getvalue()))
print(json.dumps(answers))
"""

NO_SOLUTION = ("UnsatisfiableError", "ResolvePackageNotFound", "PackagesNotFoundInChannelsError")
# Name → version spec of some names.
Request = dict[str, str]
Differing = tuple[Request, list[str], list[str]]
Solve = Callable[[list[str], list[Request]], list[list[str]]]


def names_of_members(shared: int) -> dict[str, set[str]]:
    """Return the names that each channel can have. `shared` of them are in both."""
    mixed = Random(shared).sample(NAMES, k=len(NAMES))
    both, others = mixed[:shared], mixed[shared:]
    return {member: {*both, *others[number :: len(MEMBERS)]} for number, member in enumerate(MEMBERS)}


def write_channel(folder: Path, own_names: set[str], random: Random) -> None:
    """Write packages with dependencies that often can be met, and their index."""
    for subdir in PLATFORMS:
        (folder / subdir).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        if name not in own_names:
            continue
        for version in random.sample(range(VERSIONS_MAX), k=random.choice((0, 1, 2, 4, 6))):
            for build in range(random.choice((1, 1, 2))):
                write_package(folder, NAMES[:number], name, f"{version}.{random.randrange(3)}", build, random)
    asyncio.run(index_fs(folder))


def merge_by_hand(served: Path) -> None:
    """Write the channel `merged` with each name's packages of the first member that has it, and its index."""
    owners: dict[str, str] = {}
    for member in MEMBERS:
        for path in sorted((served / member).glob("*/pack-*")):
            if owners.setdefault(path.name.rsplit("-", 2)[0], member) == member:
                target = served / "merged" / path.parent.name
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    asyncio.run(index_fs(served / "merged"))


def write_package(folder: Path, others: list[str], name: str, version: str, build: int, random: Random) -> None:
    subdir = random.choice(PLATFORMS)
    depends = [f"{other} {version_spec(random)}" for other in some(others, random)]
    constrains = [f"{other} {version_spec(random)}" for other in some(others, random)]
    index = {"build_number": build, "constrains": constrains, "timestamp": 1_700_000_000_000 + random.randrange(10**9)}
    make: Callable[..., Path] = make_conda if random.random() < 0.8 else make_tar_bz2
    options = {"name": name, "version": version, "build": f"{folder.name}_{build}", "subdir": subdir}
    make(folder / subdir, **options, depends=depends, index=index)


def some(names: list[str], random: Random) -> list[str]:
    return random.sample(names, k=min(len(names), random.choice((0, 1, 1, 2, 3))))


def version_spec(random: Random) -> str:
    number = random.randrange(VERSIONS_MAX)
    return random.choice(("*", "*", f">={number // 2}", f"<{number + 3}", f">={number // 2},<{number + 4}"))


def make_request(random: Random) -> Request:
    return {name: version_spec(random) for name in random.sample(NAMES, k=random.choice((1, 1, 2, 3)))}


def by_rattler(cache: Path, form: SourceConfig, urls: list[str], requests: list[Request]) -> list[list[str]]:
    """Return the files of each solution; none if there is no solution.

    The versions are constraints: rattler leaves out the records that a spec excludes before it asks which channel has
    the name.
    """

    async def one(gateway: Gateway, request: Request) -> list[str]:
        platforms, channels = [Subdir(each) for each in PLATFORMS], [Channel(url) for url in urls]
        constraints = [f"{name} {version}" for name, version in request.items()]
        try:
            found = await solve(channels, list(request), gateway, platforms, constraints=constraints)
        except SolverError:
            return []
        return sorted(f"{record.subdir}/{record.file_name}" for record in found)

    async def every() -> list[list[str]]:
        with tempfile.TemporaryDirectory(dir=cache) as own:
            gateway = Gateway(cache_dir=Path(own), default_config=form)
            return [await one(gateway, request) for request in requests]

    return asyncio.run(every())


def by_conda(command: str, urls: list[str], requests: list[Request]) -> list[list[str]]:
    """Return the same as `by_rattler`, from `conda create --dry-run`."""
    with tempfile.TemporaryDirectory() as home:
        options = ["create", "--dry-run", "--json", "--prefix", f"{home}/prefix", "--override-channels"]
        options += ["--strict-channel-priority", *(word for url in urls for word in ("--channel", url))]
        asked = [[*options, *(f"{name} {version}" for name, version in request.items())] for request in requests]
        own = {"HOME": home, "CONDA_PKGS_DIRS": f"{home}/packages", "CONDA_SOLVER": "classic"}
        more = own | {"CONDA_SUBDIR": "linux-64", "NO_PROXY": "127.0.0.1", "CONDA_NUMBER_CHANNEL_NOTICES": "0"}
        done = subprocess.run(
            [*shlex.split(command), "-c", CONDA],
            env=os.environ | more,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
        )
    return [_files(answer) for answer in json.loads(done.stdout)]


def _files(answer: dict[str, Any]) -> list[str]:
    if error := answer.get("exception_name"):
        assert error in NO_SOLUTION, answer  # noqa: S101  (another error is no result)
        return []
    return sorted(f"{each['platform']}/{each['dist_name']}" for each in answer["actions"]["LINK"])


def settle(hub: LiveHub) -> None:
    """Poll the upstreams and wait until all indexes are built."""
    while not hub.shell(POLL.format(subdirs=PLATFORMS)):
        time.sleep(1)


def compare(title: str, find: Solve, pair: tuple[list[str], list[str]], requests: list[Request], log: Path) -> None:
    """Print how solutions from two lists of channels differ. Those of the second are not to reach nginx."""
    expected = find(pair[0], requests)
    before, begun = _lines(log), time.monotonic()
    found = find(pair[1], requests)
    asked, elapsed_s = _lines(log) - before, time.monotonic() - begun
    differing = [each for each in zip(requests, expected, found, strict=True) if each[1] != each[2]]
    left = without_ties(find, pair, differing)
    wrong = [each for each in left if not (solves(find, pair[1], each[1]) and solves(find, pair[0], each[2]))]
    print(
        f"{title}: {len(requests)} specs, {sum(map(bool, expected))} solved with {sum(map(len, expected))} packages; "
        f"{len(differing)} differ, {len(left)} always, {len(wrong)} are no solutions of both; "
        f"{asked} requests to the upstream, {elapsed_s:.0f} s",
        flush=True,
    )


def solves(find: Solve, urls: list[str], files: list[str]) -> bool:
    """Tell whether exactly these files are a solution from the channels."""
    stems = (file.rpartition("/")[2].removesuffix(".conda").removesuffix(".tar.bz2") for file in files)
    parts = (stem.rsplit("-", 2) for stem in stems)
    return find(urls, [{name: f"=={version} {build}" for name, version, build in parts}]) == [files]


def without_ties(find: Solve, pair: tuple[list[str], list[str]], differing: list[Differing]) -> list[Differing]:
    """Return the requests to which the client did not get the same answer from both, even when it asked again."""
    answers: list[tuple[set[str], set[str]]] = [({str(a)}, {str(b)}) for _, a, b in differing]
    for _ in range(TIMES if differing else 0):
        for side, urls in enumerate(pair):
            again = find(urls, [request for request, _, _ in differing])
            for number, files in enumerate(again):
                answers[number][side].add(str(files))
        if all(a & b for a, b in answers):
            break
    return [each for each, (a, b) in zip(differing, answers, strict=True) if not a & b]


def _lines(log: Path) -> int:
    return log.read_text().count("\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specs", type=int, default=200)
    parser.add_argument("--shared", type=int, default=len(NAMES))
    parser.add_argument("--conda-python", metavar="COMMAND", default="")
    options = parser.parse_args()
    random = Random(16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clients: dict[str, Solve] = {
            f"py-rattler, {form}": partial(by_rattler, folder, config) for form, config in FORMS.items()
        }
        if options.conda_python:
            clients["conda"] = partial(by_conda, options.conda_python)
        for member, names in names_of_members(options.shared).items():
            write_channel(folder / "served" / member, names, random)
        merge_by_hand(folder / "served")
        requests = [make_request(random) for _ in range(options.specs)]
        with serving_folder(folder, folder / "served") as url:
            [log] = folder.glob("nginx-*/log")
            with live_hub(folder, Program, HUB_INTERNAL_HOSTS=url.removeprefix("http://")) as hub:
                hub.shell(SETUP.format(members=MEMBERS, subdirs=PLATFORMS, url=url))
                settle(hub)
                for title, client in clients.items():
                    proxied = [f"{url}/first"], [f"{hub.url}/first"]
                    compare(f"{title}, proxy", client, proxied, requests, log)
                    for what, urls in {"two channels": MEMBERS, "merged by hand": ["merged"]}.items():
                        merged = [f"{url}/{each}" for each in urls], [f"{hub.url}/merged"]
                        compare(f"{title}, {what} and virtual", client, merged, requests, log)


if __name__ == "__main__":
    main()
