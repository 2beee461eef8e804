"""Does a store keep its promises? Probes below a prefix that no channel can have; all of it is removed again.

What every store must do is here, what is asked of a folder alone in folder_checks.py, of a bucket in s3_checks.py.
"""

import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from django.conf import settings

from hub import temporary
from hub.storage import NotInStore, Store, StoreError
from hub.storage.folder import FolderStore

# Channels' names start with a letter, a digit or an underscore.
PREFIX = ".hub-check"
MIB = 1024 * 1024
# Above what boto3 puts in one piece (8 MiB), in parts as large as that.
LARGE_BYTES = 9 * MIB
TIMES = 5
SLOW_MS = 250
MAX_SKEW_S = 30
TEN_YEARS_S = 10 * 365 * 24 * 3600


class Outcome(StrEnum):
    WORKS = "works"
    LIMITED = "limited"  # the hub works, but for what the sentence says
    BROKEN = "broken"  # the hub can't work


class LimitError(Exception):
    """What a probe found that the hub can live with, and what follows from it."""


@dataclass(frozen=True, slots=True)
class Finding:
    probe: str
    outcome: Outcome
    sentence: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where probes put what they need."""

    store: Store
    folder: str
    scratch: Path

    def key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def read(self, name: str, *, first: int = 0, last: int | None = None) -> bytes:
        return b"".join(self.store.open(self.key(name), first=first, last=last))


Probe = Callable[[Place], str]


def check(store: Store) -> list[Finding]:
    """What the store does and what it does not, in the order of the probes; about a second, for a bucket three.

    Where not even a small put works, nothing else is tried.
    """
    with _place(store) as place:
        first = _finding(place, "put and get", puts_and_gets)
        if first.outcome is Outcome.BROKEN:
            return [first]
        return [first, *(_finding(place, name, probe) for name, probe in (PROBES | _own_probes(store)).items())]


def is_usable(findings: list[Finding]) -> bool:
    return all(finding.outcome is not Outcome.BROKEN for finding in findings)


def puts_and_gets(place: Place) -> str:
    place.store.put(place.key("small"), b"0123456789")
    if place.read("small") != b"0123456789":
        raise StoreError("What was read is not what was put.")
    return "What was put is read back."


def stats(place: Place) -> str:
    found = place.store.stat(place.key("small"))
    if found is None or found.size_bytes != 10:
        raise StoreError(f"A file of 10 bytes is said to be {found and found.size_bytes}; expected its size.")
    skew_s = (datetime.now(UTC) - found.modified_at).total_seconds()
    if abs(skew_s) > MAX_SKEW_S:
        raise LimitError(
            f"The store's clock differs from this machine's by {abs(skew_s):.0f} s: signed addresses end too early or "
            "too late, and from 15 minutes on S3 refuses everything. Set both clocks by NTP."
        )
    return "Sizes are right, and the clocks agree."


def ranges(place: Place) -> str:
    if place.read("small", first=2, last=4) != b"234" or place.read("small", first=7) != b"789":
        raise StoreError("A part of a file came back as other bytes; clients could not resume downloads.")
    return "Parts of a file can be read."


def overwrites(place: Place) -> str:
    for content in (b"first", b"second, and longer"):
        place.store.put(place.key("twice"), content)
    if place.read("twice") != b"second, and longer":
        raise StoreError("After a second put the first bytes are still read; clients would see old indexes.")
    return "A second put is seen at once."


def misses(place: Place) -> str:
    try:
        if place.store.stat(place.key("missing")) is None:
            place.store.open(place.key("missing")).close()
    except NotInStore:
        return "What is not there is said not to be there."
    except StoreError as error:
        raise StoreError(
            f"What is not there is refused instead of said not to be there ({error}). "
            "Amazon's S3 does so without the permission s3:ListBucket."
        ) from None
    raise StoreError("What was never put is said to be there.")


def lists(place: Place) -> str:
    for name in ("list/a", "list/b/c", "lists"):
        place.store.put(place.key(name), b"x")
    found = set(place.store.list(place.key("list/")))
    if found != {place.key("list/a"), place.key("list/b/c")}:
        raise StoreError(f"A folder of two files is listed with {len(found)} that are not these two.")
    return "Folders can be listed."


def deletes(place: Place) -> str:
    place.store.put(place.key("deleted"), b"x")
    for _ in range(2):
        place.store.delete(place.key("deleted"))
    if place.store.stat(place.key("deleted")) is not None:
        raise StoreError("What was deleted is still there.")
    return "What is deleted is gone."


def takes_large_files(place: Place) -> str:
    source = place.scratch / "large"
    content = os.urandom(LARGE_BYTES)
    source.write_bytes(content)
    place.store.put(place.key("large"), source)
    if place.read("large") != content:
        raise StoreError("A file that was put in several parts came back as other bytes.")
    return f"{LARGE_BYTES // MIB} MiB, which a bucket takes in several parts, are read back."


def sweeps(place: Place) -> str:
    try:
        place.store.sweep(older_than_s=TEN_YEARS_S)
    except StoreError as error:
        raise LimitError(
            f"What interrupted uploads leave behind can't be found ({error}): have a lifecycle rule of the bucket "
            "abort incomplete multipart uploads after a day."
        ) from None
    return "What interrupted uploads leave behind can be found."


def answers_quickly(place: Place) -> str:
    put_ms = _median_ms(lambda: place.store.put(place.key("timed"), b"x" * 1024))
    get_ms = _median_ms(lambda: place.read("timed"))
    times = f"A put of 1 KiB takes {put_ms:.0f} ms, a get {get_ms:.0f} ms"
    if max(put_ms, get_ms) > SLOW_MS:
        raise LimitError(f"{times}: every upload and every index waits for it. Bring hub and store closer together.")
    return f"{times}."


PROBES: dict[str, Probe] = {
    "size and clock": stats,
    "range": ranges,
    "overwrite": overwrites,
    "missing key": misses,
    "list": lists,
    "delete": deletes,
    "large file": takes_large_files,
    "leftovers": sweeps,
    "latency": answers_quickly,
}


def _own_probes(store: Store) -> dict[str, Probe]:
    if isinstance(store, FolderStore):
        from hub.storage import folder_checks

        return folder_checks.PROBES
    from hub.storage import s3_checks  # with boto3

    return s3_checks.PROBES


def _finding(place: Place, name: str, probe: Probe) -> Finding:
    try:
        return Finding(name, Outcome.WORKS, probe(place))
    except LimitError as error:
        return Finding(name, Outcome.LIMITED, str(error))
    except StoreError as error:
        return Finding(name, Outcome.BROKEN, str(error))


@contextmanager
def _place(store: Store) -> Iterator[Place]:
    folder = f"{PREFIX}/{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("check")) as scratch:
        try:
            yield Place(store, folder, Path(scratch))
        finally:
            with suppress(StoreError):  # of a store that can't list or delete a finding has said so
                for key in list(store.list(folder)):
                    store.delete(key)
            if isinstance(store, FolderStore):
                store.remove_empty_folders(PREFIX)


def _median_ms(action: Callable[[], object]) -> float:
    times_s = []
    for _ in range(TIMES):
        begun = time.monotonic()
        action()
        times_s.append(time.monotonic() - begun)
    return 1000 * statistics.median(times_s)
