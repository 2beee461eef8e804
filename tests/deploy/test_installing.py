"""Tests of the lock files: they install with old and new pips, and when newer releases of every package exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, canonicalize_version

ROOT = Path(__file__).parents[2]
LOCKS = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
# The pip of Python 3.11.0's ensurepip, and the newest one. CI installs with that of Debian.
PIPS = {"run": "pip==22.3", "dev": "pip"}
INSTALL_S = 900
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def locked(lock: str) -> dict[str, str]:
    """Return name → version of every package that `lock` has for this Python and platform."""
    lines = re.findall(r"^([\w.-]+==[^\\\n]+?) *\\$", (ROOT / lock).read_text(), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    return {
        str(canonicalize_name(each.name)): canonicalize_version(next(iter(each.specifier)).version)
        for each in requirements
        if each.marker is None or each.marker.evaluate()
    }


@pytest.fixture
def newer_releases(tmp_path: Path) -> Path:
    """Return a folder of wheels for pip's --find-links with a newer release of every locked package."""
    folder = tmp_path / "newer"
    folder.mkdir()
    for lock in LOCKS.values():
        for name, version in locked(lock).items():
            make_wheel(folder, name.replace("-", "_"), f"{version}.post99")
    return folder


def make_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", WHEEL)
        wheel.writestr(f"{info}/RECORD", "")


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=INSTALL_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(python: Path) -> dict[str, str]:
    """Return name → version of every package of a virtual environment."""
    frozen = run(python, "-m", "pip", "freeze", "--all", cwd=python.parent)
    pairs = re.findall(r"^(.+)==(.+)$", frozen, re.MULTILINE)
    return {str(canonicalize_name(name)): canonicalize_version(version) for name, version in pairs}


def test_locks_with_newer_releases_on_offer_install_their_versions(tmp_path: Path, newer_releases: Path) -> None:
    for name in ("Makefile", *LOCKS.values()):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", ".venv", cwd=tmp_path)
    wanted: dict[str, str] = {}
    for target, pip in PIPS.items():
        run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--upgrade", pip, cwd=tmp_path)
        run("make", f".venv/{target}.installed", cwd=tmp_path, PIP_FIND_LINKS=str(newer_releases), PIP_COMPILE="0")
        wanted |= locked(LOCKS[target])
        found = installed(python)
        assert {name: found.get(name) for name in wanted} == wanted
        assert found.keys() - wanted.keys() <= {"pip", "setuptools"}


def test_every_installation_takes_the_lock_as_it_is() -> None:
    names = run("git", "ls-files", "Makefile", "Dockerfile", "README.md", "docs/*.md", ".ci", cwd=ROOT).split()
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines() if "pip install" in line]
    assert len(lines) >= 2
    assert [line for line in lines if "--no-deps" not in line or "--require-hashes" not in line] == []


def test_every_executable_file_names_its_interpreter() -> None:
    staged = run("git", "ls-files", "--stage", cwd=ROOT).splitlines()
    names = [line.split("\t")[1] for line in staged if line.startswith("100755")]
    assert ".ci/browser" in names
    assert [name for name in names if not (ROOT / name).read_bytes().startswith(b"#!")] == []
