"""Recognition of files that are no conda package, by their name and their first and last bytes."""

import re
from typing import BinaryIO

from channels_app import identifiers
from hub.sizes import KIB, human_size
from publishing.archive.errors import BadPackage
from publishing.wording import quote

HEAD_BYTES = 1 * KIB
# Enough of a ZIP's directory to recognize its kind by the names of its entries.
TAIL_BYTES = 64 * KIB

MAGIC = {".conda": b"PK\x03\x04", ".tar.bz2": b"BZh"}
ZIP_END = b"PK\x05\x06"
ZIP_END_BYTES = 22

# Offset of the magic bytes, the magic bytes, and a description of the file.
BINARIES = (
    (0, b"\x1f\x8b", "compressed by gzip (.tar.gz)"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd (.tar.zst), without the ZIP around it"),
    (0, b"\xfd7zXZ\x00", "compressed by xz (.tar.xz)"),
    (0, b"\x04\x22\x4d\x18", "compressed by lz4"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (0, b"!<arch>\ndebian-binary", "a Debian package"),
    (0, b"!<arch>\n", "a static library (ar)"),
    (257, b"ustar", "a tar without compression"),
    (0, b"\x7fELF", "a program or library of Linux (ELF)"),
    (0, b"MZ", "a program of Windows"),
    (0, b"\xcf\xfa\xed\xfe", "a program or library of macOS (Mach-O)"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\x00" * 64, "nothing but zero bytes at its beginning; a download or a disk failed"),
    (0, b"PK\x05\x06", "an empty ZIP"),
)
# The patterns match untrusted bytes, so they must not backtrack: tests/archive/test_costs.py tries them all.
TEXTS = (
    (rb"(?i)<(?:!doctype html|html|head)\b", "an HTML page, likely a sign-in or error page"),
    (rb"(?s)(?:<\?xml.*?\?>\s*)?<Error>.*<Code>", "the error message of an object store, as XML"),
    (rb"<\?xml", "an XML document"),
    (rb"version https://git-lfs\.github\.com/spec", "a Git LFS pointer; run `git lfs pull`, and upload what it brings"),
    (rb"(?:\.\./)*\.git/annex/objects|/annex/objects", "a git-annex pointer; run `git annex get`"),
    (rb"-----BEGIN ", "a key, certificate or signature"),
    (rb"#!", "a script"),
    (rb"[\[{]", "a JSON text"),
)
TEXT = re.compile(rb"[\t\r\n -~\x80-\xff]*\Z")
SPACES = b" \t\r\n"
COMMENT_BEGIN, COMMENT_END = b"<!--", b"-->"
# Names of entries in the directory of a ZIP.
ZIPS = (
    (rb"\.dist-info/", "a Python wheel; build a conda package from it"),
    (rb"EGG-INFO/", "a Python egg; build a conda package from it"),
    (
        rb"\.(?:conda|tar\.bz2)(?![a-z0-9._-])",
        "a ZIP around a package; upload what is in it",
    ),
    (rb"META-INF/MANIFEST\.MF", "a Java archive"),
    (rb"\[Content_Types\]\.xml", "an Office document or a NuGet package"),
)

COPY = re.compile(r"(?: ?\([0-9]+\)| ?- (?:Copy|Kopie|copie)(?: ?\([0-9]+\))?| copy(?: [0-9]+)?)(?=(?:\.tar)?\.)")
UNFINISHED = re.compile(r"\.(?:part|partial|crdownload|download|opdownload|filepart|incomplete|aria2|tmp)\Z")
REPEATED = re.compile(r"(?P<name>.+(?:\.conda|\.tar\.bz2))\.[0-9]+\Z")
OTHER_ENDS = {
    ".whl": "a Python wheel",
    ".egg": "a Python egg",
    ".rpm": "an RPM package",
    ".deb": "a Debian package",
    ".zip": "a ZIP",
    ".tar.zst": "one part of a .conda file, or a package of another system",
    ".tar": "a tar without compression; the browser may have unpacked it",
    ".tar.gz": "a source archive",
    ".tgz": "a source archive or an npm package",
    ".html": "an HTML page",
    ".sh": "a script or an installer",
    ".exe": "a program or an installer",
}


def name_problem(file_name: str) -> str:
    """Return the fault of a file name and its remedy, as the end of a sentence; "" for a name that looks right."""
    if UNFINISHED.search(file_name):
        return "it is an unfinished download; wait for its end, or download it again"
    plain = COPY.sub("", file_name.partition("?")[0], count=1)
    if repeated := REPEATED.match(plain):
        plain = repeated["name"]
    if plain.lower().endswith(identifiers.EXTENSIONS) and not plain.endswith(identifiers.EXTENSIONS):
        plain = next(plain[: -len(end)] + end for end in identifiers.EXTENSIONS if plain.lower().endswith(end))
    if plain != file_name and plain.endswith(identifiers.EXTENSIONS):
        return f"a browser or file manager renamed it; rename it to {quote(plain)}"
    found = next((description for end, description in OTHER_ENDS.items() if file_name.lower().endswith(end)), None)
    return f"such a file is {found}, and the hub takes conda packages alone" if found else ""


def check(file: BinaryIO, file_bytes: int, extension: str) -> None:
    """Raise BadPackage if the first and last bytes show that the file is no package with this `extension`."""
    if not file_bytes:
        raise BadPackage("the file is empty; build or download it again")
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(max(file_bytes - TAIL_BYTES, 0))
    tail = file.read(TAIL_BYTES)
    if kind := _other_kind(head, tail, file_bytes, extension):
        raise BadPackage(f"the file is no {extension} package: it is {kind}")
    file.seek(0)


def _other_kind(head: bytes, tail: bytes, file_bytes: int, extension: str) -> str | None:
    is_zip = head.startswith(MAGIC[".conda"])
    if is_zip and len(tail) - tail.rfind(ZIP_END) not in range(ZIP_END_BYTES, len(tail) + 1):
        return f"a ZIP without its end, cut off after {human_size(file_bytes)}; build, download or upload it again"
    directory = _zip_directory(tail) if is_zip else b""
    if found := next((description for pattern, description in ZIPS if re.search(pattern, directory)), None):
        return found
    has_prefix = tail[-ZIP_END_BYTES:].startswith(ZIP_END) and not head.startswith(ZIP_END)
    if head.startswith(MAGIC[extension]) or (extension == ".conda" and has_prefix):
        return None
    if is_zip:
        return "a ZIP; if it is a .conda package, upload it under its name with .conda at the end"
    if head.startswith(MAGIC[".tar.bz2"]):
        return "compressed by bz2; if it is a .tar.bz2 package, upload it under its name with .tar.bz2 at the end"
    for position, magic, description in BINARIES:
        if head.startswith(magic, position):
            return description
    return _text_kind(head) or f"something that begins with {quote(head[:16])}"


def _zip_directory(tail: bytes) -> bytes:
    """Return the directory of a ZIP, with the names of the entries, as far as `tail` holds it."""
    end = tail.rfind(ZIP_END)
    directory_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    return tail[max(end - directory_bytes, 0) : end]


def _text_kind(head: bytes) -> str | None:
    """Return the kind of a text and its beginning, or None if the bytes are no text."""
    text = head.lstrip(b"\xef\xbb\xbf" + SPACES)
    markup = _after_comments(text)
    found = next((description for pattern, description in TEXTS if re.match(pattern, markup)), None)
    if not found and not TEXT.match(text):
        return None
    beginning = quote(" ".join(text.decode("utf-8", "replace").split())[:60])
    return f"{found or 'a text'}; it begins with {beginning}"


def _after_comments(text: bytes) -> bytes:
    """Return the text after its leading comments, or all of it if one of them does not end."""
    rest = text
    while rest.startswith(COMMENT_BEGIN):
        _, end, rest = rest.removeprefix(COMMENT_BEGIN).partition(COMMENT_END)
        if not end:
            return text
        rest = rest.lstrip(SPACES)
    return rest
