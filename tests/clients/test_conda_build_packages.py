"""Packages of conda-build with licences in the pkg archive: a client installs them from the hub and a folder."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rattler.index import index_fs
from rattler_build import upload_package_to_prefix

from tests.archives import CONDA_BUILD_PACKAGES, make_conda
from tests.clients.conftest import Keys
from tests.clients.plain import until_settled
from tests.clients.reader import Reader
from tests.live import LiveHub

PYTHON = "python-3.12.1-0.conda"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a python package to install packages for. Only its version matters."""
    folder = tmp_path_factory.mktemp("python")
    return make_conda(folder, name="python", version="3.12.1", subdir="linux-64", files={"bin/python3.12": b""})


@pytest.fixture(scope="module")
def in_hub(hub: LiveHub, keys: Keys, python: Path) -> str:
    hub.manage("createchannel", "from-conda-build", "--owner", "olga", "--public")
    files = [str(path) for path in (python, *CONDA_BUILD_PACKAGES)]
    upload_package_to_prefix(files, hub.url, "from-conda-build", api_key=keys.olga)
    until_settled(hub)
    return f"{hub.url}/from-conda-build"


@pytest.fixture(scope="module")
def in_folder(python: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("channel")
    for path in CONDA_BUILD_PACKAGES:
        (folder / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, folder / path.parent.name)
    shutil.copy(python, folder / "linux-64")
    # In another thread: this one may have the event loop of browser tests.
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, index_fs(folder)).result()
    return folder.as_uri()


@pytest.mark.parametrize("path", CONDA_BUILD_PACKAGES, ids=lambda path: path.name)
@pytest.mark.parametrize("place", ["in_hub", "in_folder"])
def test_package_of_conda_build_installed(request: pytest.FixtureRequest, place: str, path: Path) -> None:
    reader = Reader(request.getfixturevalue(place))
    subdir = "linux-64" if path.parent.name == "noarch" else path.parent.name

    installed = reader.install_files(subdir, path.name, PYTHON)

    assert f"conda-meta/{path.stem}.json" in installed
    assert len(installed) > 2, "a file of its own"
