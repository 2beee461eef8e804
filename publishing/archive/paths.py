"""Where a member may lie and where a link may point: names that mean one place, inside the tree, on every system."""

import re
import unicodedata

from publishing.archive.rules import BadPackage, Limits, over_limit, shown

# Cc of Unicode: C0, DEL and C1.
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
WINDOWS_DRIVE = re.compile(r"[A-Za-z]:(?:/|\Z)")
# What Windows can't hold: characters, names of devices with or without an extension, an end that it drops.
NOT_FOR_WINDOWS = re.compile(
    r"[<>:\"|?*]"
    r"|(?:\A|/)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\.[^/]*)?(?:/|\Z)"
    r"|[. ](?:/|\Z)",
    re.IGNORECASE,
)

# What file systems drop from a name: Windows an end and a stream, macOS (HFS+) invisible characters.
DROPPED = re.compile(r":[^/]*|[. ]+(?=[/:]|\Z)")
INVISIBLE_CATEGORY = "Cf"
# Windows gives INDEX~1.JSO as a second name to index.json.
SHORT_NAME = re.compile(r"~[0-9]")

INFO_PREFIX = "info/"
# What clients read below info/.
DOCUMENTS = frozenset(
    INFO_PREFIX + name
    for name in (
        *("index.json", "paths.json", "about.json", "link.json", "run_exports.json", "package_metadata.json"),
        *("files", "has_prefix", "no_link", "no_softlink", "hash_input.json", "post_install.json"),
    )
)
RESERVED_DIRECTORY = "conda-meta"
RESERVED_FILE = "info/repodata_record.json"


def member_path(raw_path: bytes, limits: Limits) -> str:
    """The path of a member without `.` segments and without a directory's slash; '' is the root itself.

    Raises BadPackage where the path is not plainly below the root.
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
        if segment == "..":
            raise BadPackage(f"the member {shown(path)} has the segment {segment!r}; expected a plain path")
        if len(segment.encode()) > limits.segment_bytes:
            raise over_limit(
                f"the member {shown(path)} has a segment of more than the {limits.segment_bytes} bytes allowed",
                "segment_bytes",
            )
    if folded(path.split("/", 1)[0]) == RESERVED_DIRECTORY or folded(path) == RESERVED_FILE:
        raise BadPackage(f"the archive has the member {shown(path)}, which is for installers to write (CEP 34)")
    return path


def fits_windows(path: str) -> bool:
    """Tell whether Windows can hold a file of this path, where ':' writes into another file and AUX is a device."""
    return NOT_FOR_WINDOWS.search(path) is None


def folded(path: str) -> str:
    """The path that some file system of Windows or macOS takes `path` for."""
    if not path.isascii():
        path = "".join(character for character in path if unicodedata.category(character) != INVISIBLE_CATEGORY)
    return DROPPED.sub("", path).casefold()


def check_info_name(path: str) -> None:
    """Refuse a name that is not that of a document below info/, but may be read or written as one."""
    if path in DOCUMENTS:
        return
    if (document := folded(path)) in DOCUMENTS:
        raise BadPackage(f"the member {shown(path)} is {document} where Windows or macOS unpacks it; rename it")
    if SHORT_NAME.search(path) and path.count("/") == 1:
        raise BadPackage(f"the member {shown(path)} has a short name of Windows, maybe that of a document; rename it")


def check_info_name_in_pkg(path: str) -> None:
    """Refuse a document of clients in the pkg archive: of two, the order of unpacking would decide.

    Refused, too, are names that Windows or macOS changes, since they may come to be those of the info archive.
    """
    if folded(path) in DOCUMENTS:
        raise BadPackage(f"the pkg archive holds {shown(path)}, which clients read; put it into the info archive")
    is_invisible = any(unicodedata.category(character) == INVISIBLE_CATEGORY for character in path)
    if is_invisible or SHORT_NAME.search(path) or not fits_windows(path):
        raise BadPackage(
            f"the pkg archive holds {shown(path)}, whose name Windows or macOS changes, maybe into that of a document; "
            "rename it"
        )


def symlink_detours(path: str, raw_target: bytes, limits: Limits) -> set[str]:
    """The directories that the symlink at `path` enters and leaves again by `..`.

    Refuses a target that is absolute or leaves the tree. A detour must be a directory of the tree: were it a symlink,
    the `..` would climb out of the place where it points.
    """
    target = _text(raw_target, f"the symlink {shown(path)} with the target", limits)
    if not target:
        raise BadPackage(f"the symlink {shown(path)} has no target")
    _check_absolute(target, f"the symlink {shown(path)} with the target")
    detours: set[str] = set()
    place = path.split("/")[:-1]
    own = len(place)
    for segment in target.split("/"):
        if segment == ".." and not place:
            raise BadPackage(f"the symlink {shown(path)} points outside the package: {shown(target)}")
        if segment == "..":
            detours.update("/".join(place[:count]) for count in range(own + 1, len(place) + 1))
            place.pop()
            own = min(own, len(place))
        elif segment not in {"", "."}:
            place.append(segment)
    return detours


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
