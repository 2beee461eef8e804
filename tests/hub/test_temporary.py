"""Temporary files of processes that are gone: removed at the start of a hub, and no others."""

import os
import subprocess
import sys
from pathlib import Path

from hub import temporary


def test_files_of_dead_processes_alone_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "left"
    folder.mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (folder / f"upload-{gone.pid}-abc").write_bytes(b"half")
    (folder / f"index-{gone.pid}-abc").mkdir()
    (folder / f"index-{gone.pid}-abc" / "repodata.json").write_bytes(b"{}")
    kept = {f"{temporary.prefix('upload')}abc", "upload-abcdefgh", "1", f"upload-{os.getppid()}-x"}
    for name in kept:
        (folder / name).write_bytes(b"half")

    temporary.remove_orphans(folder)

    assert {path.name for path in folder.iterdir()} == kept
