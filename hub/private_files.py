"""File permissions: only the hub's user can read its files, except packages that a web server of another user sends.

Other accounts of the machine can read no database, package, upload or key.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

UMASK = 0o077
CHANNELS = "channels"
OPEN_TO_ALL = 0o007
OTHERS = 0o077


def be_private() -> None:
    """Restrict new files of this process and its children to their user."""
    os.umask(UMASK)


def restrict(folder: Path, *, readers: int | None, is_sent_by_others: bool) -> None:
    """Restrict the data folder and its contents, as far as this user owns them.

    `readers` is the group that may read packages. Without one, if another program sends the packages, the path to them
    stays open to all; see too_open().
    """
    is_open = is_sent_by_others and readers is None
    mode = 0o710 if readers is not None else 0o711 if is_open else 0o700
    _restrict(folder, mode, readers)
    for path in folder.iterdir():
        if path.name != CHANNELS and not path.is_symlink():
            _restrict(path, 0o700 if path.is_dir() else 0o600)
    packages = folder / CHANNELS
    if not packages.is_symlink() and packages.is_dir() and not is_open:
        _restrict(packages, 0o2750 if readers is not None else 0o700, readers)


def open_files_warning(folder: Path, *, readers: int | None) -> str:
    """Return a warning with the files that others can read and the command to fix them; "" if there are none."""
    forbidden = OPEN_TO_ALL if readers is not None else OTHERS
    paths = [folder, *(path for path in folder.iterdir() if not path.is_symlink())]
    found = [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & forbidden]
    if not found:
        return ""
    shown = ", ".join(str(path) for path in found[:3])
    return (
        f"Other users of this machine can read {shown}; expected only the hub's user. "
        f"Run: chmod -R go-rwx {folder}. If nginx sends packages from there, set HUB_READERS_GROUP to its group."
    )


def _restrict(path: Path, mode: int, group: int | None = None) -> None:
    with suppress(OSError):
        found = path.stat()
        if found.st_uid != os.geteuid():
            return
        if group is not None and found.st_gid != group:
            os.chown(path, -1, group)
        if stat.S_IMODE(found.st_mode) != mode:
            path.chmod(mode)
