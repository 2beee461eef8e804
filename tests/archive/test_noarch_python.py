"""Files of a noarch python package with equal install paths: the client would decide which one is kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from publishing.archive.reader import read
from tests.archives import make_conda, make_tar_bz2, paths_entry, refusal, symlink, tar_member

MAKERS = [make_conda, make_tar_bz2]
PYTHON = {"noarch": "python", "depends": ["python"]}
LINK = {"noarch": {"type": "python", "entry_points": ["demo = demo:main"]}, "package_metadata_version": 1}
INFO = {"link.json": json.dumps(LINK).encode()}


def package(directory: Path, make: Any, *paths: str, **more: Any) -> Path:
    files = {path: path.encode() for path in paths}
    made: Path = make(directory, files=files, index=PYTHON, info=INFO, **more)
    return made


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("folder", ["site-packages", "python-scripts"])
def test_read_noarch_python_with_a_file_or_link_in_place_of_a_folder_refused(
    tmp_path: Path, make: Any, folder: str
) -> None:
    link = {"members": [symlink(folder, "share")], "listed": [paths_entry(folder, b"", "softlink")]}

    assert f"the member '{folder}' is a file: conda installs it" in refusal(package(tmp_path, make, folder))
    assert f"'{folder}' is a symlink" in refusal(package(tmp_path, make, "share/x", **link))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("paths", "place"),
    [
        (("python-scripts/b", "bin/b"), "b"),
        (("bin/b", "python-scripts/b"), "b"),
        (("python-scripts/d/b", "Scripts/d/b"), "d/b"),
        (("python-scripts/b", "scripts/b"), "b"),
        (("site-packages/a/b.py", "lib/python3.12/site-packages/a/b.py"), "a/b.py"),
        (("site-packages/b.py", "lib/python3.13t/site-packages/b.py"), "b.py"),
        (("site-packages/b.py", "Lib/site-packages/b.py"), "b.py"),
        (("site-packages/b", "lib/python3.12/site-packages/b/c"), "b/c"),
        (("lib/python3.12/site-packages/b", "site-packages/b/c/d"), "b/c/d"),
        (("python-scripts/b/c", "bin/b", "bin/b-c", "Scripts/b/a"), "b/c"),
    ],
)
def test_read_noarch_python_with_two_files_of_one_place_refused(
    tmp_path: Path, make: Any, paths: tuple[str, ...], place: str
) -> None:
    assert f"of the files that come to '{place}' where Python has its own" in refusal(package(tmp_path, make, *paths))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "paths",
    [
        ("python-scripts/b", "bin/c", "site-packages/b.py", "lib/python3.12/site-packages/c.py"),
        ("bin/b", "Scripts/b"),
        ("lib/python3.11/site-packages/b.py", "lib/python3.12/site-packages/b.py"),
        ("python-scripts/demo",),
        ("python-scripts/b/c", "bin/b/d", "site-packages/b", "python-scripts/b.c"),
        ("share/site-packages", "share/bin/b", "python-scripts/b"),
    ],
)
def test_read_noarch_python_with_files_of_several_places_taken(
    tmp_path: Path, make: Any, paths: tuple[str, ...]
) -> None:
    path = package(tmp_path, make, *paths)

    assert read(path, path.name).file_count == len(paths)


@pytest.mark.parametrize("make", MAKERS)
def test_read_other_packages_with_such_files_taken(tmp_path: Path, make: Any) -> None:
    files = {"site-packages": b"", "python-scripts/b": b"", "bin/b": b""}

    for subdir in ("noarch", "linux-64"):
        path = make(tmp_path, subdir=subdir, files=files)
        assert read(path, path.name).file_count == len(files)


def test_read_noarch_python_with_its_folders_as_members_taken(tmp_path: Path) -> None:
    folders = [tar_member(f"{name}/", kind=b"5", mode=0o755) for name in ("bin", "python-scripts", "site-packages")]
    path = package(tmp_path, make_conda, "site-packages/a.py", members=folders)

    assert read(path, path.name).warnings == ()
