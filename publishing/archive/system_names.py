"""The names that Windows and macOS make of a path, and those that Windows can't hold; computed from text alone.

https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
"""

import re
import unicodedata

FORBIDDEN = r"[<>:\"|?*]"
# With or without an extension, and with blanks before it. Superscript digits count as digits.
DEVICE = r"(?:\A|/)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\.[^/]*)?(?=/|\Z)"
DROPPED_END = r"[. ](?=/|\Z)"
NOT_FOR_WINDOWS = re.compile(f"{FORBIDDEN}|{DEVICE}|{DROPPED_END}", re.IGNORECASE)

# Parts of a name that Windows drops: a stream, and dots and blanks at the end. macOS (HFS+) drops invisible
# characters. A run of dots is matched from its beginning only: else the time for a name of dots is quadratic.
DROPPED = re.compile(r":[^/]*|(?<![. ])[. ]+(?=[/:]|\Z)")
INVISIBLE_CATEGORY = "Cf"
# Windows gives INDEX~1.JSO as a second name to index.json: six characters, three of the extension.
SHORT_NAME = re.compile(r"~[0-9]")
SHORT_SEGMENT = re.compile(r"([^/.~]{1,6})~[0-9]+(?:\.([^/.]{1,3}))?\Z", re.IGNORECASE)
SHORT_STEM_CHARACTERS, SHORT_EXTENSION_CHARACTERS = 6, 3
# Characters that Windows leaves out of a short name.
NOT_IN_SHORT_NAME = re.compile(r"[ .]")


def fits_windows(path: str) -> bool:
    """Tell whether Windows can hold a file of this path. There ':' writes into another file, and AUX is a device."""
    return NOT_FOR_WINDOWS.search(path) is None


def case_folded(path: str) -> str:
    """Return the path for which some file system of Windows or macOS takes `path`."""
    return DROPPED.sub("", visible(path)).casefold()


def case_blind(path: str) -> str:
    """Return a key that is equal for paths that differ only in case and Unicode normalisation."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def visible(path: str) -> str:
    """Return `path` without the characters that macOS ignores."""
    if path.isascii():
        return path
    return "".join(character for character in path if unicodedata.category(character) != INVISIBLE_CATEGORY)


def is_invisible(path: str) -> bool:
    """Tell whether the path has characters that macOS ignores."""
    return visible(path) != path


def is_dot_segment(segment: str) -> bool:
    """Tell whether a file system reads the segment as '.' or '..'.

    Some drop trailing blanks, a stream, or invisible characters.
    """
    name = visible(segment).partition(":")[0]
    return name in {".", ".."} or (name.startswith(".") and " " in name and not name.strip(" ."))


def may_be_short_for(short: str, name: str) -> bool:
    """Tell whether Windows may give the segment `name` the second name `short`."""
    found = SHORT_SEGMENT.match(short)
    if found is None or short.casefold() == name.casefold():
        return False
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        stem, extension = name, ""
    of_name = NOT_IN_SHORT_NAME.sub("", stem)[:SHORT_STEM_CHARACTERS], extension[:SHORT_EXTENSION_CHARACTERS]
    return tuple(map(str.casefold, of_name)) == (found[1].casefold(), (found[2] or "").casefold())
