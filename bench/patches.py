"""Patches compared with conda-index: `python -m bench.patches --conda-index PYTHON [--records N]`.

N records in the shape of conda-forge's, with instructions for each of them. PYTHON is an interpreter that can import
conda_index. Prints the differences between the records of both, and the hub's time and memory.
"""
# ruff: noqa: E402  (models can be imported only after django.setup())

import argparse
import json
import os
import random
import resource
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import django

import tests.environment  # noqa: F401  (its own data folder)

os.environ |= {"DJANGO_SETTINGS_MODULE": "hub.settings", "HUB_INDEX_PAUSE_MS": "1"}
django.setup()

from django.core.management import call_command
from django.db import transaction

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from hub.storage import store
from publishing.index import builds, patching, repodata
from publishing.models import SubdirIndex
from publishing.patches import imports, patches
from tests.builders import make_artifact, make_channel, make_user

SUBDIR = "linux-64"
SECTIONS = {"packages": ".tar.bz2", "packages.conda": ".conda"}
DEPENDS = ["python >=3.8,<3.9.0a0", "numpy >=1.16.5", "libgcc-ng >=7.5.0", "openssl >=1.1.1g,<1.1.2a", "zlib"]
# What conda-index does with its two arguments, and no more.
APPLY = """
import json, sys
from conda_index.index import _apply_instructions
repodata, instructions = (json.load(open(path)) for path in sys.argv[1:3])
json.dump(_apply_instructions("linux-64", repodata, instructions), open(sys.argv[3], "w"))
"""


def documents(count: int, chance: random.Random) -> dict[str, dict[str, Any]]:
    """Return file name → index.json. Half of the files exist in both formats."""
    found: dict[str, dict[str, Any]] = {}
    number = 0
    while len(found) < count:
        name, version, build = f"pack-{number // 10}", f"1.{number % 10}", f"py38h{number:07x}_{number % 3}"
        index = {
            "name": name,
            "version": version,
            "build": build,
            "build_number": number % 3,
            "subdir": SUBDIR,
            "depends": chance.sample(DEPENDS, chance.randint(1, len(DEPENDS))),
            "license": chance.choice(["MIT", "BSD 3-Clause", "GPL"]),
            "timestamp": 1_600_000_000_000 + number,
        }
        index |= chance.choice(
            [{}, {"features": "vc14"}, {"track_features": "blas_openblas"}, {"constrains": ["x <2"]}]
        )
        for extension in chance.choice([(".conda",), (".tar.bz2",), (".conda", ".tar.bz2"), (".conda", ".tar.bz2")]):
            found[f"{name}-{version}-{build}{extension}"] = index
        number += 1
    return found


def instructions(found: dict[str, dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    """Return instructions for every file, in the proportions of conda-forge-repodata-patches."""
    sections: dict[str, dict[str, Any]] = {"packages": {}, "packages.conda": {}}
    for file_name, index in found.items():
        section = "packages.conda" if file_name.endswith(".conda") else "packages"
        sections[section][file_name] = changes(index, chance)
    names = chance.sample(sorted(found), len(found) // 50)
    return {"patch_instructions_version": 1, **sections, "revoke": names[::4], "remove": names[1::2]}


def changes(index: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    possible: list[Callable[[], dict[str, Any]]] = [
        lambda: {"depends": [*index["depends"], "libffi >=3.2.1,<3.3a0"]},
        lambda: {"depends": [spec.replace("1.1.2a", "1.1.2") for spec in index["depends"]]},
        lambda: {"constrains": ["pypy <0a0"]},
        lambda: {"license": "BSD-3-Clause", "license_family": "BSD"},
        lambda: {"features": None},
        lambda: {"track_features": None},
        lambda: {"track_features": "pypy"},
    ]
    found: dict[str, Any] = {}
    for make in chance.sample(possible, chance.randint(1, 2)):
        found |= make()
    return found


def by_conda_index(python: str, content: dict[str, Any], given: dict[str, Any], folder: Path) -> dict[str, Any]:
    paths = [folder / name for name in ("repodata", "instructions", "result")]
    for path, document in zip(paths, (content, given), strict=False):
        path.write_text(json.dumps(document))
    subprocess.run([python, "-c", APPLY, *map(str, paths)], check=True)
    found: dict[str, Any] = json.loads(paths[2].read_text())
    return found


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> Counter[str]:
    """Count the kinds of differences between two repodata.json."""
    found: Counter[str] = Counter()
    for section in SECTIONS:
        found["files"] += len(ours[section].keys() ^ theirs[section].keys())
        for file_name in ours[section].keys() & theirs[section].keys():
            one, other = ours[section][file_name], theirs[section][file_name]
            for key in one.keys() | other.keys():
                if one.get(key, "missing") != other.get(key, "missing"):
                    found[f"{key}: {kind(one.get(key, 'missing'), other.get(key, 'missing'))}"] += 1
    found["removed"] += len(set(ours["removed"]) ^ set(theirs["removed"]))
    return +found


def kind(ours: Any, theirs: Any) -> str:
    if (ours, theirs) == ("missing", None):
        return "missing here, null there"
    if isinstance(ours, list) and theirs == [*ours, patching.REVOKED]:
        return "revoked there once more"
    return "other"


def measured(label: str, work: Callable[[], Any]) -> Any:
    begun, cpu, before = time.perf_counter(), time.process_time(), peak_mib()
    result = work()
    wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    print(f"{label:30} {wall_s:6.2f} s, processor {cpu_s:5.2f} s; peak memory {before:.0f} → {peak_mib():.0f} MiB")
    return result


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(channel: Channel) -> None:
    builds.build_until_current(SubdirIndex.objects.get(channel=channel, subdir=SUBDIR).pk)


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(b"".join(store().open(f"demo/{SUBDIR}/{name}")))
    return content


def make_records(channel: Channel, found: dict[str, dict[str, Any]]) -> None:
    with transaction.atomic():
        for file_name, index in found.items():
            extension = ".conda" if file_name.endswith(".conda") else ".tar.bz2"
            place = (index["name"], index["version"], index["build"])
            make_artifact(channel, *place, subdir=SUBDIR, extension=extension, index_json=index)


def run(user: User, count: int, python: str, save: Path | None, folder: Path) -> None:
    chance = random.Random(15)
    channel = make_channel(owner=user)
    found = documents(count, chance)
    given = instructions(found, chance)
    data = json.dumps(given).encode()
    make_records(channel, found)
    measured("index without patches", lambda: build(channel))
    unpatched = read(repodata.REPODATA)
    actor = Actor(user=user)

    def imported(*, dry_run: bool) -> patches.Outcome:
        values: dict[str, Any] = {"source": "patch_instructions.json", "subdir": SUBDIR, "dry_run": dry_run}
        return imports.import_file(actor=actor, channel=channel, file=BytesIO(data), **values)

    measured("preview of the import", lambda: imported(dry_run=True))
    outcome = measured("import", lambda: imported(dry_run=False))
    measured("index with patches", lambda: build(channel))
    print(f"{len(found):,} records, {len(data):,} bytes, {outcome.preview.record_count:,} records changed")
    theirs = by_conda_index(python, unpatched, given, folder)
    if save:
        save.write_text(json.dumps({"documents": found, "instructions": given, "result": theirs}, sort_keys=True))
    print("differences to conda-index:", dict(difference(read(repodata.REPODATA), theirs)) or "none")
    print(
        "differences of repodata_from_packages.json:",
        dict(difference(read(repodata.FROM_PACKAGES), unpatched)) or "none",
    )
    measured("undo", lambda: patches.undo(actor=actor, patch=outcome.patches[0]))
    measured("index after undo", lambda: build(channel))
    print("differences after undo:", dict(difference(read(repodata.REPODATA), unpatched)) or "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conda-index", required=True)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument(
        "--save", type=Path, help="the records, the instructions and the result of conda-index, as JSON"
    )
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        run(make_user(is_superuser=True), options.records, options.conda_index, options.save, Path(folder))


if __name__ == "__main__":
    main()
