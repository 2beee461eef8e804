"""Names of temporary files below `uploads`: each tells which process it is of, so that those of dead ones can go."""

import os
import re
from pathlib import Path
from shutil import rmtree

OF_A_PROCESS = re.compile(r"[a-z]+-(\d+)-")


def prefix(kind: str) -> str:
    return f"{kind}-{os.getpid()}-"


def remove_orphans(folder: Path) -> None:
    """Delete temporary files of dead processes of this machine. Use it only for a folder that no other machine uses."""
    for path in folder.iterdir():
        found = OF_A_PROCESS.match(path.name)
        if found and not _is_running(int(found[1])):
            rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
