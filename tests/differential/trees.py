"""The content of a prefix, in a form that two clients' installs can be compared by. Standard library alone.

conda's virtual environment imports this file, too, which has nothing of the project.
"""

import hashlib
import json
import os
import re
from pathlib import Path

# The prefix that is written into files: the same one for every client, wherever it installs.
PREFIX = "/opt/the-prefix"
UMASK = 0o022
OWN = ("conda-meta", "__pycache__", ".nonadmin", "CACHEDIR.TAG", ".condatmp")
ENTRY_POINT = re.compile(rb"from (\S+) import (\S+)")

Tree = dict[str, list[str]]


def tree(prefix: Path) -> Tree:
    """Each path that is no directory, and each empty directory: its kind, its mode, and its bytes' digest or target."""
    found: Tree = {}
    for folder, folders, files in os.walk(prefix):
        folders[:] = [name for name in folders if name not in OWN]
        for name in [*folders, *files]:
            path = Path(folder, name)
            key = os.fsencode(path.relative_to(prefix)).decode("utf-8", "backslashreplace")
            if path.is_symlink():
                found[key] = ["symlink", "", os.readlink(path)]  # noqa: PTH115  as it is stored
            elif path.is_file() and name not in OWN:
                found[key] = ["file", f"{path.stat().st_mode & 0o7777 & ~UMASK:o}", _digest(path.read_bytes())]
            elif path.is_dir() and not any(path.iterdir()):
                found[key] = ["directory", "", ""]
    return found


def digest(found: Tree) -> str:
    """One short word for a whole tree."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _digest(content: bytes) -> str:
    """Of a file's content; clients word the scripts of entry points differently."""
    call = ENTRY_POINT.search(content) if content.startswith(b"#!") else None
    if call and b"sys.exit(" in content:
        return f"entry point {call[1].decode()}:{call[2].decode()}"
    return hashlib.sha256(content).hexdigest()
