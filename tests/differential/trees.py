"""The content of a prefix in a form that allows to compare the installs of two clients. Standard library only.

conda's virtual environment imports this file, too, and it lacks the project's dependencies.
"""

import hashlib
import json
import os
import re
from pathlib import Path

# The prefix that clients write into files. It is the same for all, wherever they install.
PREFIX = "/opt/the-prefix"
UMASK = 0o022
OWN = ("conda-meta", "__pycache__", ".nonadmin", "CACHEDIR.TAG", ".condatmp")
ENTRY_POINT = re.compile(rb"from (\S+) import (\S+)")

Tree = dict[str, list[str]]


def tree(prefix: Path) -> Tree:
    """Return all paths except directories with content: kind, mode, and digest or target of each."""
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
    """Return a short hash of a tree."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _digest(content: bytes) -> str:
    """Return the hash of a file's content. For scripts of entry points it ignores each client's wording."""
    call = ENTRY_POINT.search(content) if content.startswith(b"#!") else None
    if call and b"sys.exit(" in content:
        return f"entry point {call[1].decode()}:{call[2].decode()}"
    return hashlib.sha256(content).hexdigest()
