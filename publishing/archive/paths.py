"""Checks of member paths and link targets: each must mean one place inside the tree on every system."""

import re
import unicodedata

from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.limits import Limits
from publishing.archive.system_names import SHORT_NAME, case_folded, fits_windows, is_dot_segment, is_invisible
from publishing.wording import quote

# Unicode's category Cc: C0, DEL and C1.
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
WINDOWS_DRIVE = re.compile(r"[A-Za-z]:(?:/|\Z)")
INFO_PREFIX = "info/"
# The documents below info/ that clients read.
DOCUMENTS = frozenset(
    INFO_PREFIX + name
    for name in (
        *("index.json", "paths.json", "about.json", "link.json", "run_exports.json", "package_metadata.json"),
        *("files", "has_prefix", "no_link", "no_softlink", "hash_input.json", "post_install.json"),
    )
)
RESERVED_DIRECTORY = "conda-meta"
# Short names that Windows may give to conda-meta, which exists in the environment before the package is installed.
RESERVED_SHORT_NAME = re.compile(r"conda-~[0-9]+\Z|co[0-9a-f]{4}~[0-9]+\Z")
RESERVED_FILE = "info/repodata_record.json"


def member_path(raw_path: bytes, limits: Limits) -> str:
    """Return the path of a member without `.` segments and without a directory's slash; '' for the root.

    Raise BadPackage unless the path is plainly below the root.
    """
    path = _text(raw_path, "the member", limits)
    if not path:
        raise BadPackage("the archive has a member without a name")
    _check_absolute(path, "the member")
    segments = path.split("/")
    if "." in segments or "" in segments:
        segments = [segment for segment in segments if segment not in {"", "."}]
        path = "/".join(segments)
    for segment in segments:
        if (segment.startswith(".") or not segment.isascii()) and is_dot_segment(segment):
            raise BadPackage(f"the member {quote(path)} has the segment {quote(segment)}; expected a plain path")
        if len(segment.encode()) > limits.segment_bytes:
            raise over_limit(
                f"the member {quote(path)} has a segment of more than the {limits.segment_bytes} bytes allowed",
                "segment_bytes",
            )
    top = case_folded(path.split("/", 1)[0])
    is_reserved = top == RESERVED_DIRECTORY or ("~" in top and RESERVED_SHORT_NAME.match(top))
    if is_reserved or case_folded(path) == RESERVED_FILE:
        raise BadPackage(f"the archive has the member {quote(path)}, which is for installers to write (CEP 34)")
    return path


def check_info_name(path: str) -> None:
    """Refuse a name below info/ that is no document, but that a file system may turn into one."""
    if path in DOCUMENTS:
        return
    if (document := case_folded(path)) in DOCUMENTS:
        raise BadPackage(f"the member {quote(path)} is {document} where Windows or macOS unpacks it; rename it")
    if SHORT_NAME.search(path) and path.count("/") == 1:
        raise BadPackage(f"the member {quote(path)} has a short name of Windows, maybe that of a document; rename it")


def check_info_name_in_pkg(path: str) -> None:
    """Refuse a client's document in the pkg archive: with two, the order of unpacking would decide.

    Names that Windows or macOS changes are refused, too: they may become those of the info archive.
    """
    if case_folded(path) in DOCUMENTS:
        raise BadPackage(f"the pkg archive holds {quote(path)}, which clients read; put it into the info archive")
    if is_invisible(path) or SHORT_NAME.search(path) or not fits_windows(path):
        raise BadPackage(
            f"the pkg archive holds {quote(path)}, whose name Windows or macOS changes, maybe into that of a document; "
            "rename it"
        )


def symlink_detours(path: str, raw_target: bytes, limits: Limits) -> set[str]:
    """Return the directories that the symlink at `path` enters and leaves again by `..`.

    Raise BadPackage if the target is absolute or leaves the tree. A detour must be a directory of the tree: if it were
    a symlink, the `..` would start from the place to which it points.
    """
    target = _text(raw_target, f"the symlink {quote(path)} with the target", limits)
    if not target:
        raise BadPackage(f"the symlink {quote(path)} has no target")
    _check_absolute(target, f"the symlink {quote(path)} with the target")
    detours: set[str] = set()
    place = path.split("/")[:-1]
    own = len(place)
    for segment in target.split("/"):
        if segment not in {".", ".."} and is_dot_segment(segment):
            raise BadPackage(
                f"the symlink {quote(path)} has the target {quote(target)}, which Windows or macOS changes"
            )
        if segment == ".." and not place:
            raise BadPackage(f"the symlink {quote(path)} points outside the package: {quote(target)}")
        if segment == "..":
            detours.update("/".join(place[:count]) for count in range(own + 1, len(place) + 1))
            place.pop()
            own = min(own, len(place))
        elif segment not in {"", "."}:
            place.append(segment)
    return detours


def same_name(path: str) -> str:
    """Return a key that is equal for paths that differ in Unicode normalisation alone: é has two encodings."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def _text(raw_path: bytes, subject: str, limits: Limits) -> str:
    if len(raw_path) > limits.path_bytes:
        raise over_limit(
            f"{subject} {quote(raw_path)} has {len(raw_path)} bytes; at most {limits.path_bytes} are allowed",
            "path_bytes",
        )
    try:
        path = raw_path.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPackage(f"{subject} {quote(raw_path)} is not UTF-8") from error
    if CONTROL_CHARACTER.search(path):
        raise BadPackage(f"{subject} {quote(path)} has a control character")
    if "\\" in path:
        raise BadPackage(f"{subject} {quote(path)} has a backslash; expected '/' between directories, on Windows too")
    return path


def _check_absolute(path: str, subject: str) -> None:
    if path.startswith("/") or WINDOWS_DRIVE.match(path):
        raise BadPackage(f"{subject} {quote(path)} is absolute; expected a path relative to the package")
