"""Old indexes of an import: those of the channel and of its labels.

They have facts that packages lack: when they were indexed (CEP 47), which were yanked, and their labels. The first
build would overwrite them, so they are copied first and kept until every package is imported.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from channels_app.identifiers import MAIN_LABEL, is_subdir
from channels_app.models import Channel
from hub.errors import HubError, too_large, unprocessable
from hub.http.request_body import ReceivedFile, copied
from hub.storage import NotInStore, store
from publishing.index import repodata
from publishing.labels import labels
from publishing.labels.names import checked
from publishing.models import SubdirIndex
from publishing.uploads import upload
from publishing.verification.differences import place_of
from publishing.verification.unknown_files import OLD_REPODATA, PACKAGE

Subdirs = Mapping[str, Collection[str]]  # label → the subdirs of its old indexes
# The errors of reading a JSON document that has not the form of an index.
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)


class OldRecord(NamedTuple):
    """The facts of a record that an import uses. Their types are not checked."""

    sha256: object = None
    indexed_timestamp: object = None


@dataclass(slots=True)
class OldIndex:
    """The old indexes of a subdir: file name → record, the removed file names, and file name → labels with `main`."""

    records: dict[str, OldRecord] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def labels_of(self, file_name: str) -> frozenset[str]:
        """Return the labels whose old indexes list the file, also as removed; `main` if there are none."""
        return frozenset(self.labels.get(file_name, (MAIN_LABEL,)))

    def add(self, label: str, records: Mapping[str, OldRecord], removed: set[str]) -> None:
        """Add the content of the index of one label. Facts of an earlier one stay."""
        self.records = {**records, **self.records}
        self.removed |= removed
        for file_name in records.keys() | removed:
            self.labels[file_name] = (*self.labels.get(file_name, ()), label)


def package_counts(name: str) -> dict[str, int]:
    """Return subdir → number of packages for the folders below `name`, from the store's listing."""
    found = (key.split("/") for key in store().list(f"{name}/"))
    subdirs = (parts[1] for parts in found if len(parts) == 3 and is_subdir(parts[1]) and PACKAGE.match(parts[2]))
    return dict(sorted(Counter(subdirs).items()))


def labeled_subdirs(name: str) -> Subdirs:
    """Return the labels that have an index below the folder `name`, with its subdirs.

    Raise HubError 422 for a folder whose name is no label: its files would appear in the channel's own index. Raise 409
    for more labels than a channel can have.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for key in store().list(f"{name}/label/"):
        label, subdir, path = place_of(key)
        if path in (repodata.REPODATA, OLD_REPODATA) and is_subdir(subdir):
            found[label].add(subdir)
    for label in sorted(found):
        _check_label(name, label)
    if len(found) > labels.LABELS_MAX:
        raise labels.limit_reached(name)
    return found


def back_up(name: str) -> None:
    """Copy the repodata.json of every subdir and label below the folder `name`, before a build overwrites it."""
    found = labeled_subdirs(name)
    for subdir in package_counts(name):
        for folder in _folders(name, subdir, found):
            target = f"{folder}/{OLD_REPODATA}"
            if not store().stat(target):
                with suppress(NotInStore), copied_from_store(f"{folder}/{repodata.REPODATA}") as old:
                    store().put(target, old.path, content_type="application/json")


def create_labels(channel: Channel) -> list[str]:
    """Create the labels of the old indexes that the channel lacks, and return them. Raise the errors of labels.py."""
    return labels.restore(channel=channel, names=labeled_subdirs(channel.name).keys())


def read(name: str, subdir: str, found: Subdirs) -> OldIndex:
    """Read the copies of a subdir's old indexes, one at a time. One that is missing is empty.

    An unreadable one of the channel itself is empty, too. Raise HubError 422 for an unreadable one of a label.
    """
    old = OldIndex()
    own, *others = _folders(name, subdir, found)
    with suppress(*UNREADABLE):
        old.add(MAIN_LABEL, *_content(own))
    for folder in others:
        label = place_of(f"{folder}/")[0]
        try:
            old.add(label, *_content(folder))
        except UNREADABLE:
            raise unprocessable(
                "bad_index",
                f"{folder}/{OLD_REPODATA} can't be read, so the files of the label '{label}' are unknown. Remove the "
                "folder to import them without this label.",
            ) from None
    return old


def remove(name: str, subdir: str, found: Subdirs) -> None:
    """Remove the copies of a subdir's old indexes."""
    for folder in _folders(name, subdir, found):
        store().delete(f"{folder}/{OLD_REPODATA}")


@contextmanager
def copied_from_store(key: str, *, limit_bytes: int = sys.maxsize) -> Iterator[ReceivedFile]:
    """Yield a copy of a file that others may have put there. Raise HubError 413 if it has more than `limit_bytes`."""
    name, chunks = key.rpartition("/")[2], store().open(key)
    if chunks.size_bytes > limit_bytes:
        chunks.close()
        raise too_large("too_large", f"{name} was refused: it {upload.over_limit(chunks.size_bytes, limit_bytes)}")
    with copied(chunks, name, purpose="import") as received:
        yield received


def _folders(name: str, subdir: str, found: Subdirs) -> list[str]:
    """Return the folders of a subdir's indexes: that of the channel, then those of labels."""
    of_subdir = sorted(label for label, subdirs in found.items() if subdir in subdirs)
    return [f"{name}/{SubdirIndex.place(label, subdir)}" for label in ("", *of_subdir)]


def _check_label(name: str, label: str) -> None:
    with suppress(HubError):
        if checked(label) != MAIN_LABEL:
            return
    raise unprocessable(
        "bad_label",
        f"{name}/label/{label}/ can't be the folder of a label. Rename or remove it; no package was imported.",
    )


def _content(folder: str) -> tuple[dict[str, OldRecord], set[str]]:
    """Return the records and the removed file names of an old index. Holds one repodata.json in memory."""
    try:
        content = orjson.loads(b"".join(store().open(f"{folder}/{OLD_REPODATA}")))
    except NotInStore:
        return {}, set()
    revision_3 = content.get("v3", {})
    of_revision_3 = {
        f"{stem}.{extension}": record for extension in revision_3 for stem, record in revision_3[extension].items()
    }
    records = {**content.get("packages", {}), **content.get("packages.conda", {}), **of_revision_3}
    facts = {name: OldRecord(each.get("sha256"), each.get("indexed_timestamp")) for name, each in records.items()}
    return facts, set(content.get("removed", []))
