"""The rule for the hub's verdicts, and its exceptions: the variants for which the hub is stricter on purpose."""

import re
from dataclasses import dataclass
from typing import Any

from tests.differential.channel import Variant

# Regular expression for "LAYER: NAME" of a variant → the reason to refuse it, though both clients install it alike.
STRICTER = {
    "ZIP: (.* deflated|.*entry|metadata.json (twice|in capitals)|a second pkg archive|no metadata.json)": (
        "CEP 35: three stored entries of these names, and no other"
    ),
    "ZIP: (a comment|bytes after|a line end after|zeros after)": "no byte of the file belongs to nothing",
    "ZIP: (more|fewer) entries announced": "readers that believe the number see other entries",
    "ZIP: (local|date|UTF-8 flag in|descriptor flag|data descriptors(, one early| without| with| behind))": (
        "streaming readers believe the local header or the descriptor, others the directory"
    ),
    "ZIP: (Unicode path|malformed extra|masked header)": "some readers see another name, or none",
    "metadata.json: ": "CEP 35: strict JSON of at most 4 KiB that states version 2",
    "bz2: (bytes|zeros|a second|an empty)": "some readers go on after the first stream, some stop",
    "end of the tar: ": "a tar without its end may have been cut off; some readers go on after it",
    "ZIP: field of AES": "readers that know encryption would look for it",
    "ZIP: Unicode comment": "CEP 35: no comment",
    "ZIP: ZIP64 field of other": "readers that believe the field see other sizes",
    "tar header: (ustar without|pax (owner|without|in GNU))": "rattler's reader of single files (tokio-tar) ends there",
    "tar header: (mode in base|unknown format)": "formats and numbers alone that all readers know",
    "mode: mode 0(000|111)": "a client that copies the file, and is not root, can't read it",
    "mode: mode with another": "the twelve bits of a mode, and the kind of that member",
    "mode: executable of type": "some readers drop its mode",
    "kind of member: directory of a file kind": "the variant's mode of 0644 is not that of a usable directory",
    "kind of member: ": "readers such as libarchive skip these, or read their content as another member",
    "name: (with a slash at the end)": "libarchive makes a directory of it",
    "name: (a drive|backslash)": "absolute, or another path, on Windows",
    "name: (line end|tab|escape|DEL|C1 control)": "control characters deceive people who list the files",
    "name: (Latin-1|é in both)": "file systems store one name for both, or none",
    "name: path of 2,000": "a limit (`path_bytes`)",
    "place: (conda-meta|Conda-Meta)": "the clients' own folder: a package could forge what is installed",
    "place: (Info|INFO)/": "info/ itself where case does not count",
    "info/ in the pkg archive: (the same|.*twice|files|has_prefix|no_link|no_softlink|run_exports|(?i:repodata))": (
        "which one counts depends on the order of unpacking"
    ),
    "info/ in the pkg archive: a name": "Windows or macOS may take it for a document that clients read",
    "other files in the info archive: (a file outside|repodata_record|REPODATA|INDEX|index.json[.])": (
        "CEP 34 and 35: info/ alone, none of the installers' files, no second index.json on Windows or macOS"
    ),
    "link: symlink (outside|to the parent)": "leads out of the environment",
    "link: symlink with a backslash": "another path on Windows",
    "link: symlink (not listed|listed as)": "`paths.json` must say what is there: a copying client makes a file of it",
    "link: hardlink to a symlink": "macOS links what the symlink points to",
    "duplicate: ": "which one counts depends on the reader",
    "index.json: (2\\^|NUL|a lone|an unknown key|nested)": "strict JSON: parsers read it differently",
    "index.json: keys: (name|version|build) ": "the file name must say what the package is",
    "index.json: keys: build_number 2": "beyond 64 bits",
    "index.json: keys: (subdir|schema_version) ": "CEP 26 and 34",
    "index.json: keys: timestamp ": "before 1970, or in the future",
    "index.json: keys: python_site_packages_path ": "leads out of the environment",
    "noarch: generic in linux-64": "CEP 34: noarch packages lie in noarch",
    "depends: ": "installs alike here, but matches otherwise: see Specs",
    "paths.json: (sha256 of other|size_in_bytes another)": "the archive and its list must agree",
    "lists from before paths.json: info/files (empty|with an empty line)": (
        "rattler takes an empty line for the environment itself: two packages at once, and one of them is moved away"
    ),
    "lists from before paths.json: info/files (without|with a path)": "the archive and its list must agree",
    "lists from before paths.json: (no_link with|has_prefix: a (line|comment|blank))": "conda strips, rattler does not",
    "paths.json: (a file is (not listed|listed twice))": "the archive and its list must agree",
    "paths.json: a file is listed (after|with)": "the record of the environment would name another path",
    "(paths.json: missing|lists from before paths.json: )": "CEP 34: a .conda file has paths.json",
    "link.json: an entry point with a space": "a command is one plain word",
    "run_exports.json: ": "builds read it, and the hub publishes it",
}
# Variants that the hub accepts although the clients differ: it does not read the content of files outside info/.
NOT_SEEN = {
    "paths.json: binary placeholder in a text": "only the file's content tells: conda replaces up to a NUL",
}


@dataclass(frozen=True)
class Verdicts:
    """The results for one variant: digests of trees or errors of both clients, and the hub's old and new verdict."""

    variant: Variant
    conda: dict[str, Any]
    http: dict[str, Any]
    file: dict[str, Any]
    before: dict[str, Any]
    now: dict[str, Any]

    @property
    def is_alike(self) -> bool:
        """Tell whether conda and rattler, from the hub, install the same tree."""
        return "tree" in self.conda and self.conda["tree"] == self.http.get("tree")

    @property
    def is_odd(self) -> bool:
        """Tell whether rattler installs another tree, or none, from the same file in a folder."""
        return self.is_alike and self.file.get("tree") != self.http["tree"]

    @property
    def is_taken(self) -> bool:
        return "taken" in self.now

    @property
    def exception(self) -> str:
        """The stated reason for an exception to the rule, or '' without one."""
        if self.is_taken == self.is_alike:
            return ""
        reasons = STRICTER if self.is_alike else NOT_SEEN
        subject = f"{self.variant.layer}: {self.variant.name}"
        return next((why for pattern, why in reasons.items() if re.match(pattern, subject)), "")

    @property
    def fault(self) -> str:
        """The fault of the hub's verdict, or '' if it is right."""
        if self.is_taken != self.is_alike and not self.exception:
            return f"conda: {self.conda}, rattler: {self.http}, the hub: {self.now}"
        if self.is_odd and self.is_taken and not self.now["taken"]:
            return f"taken without a warning, but from a folder: {self.file}"
        return ""
