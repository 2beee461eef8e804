"""Probes that show whether a store works as the hub needs it.

The probes write below a prefix that no channel can have, and remove it again. Probes of a folder alone are in
folder_checks.py, those of a bucket in s3_checks.py.
"""

import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from hub.storage import NotInStore, Store, StoreError
from hub.storage.folder import FolderStore
from hub.storage.probes import LimitError, Probe, ProbeOutcome, ProbeResult, ProbeTarget

# Names of channels start with a letter, a digit or an underscore.
PREFIX = ".hub-check"
MIB = 1024 * 1024
# Above boto3's limit for a single put (8 MiB), so the file is sent in parts of that size.
LARGE_BYTES = 9 * MIB
TIMES = 5
SLOW_MS = 250
MAX_SKEW_S = 30
TEN_YEARS_S = 10 * 365 * 24 * 3600


def check(store: Store) -> list[ProbeResult]:
    """Run the probes and return their results in order; it takes about 1 s, for a bucket 3 s.

    If a small put fails, the other probes are skipped.
    """
    with _place(store) as place:
        first = _finding(place, "put and get", puts_and_gets)
        if first.outcome is ProbeOutcome.BROKEN:
            return [first]
        return [first, *(_finding(place, name, probe) for name, probe in (PROBES | _own_probes(store)).items())]


def is_usable(findings: list[ProbeResult]) -> bool:
    return all(finding.outcome is not ProbeOutcome.BROKEN for finding in findings)


def puts_and_gets(place: ProbeTarget) -> str:
    place.store.put(place.key("small"), b"0123456789")
    if place.read("small") != b"0123456789":
        raise StoreError("The bytes that were read differ from those that were written.")
    return "Written bytes are read back."


def stats(place: ProbeTarget) -> str:
    found = place.store.stat(place.key("small"))
    if found is None or found.size_bytes != 10:
        raise StoreError(f"The store reports {found and found.size_bytes} bytes for a file of 10 bytes.")
    skew_s = (datetime.now(UTC) - found.modified_at).total_seconds()
    if abs(skew_s) > MAX_SKEW_S:
        raise LimitError(
            f"The store's clock differs from this machine's by {abs(skew_s):.0f} s: signed addresses end too early or "
            "too late, and from 15 minutes on S3 refuses everything. Set both clocks by NTP."
        )
    return "Sizes are right, and the clocks agree."


def ranges(place: ProbeTarget) -> str:
    if place.read("small", first=2, last=4) != b"234" or place.read("small", first=7) != b"789":
        raise StoreError("A range read returned wrong bytes; clients could not resume downloads.")
    return "Range reads work."


def overwrites(place: ProbeTarget) -> str:
    for content in (b"first", b"second, and longer"):
        place.store.put(place.key("twice"), content)
    if place.read("twice") != b"second, and longer":
        raise StoreError("After an overwrite the old bytes are still read; clients would see old indexes.")
    return "Overwrites are visible at once."


def misses(place: ProbeTarget) -> str:
    try:
        if place.store.stat(place.key("missing")) is None:
            place.store.open(place.key("missing")).close()
    except NotInStore:
        return "Missing files are reported as missing."
    except StoreError as error:
        raise StoreError(
            f"A missing file is refused instead of reported as missing ({error}). "
            "Amazon S3 does so without the permission s3:ListBucket; grant it."
        ) from None
    raise StoreError("A file that was never written is reported as existing.")


def lists(place: ProbeTarget) -> str:
    for name in ("list/a", "list/b/c", "lists"):
        place.store.put(place.key(name), b"x")
    found = set(place.store.list(place.key("list/")))
    if found != {place.key("list/a"), place.key("list/b/c")}:
        raise StoreError(f"The list of a folder with two files has {len(found)} entries that are not these two.")
    return "Folders can be listed."


def deletes(place: ProbeTarget) -> str:
    place.store.put(place.key("deleted"), b"x")
    for _ in range(2):
        place.store.delete(place.key("deleted"))
    if place.store.stat(place.key("deleted")) is not None:
        raise StoreError("A deleted file still exists.")
    return "Deletes work."


def takes_large_files(place: ProbeTarget) -> str:
    source = place.scratch / "large"
    content = os.urandom(LARGE_BYTES)
    source.write_bytes(content)
    place.store.put(place.key("large"), source)
    if place.read("large") != content:
        raise StoreError("A file that was written in several parts came back with other bytes.")
    return f"A file of {LARGE_BYTES // MIB} MiB, sent to a bucket in several parts, is read back."


def sweeps(place: ProbeTarget) -> str:
    try:
        place.store.sweep(older_than_s=TEN_YEARS_S)
    except StoreError as error:
        raise LimitError(
            f"Leftovers of interrupted uploads can't be listed ({error}). Add a lifecycle rule to the bucket that "
            "aborts incomplete multipart uploads after a day."
        ) from None
    return "Leftovers of interrupted uploads can be listed."


def answers_quickly(place: ProbeTarget) -> str:
    put_ms = _median_ms(lambda: place.store.put(place.key("timed"), b"x" * 1024))
    get_ms = _median_ms(lambda: place.read("timed"))
    times = f"A put of 1 KiB takes {put_ms:.0f} ms, a get {get_ms:.0f} ms"
    if max(put_ms, get_ms) > SLOW_MS:
        raise LimitError(
            f"{times}: every upload and index build waits for it. Move the hub and the store closer together."
        )
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
    from hub.storage import s3_checks  # imported here, because it loads boto3

    return s3_checks.PROBES


def _finding(place: ProbeTarget, name: str, probe: Probe) -> ProbeResult:
    try:
        return ProbeResult(name, ProbeOutcome.WORKS, probe(place))
    except LimitError as error:
        return ProbeResult(name, ProbeOutcome.LIMITED, str(error))
    except StoreError as error:
        return ProbeResult(name, ProbeOutcome.BROKEN, str(error))


@contextmanager
def _place(store: Store) -> Iterator[ProbeTarget]:
    folder = f"{PREFIX}/{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix="check-") as scratch:
        try:
            yield ProbeTarget(store, folder, Path(scratch))
        finally:
            with suppress(StoreError):  # a probe has reported a store that can't list or delete
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
