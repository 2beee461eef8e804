"""conda's verdict on each variant. It is run by hand, because conda is on no package index.

Use a virtual environment with conda's dependencies, conda-package-handling and conda-package-streaming, and put conda's
sources on the path. docs/package-checks.md has the commands:

    python -m tests.differential.variants /tmp/variants
    PYTHONPATH=CONDA_SOURCES:. CONDA_PYTHON -m tests.differential.conda_oracle /tmp/variants VERSION

They write verdicts/conda.json: the versions, and for each variant's key its SHA-256, and its tree's digest or the
error.
"""

import contextlib
import importlib.metadata
import io
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tests.differential import trees
from tests.differential.files import MANIFEST, PYTHON_FOLDER, save

PLATFORM = "linux-64"
# conda spends most of its time waiting.
AT_ONCE = 8
ERROR_CHARACTERS = 160
LIBRARIES = ("conda-package-handling", "conda-package-streaming")


def configure(scratch: Path) -> None:
    """Configure conda with its defaults, folders of its own, and the platform of the variants."""
    os.umask(trees.UMASK)
    os.environ |= {
        "HOME": str(scratch),
        "CONDA_PKGS_DIRS": str(scratch / "pkgs"),
        "CONDA_SUBDIR": PLATFORM,
        "CONDA_TARGET_PREFIX_OVERRIDE": trees.PREFIX,
        "CONDA_ALWAYS_YES": "1",
        "CONDA_OFFLINE": "0",
        "CONDA_QUIET": "1",
        "CONDA_REGISTER_ENVS": "0",
        "CONDA_NO_PLUGINS": "1",
    }
    from conda.base.context import reset_context  # type: ignore[import-not-found]
    from conda.core import package_cache_data  # type: ignore[import-not-found]

    reset_context(())
    # Extract in this process: starting one for each package would take most of the time.
    package_cache_data.EXTRACT_PROCESSES = 1


def outcome(listed: dict[str, str], folder: Path, scratch: Path) -> dict[str, Any]:
    """Return {"tree": …} of the installed files, or {"error": …}."""
    from conda.core.link import PrefixSetup, UnlinkLinkTransaction  # type: ignore[import-not-found]
    from conda.models.match_spec import MatchSpec  # type: ignore[import-not-found]

    # conda caches the state of a prefix by its path, so each variant needs another path.
    prefix = scratch / "prefixes" / listed["folder"]
    prefix.mkdir(parents=True)
    shutil.rmtree(scratch / "pkgs", ignore_errors=True)
    try:
        records = _records(folder / listed["folder"], listed["subdir"])
        for spec in [spec for record in records for spec in [*record.depends, *record.constrains]]:
            MatchSpec(spec)
        if listed["subdir"] == "noarch":
            records = _records(folder / PYTHON_FOLDER, PLATFORM) + records
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            setup = PrefixSetup(str(prefix), (), tuple(records), (), (), ())
            UnlinkLinkTransaction(setup).execute()
    except (Exception, SystemExit) as error:  # noqa: BLE001  every error is a verdict
        return {"error": f"{type(error).__name__}: {error}".replace(str(scratch), "").strip()[:ERROR_CHARACTERS]}
    found = trees.tree(prefix)
    return {"tree": trees.digest(found)} | ({"files": found} if os.environ.get("SHOW_FILES") else {})


def _records(channel: Path, subdir: str) -> list[Any]:
    from conda.core.package_cache_data import PackageCacheData  # type: ignore[import-not-found]
    from conda.core.subdir_data import SubdirData  # type: ignore[import-not-found]
    from conda.models.channel import Channel  # type: ignore[import-not-found]

    PackageCacheData._cache_.clear()
    SubdirData._cache_.clear()
    records = list(SubdirData(Channel(f"{channel.as_uri()}/{subdir}")).iter_records())
    if not records:
        raise ValueError("repodata.json has no record that conda reads")
    return records


def outcomes(folder: Path, every: list[dict[str, str]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        configure(scratch)
        return {each["key"]: {"sha256": each["sha256"], **outcome(each, folder, scratch)} for each in every}


def main() -> None:
    folder, version = Path(sys.argv[1]), sys.argv[2]
    every = json.loads((folder / MANIFEST).read_text())
    # Not daemons, which could not start the processes in which conda extracts.
    with ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("spawn")) as pool:
        shares = pool.map(outcomes, [folder] * AT_ONCE, [every[start::AT_ONCE] for start in range(AT_ONCE)])
    found = {key: verdict for share in shares for key, verdict in share.items()}
    verdicts = {each["key"]: found[each["key"]] for each in every}
    versions = {"conda": version} | {name: importlib.metadata.version(name) for name in LIBRARIES}
    save("conda", versions | {"python": sys.version.split()[0]}, verdicts)


if __name__ == "__main__":
    main()
