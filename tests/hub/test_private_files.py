"""Tests of file permissions: other users can read no file, except packages if a group is configured."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import private_files
from hub.server import gunicorn_conf
from hub.storage.folder import FolderStore
from tests.live import MANAGE, ROOT, LiveHub, Program, live_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Run a hub that was started with the usual umask, in a folder that is open to all."""
    before = os.umask(0o022)
    try:
        folder = tmp_path_factory.mktemp("private")
        with live_hub(folder, Program, HUB_METRICS_TOKEN="x" * 20) as hub:
            hub.manage("createchannel", "demo", "--owner", "admin")
            yield hub
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_of_a_running_hub_are_private(hub: LiveHub) -> None:
    assert mode(hub.data_dir) == 0o700
    found = list(hub.data_dir.rglob("*"))
    assert "secret_key" in {path.name for path in found}
    assert [path for path in found if path.exists() and not path.is_symlink() and mode(path) & 0o077] == []


def test_backup_is_not_readable_by_the_group(hub: LiveHub, tmp_path: Path) -> None:
    hub.manage("backup", str(tmp_path / "kept"))
    assert [path for path in (tmp_path / "kept").rglob("*") if mode(path) & 0o077] == []
    assert mode(tmp_path / "kept") == 0o700


def test_a_folder_that_is_open_is_closed(tmp_path: Path) -> None:
    for name in ("queue", "channels"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "hub.sqlite3").touch(0o644)
    tmp_path.chmod(0o755)
    assert "chmod -R go-rwx" in private_files.open_files_warning(tmp_path, readers=None)
    private_files.restrict(tmp_path, readers=None, is_sent_by_others=False)
    assert private_files.open_files_warning(tmp_path, readers=None) == ""
    assert mode(tmp_path / "hub.sqlite3") == 0o600
    assert {mode(tmp_path / name) for name in ("queue", "channels")} == {0o700}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to any group")
def test_group_reads_packages_only(tmp_path: Path) -> None:
    (tmp_path / "channels").mkdir()
    (tmp_path / "hub.sqlite3").touch(0o644)
    private_files.restrict(tmp_path, readers=12345, is_sent_by_others=True)
    before = os.umask(0o077)
    try:
        source = tmp_path / "upload"
        source.write_bytes(b"x")
        store = FolderStore(tmp_path / "channels")
        store.put("demo/noarch/linked.conda", source)
        store.put("demo/noarch/written.json", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path) == 0o710
    assert tmp_path.stat().st_gid == 12345
    for name, wanted in {"": 0o2750, "demo": 0o2750, "demo/noarch": 0o2750}.items():
        assert mode(tmp_path / "channels" / name) == wanted
    for name in ("linked.conda", "written.json"):
        path = tmp_path / "channels" / "demo" / "noarch" / name
        assert (mode(path), path.stat().st_gid) == (0o640, 12345)
    assert mode(tmp_path / "hub.sqlite3") == 0o600
    assert private_files.open_files_warning(tmp_path, readers=12345) == ""


def test_packages_without_a_group_are_readable_with_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "channels").mkdir()
    (tmp_path / "channels").chmod(0o755)
    private_files.restrict(tmp_path, readers=None, is_sent_by_others=True)
    before = os.umask(0o077)
    try:
        FolderStore(tmp_path / "channels").put("demo/noarch/a.json", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path) == 0o711
    assert mode(tmp_path / "channels" / "demo" / "noarch" / "a.json") == 0o644
    assert mode(tmp_path / "channels" / "demo" / "noarch") == 0o755
    assert "HUB_READERS_GROUP" in private_files.open_files_warning(tmp_path, readers=None)


def test_files_of_another_user_keep_their_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    private_files.restrict(tmp_path, readers=None, is_sent_by_others=False)
    assert mode(tmp_path) == 0o755


def test_every_entry_point_is_private(tmp_path: Path) -> None:
    assert gunicorn_conf.umask == 0o077
    code = "import hub.celery as c; from celery.signals import celeryd_init as w, beat_init as b; "
    for signal in ("w", "b"):
        command = [
            sys.executable,
            "-c",
            f"{code}{signal}.send(sender='x', instance=None, conf=None); import os; print(os.umask(0))",
        ]
        environment = os.environ | {"HUB_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "hub.settings"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == str(0o077)
    done = subprocess.run(
        [*MANAGE, "shell", "--verbosity", "0", "--command", "import os; print(os.umask(0))"],
        env=os.environ | {"HUB_DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-1] == str(0o077)
