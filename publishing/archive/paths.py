"""Where a member may lie and where a link may point: names that mean one place, inside the tree, on every system."""

import re
import unicodedata

from publishing.archive.rules import BadPackage, Limits, over_limit, shown

# Cc of Unicode: C0, DEL and C1.
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
WINDOWS_DRIVE = re.compile(r"[A-Za-z]:")

INFO_PREFIX = "info/"
RESERVED_DIRECTORY = "conda-meta"
RESERVED_FILE = "info/repodata_record.json"


def member_path(raw_path: bytes, limits: Limits) -> str:
    """The path of a member without a leading `./` and without a directory's slash; '' is the root itself.

    Raises BadPackage where the path is not plainly below the root.
    """
    path = _text(raw_path, "the member", limits)
    path = path.removeprefix("./").removesuffix("/") if path not in {".", "./"} else ""
    if not path:
        if raw_path in {b".", b"./"}:
            return ""
        raise BadPackage("the archive has a member without a name")
    _check_absolute(path, "the member")
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            raise BadPackage(f"the member {shown(path)} has the segment {segment!r}; expected a plain path")
        if len(segment.encode()) > limits.segment_bytes:
            raise over_limit(
                f"the member {shown(path)} has a segment of more than the {limits.segment_bytes} bytes allowed",
                "segment_bytes",
            )
    if path == RESERVED_FILE or path.split("/", 1)[0].casefold() == RESERVED_DIRECTORY:
        raise BadPackage(f"the archive has the member {shown(path)}, which is for installers to write (CEP 34)")
    return path


def check_symlink(path: str, raw_target: bytes, limits: Limits) -> None:
    """Refuses a symlink unless its target is relative and stays inside the tree.

    `..` may only lead: after a name it could climb out of wherever another symlink of that name points.
    """
    target = _text(raw_target, f"the symlink {shown(path)} with the target", limits)
    if not target:
        raise BadPackage(f"the symlink {shown(path)} has no target")
    _check_absolute(target, f"the symlink {shown(path)} with the target")
    segments = [segment for segment in target.split("/") if segment not in {"", "."}]
    climbs = next((index for index, segment in enumerate(segments) if segment != ".."), len(segments))
    if climbs > path.count("/"):
        raise BadPackage(f"the symlink {shown(path)} points outside the package: {shown(target)}")
    if ".." in segments[climbs:]:
        raise BadPackage(f"the symlink {shown(path)} has a '..' after a name in its target {shown(target)}")


def same_name(path: str) -> str:
    """Equal for two paths that some file system takes for one: Unicode writes é in two ways."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def _text(raw_path: bytes, what: str, limits: Limits) -> str:
    if len(raw_path) > limits.path_bytes:
        raise over_limit(
            f"{what} {shown(raw_path)} has {len(raw_path)} bytes; at most {limits.path_bytes} are allowed", "path_bytes"
        )
    try:
        path = raw_path.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPackage(f"{what} {shown(raw_path)} is not UTF-8") from error
    if CONTROL_CHARACTER.search(path):
        raise BadPackage(f"{what} {shown(path)} has a control character")
    if "\\" in path:
        raise BadPackage(f"{what} {shown(path)} has a backslash; expected '/' between directories, on Windows too")
    return path


def _check_absolute(path: str, what: str) -> None:
    if path.startswith("/") or WINDOWS_DRIVE.match(path):
        raise BadPackage(f"{what} {shown(path)} is absolute; expected a path relative to the package")
