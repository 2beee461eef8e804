"""The list of an unpacked package as each client reads it: the paths that it installs, and their types.

rattler's reader is that of py-rattler. conda is on no package index, so this module does the same as its
conda/gateways/disk/read.py.
"""

import json
import shlex
from pathlib import Path

import rattler

# A path, its type, whether it is copied, its placeholder and the placeholder's mode.
Entry = tuple[str, str, bool, str, str]
DEFAULT_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"


def by_rattler(package: Path) -> list[Entry]:
    paths = rattler.PathsJson.from_package_directory_with_deprecated_fallback(package).paths
    return [_rattlers(entry) for entry in paths]


def _rattlers(entry: rattler.PathsEntry) -> Entry:
    path_type = "softlink" if entry.path_type.softlink else "hardlink"
    prefix = entry.prefix_placeholder
    placeholder = prefix.placeholder if prefix else ""
    mode = ("text" if prefix.file_mode.text else "binary") if prefix and placeholder else ""
    return Path(entry.relative_path).as_posix(), path_type, entry.no_link, placeholder, mode


def by_conda(package: Path) -> list[Entry]:
    paths_json = package / "info" / "paths.json"
    if not paths_json.is_file():
        return _old(package)
    document = json.loads(paths_json.read_text("utf-8"))
    if document["paths_version"] != 1:
        raise ValueError("paths_version")
    return [_entry(entry) for entry in document["paths"]]


def _entry(entry: dict[str, str]) -> Entry:
    placeholder = entry.get("prefix_placeholder") or ""
    mode = entry["file_mode"] if placeholder else ""
    return entry["_path"], entry["path_type"], bool(entry.get("no_link")), placeholder, mode


def _old(package: Path) -> list[Entry]:
    info = package / "info"
    prefixes = dict(map(_prefix, _lines(info / "has_prefix")))
    copied = {*_lines(info / "no_link"), *_lines(info / "no_softlink")}
    listed = []
    for path in _lines(info / "files"):
        path_type = "softlink" if (package / path).is_symlink() else "hardlink"
        listed.append((path, path_type, path in copied, *prefixes.get(path, ("", ""))))
    return listed


def _prefix(line: str) -> tuple[str, tuple[str, str]]:
    words = [word.strip("\"'") for word in shlex.split(line, posix=False)]
    if len(words) == 1:
        return words[0], (DEFAULT_PLACEHOLDER, "text")
    placeholder, mode, path = words
    if mode not in ("text", "binary"):
        raise ValueError(mode)
    return path, (placeholder, mode)


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    stripped = [line.strip() for line in path.read_text("utf-8").split("\n")]
    return [line for line in stripped if line and not line.startswith("#")]
