"""The listing of a channel's prefix in parts, which are compared with the database one by one.

A part begins at a package whose name says so, not after a number of files. A new file therefore changes one part, and
the digests of the others show that they need no comparison.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from zlib import crc32

from channels_app.identifiers import is_subdir
from channels_app.models import Channel
from hub.storage import Entry, StoreError, checked, store
from publishing.index import repodata
from publishing.verification.unknown_files import PACKAGE

# About every 256th package begins a part. Names that are no packages count for `KEYS_MAX` alone.
BEGINS = 256
FILES_MAX, KEYS_MAX = 1000, 10_000
# Of a key, as Amazon limits it. Other stores have longer ones.
NAME_MAX_CHARACTERS = 1024


@dataclass(slots=True)
class Part:
    """A part of a subdir's listing: its packages and sidecars by name, and the name that the next part follows.

    `keys`: how many names were listed.
    """

    subdir: str
    entries: dict[str, Entry] = field(default_factory=dict)
    keys: int = 0
    last: str = ""

    @property
    def cursor(self) -> str:
        return f"{self.subdir}/{self.last}"

    def digest(self) -> str:
        """Return a hash of the names, sizes and versions."""
        found = hashlib.blake2b(self.subdir.encode(), digest_size=12)
        for each in self.entries.values():
            found.update(f"\0{each.name}\0{each.size_bytes}\0{each.version}".encode())
        return found.hexdigest()

    def packages(self) -> Mapping[str, Entry]:
        """Return the packages by name. The version of one with a sidecar is that of both."""
        return {name: self._whole(each) for name, each in self.entries.items() if PACKAGE.match(name)}

    def has_sidecar(self, name: str) -> bool:
        return f"{name}.sigs" in self.entries

    def _whole(self, entry: Entry) -> Entry:
        sidecar = self.entries.get(f"{entry.name}.sigs")
        return replace(entry, version=f"{entry.version} {sidecar.version}") if sidecar else entry


def parts(channel: Channel, cursor: str) -> Iterator[Part]:
    """Yield the parts of all subdirs that follow the `cursor`. Links, and keys that the store refuses, are left out."""
    subdir_before, _, name_before = cursor.partition("/")
    for subdir in store().folders(f"{channel}/"):
        if is_subdir(subdir) and subdir >= subdir_before:
            yield from _parts(channel, subdir, name_before if subdir == subdir_before else "")


def _parts(channel: Channel, subdir: str, after: str) -> Iterator[Part]:
    part = Part(subdir)
    for entry in store().entries(f"{channel}/{subdir}/", after=after):
        is_package = PACKAGE.match(entry.name) is not None
        is_full = len(part.entries) >= FILES_MAX or crc32(entry.name.encode(errors="replace")) % BEGINS == 0
        if (part.entries and is_package and is_full) or part.keys >= KEYS_MAX:
            yield part
            part = Part(subdir)
        part.keys += 1
        # The database can't keep every name that a store has.
        if _is_key(f"{channel}/{subdir}/{entry.name}"):
            part.last = entry.name
            if is_package or repodata.SIDECAR.match(entry.name):
                part.entries[entry.name] = entry
    if part.keys:
        yield part


def _is_key(key: str) -> bool:
    try:
        return len(checked(key)) <= NAME_MAX_CHARACTERS
    except StoreError:
        return False
