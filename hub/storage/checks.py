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

from hub import temporary
from hub.sizes import KIB, MIB, human_size
from hub.storage import NotInStore, Store, StoreError
from hub.storage.folder import FolderStore
from hub.storage.probes import LimitError, Probe, ProbeOutcome, ProbeResult, ProbeTarget

# Names of channels start with a letter, a digit or an underscore.
PREFIX = ".hub-check"
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
    with _probe_target(store) as target:
        first = _result(target, "put and get", puts_and_gets)
        if first.outcome is ProbeOutcome.BROKEN:
            return [first]
        return [first, *(_result(target, name, probe) for name, probe in (PROBES | _own_probes(store)).items())]


def is_usable(findings: list[ProbeResult]) -> bool:
    return all(finding.outcome is not ProbeOutcome.BROKEN for finding in findings)


def puts_and_gets(target: ProbeTarget) -> str:
    target.store.put(target.key("small"), b"0123456789")
    if target.read("small") != b"0123456789":
        raise StoreError("The bytes that were read differ from those that were written.")
    return "Written bytes are read back."


def stats(target: ProbeTarget) -> str:
    found = target.store.stat(target.key("small"))
    if found is None or found.size_bytes != 10:
        raise StoreError(f"The store reports {found and found.size_bytes} bytes for a file of 10 bytes.")
    skew_s = (datetime.now(UTC) - found.modified_at).total_seconds()
    if abs(skew_s) > MAX_SKEW_S:
        raise LimitError(
            f"The store's clock differs from this machine's by {abs(skew_s):.0f} s: signed addresses end too early or "
            "too late, and from 15 minutes on S3 refuses everything. Set both clocks by NTP."
        )
    return "Sizes are right, and the clocks agree."


def ranges(target: ProbeTarget) -> str:
    if target.read("small", first=2, last=4) != b"234" or target.read("small", first=7) != b"789":
        raise StoreError("A range read returned wrong bytes; clients could not resume downloads.")
    return "Range reads work."


def overwrites(target: ProbeTarget) -> str:
    for content in (b"first", b"second, and longer"):
        target.store.put(target.key("twice"), content)
    if target.read("twice") != b"second, and longer":
        raise StoreError("After an overwrite the old bytes are still read; clients would see old indexes.")
    return "Overwrites are visible at once."


def misses(target: ProbeTarget) -> str:
    try:
        if target.store.stat(target.key("missing")) is None:
            target.store.open(target.key("missing")).close()
    except NotInStore:
        return "Missing files are reported as missing."
    except StoreError as error:
        raise StoreError(
            f"A missing file is refused instead of reported as missing ({error}). "
            "Amazon S3 does so without the permission s3:ListBucket; grant it."
        ) from None
    raise StoreError("A file that was never written is reported as existing.")


def copies(target: ProbeTarget) -> str:
    try:
        target.store.copy(target.key("small"), target.key("copied"))
        copied = target.read("copied")
    except StoreError as error:
        raise LimitError(
            f"The store can't copy a file ({error}): no file can be promoted to another channel."
        ) from None
    if copied != b"0123456789":
        raise StoreError("A copy within the store has other bytes than its source.")
    return "Files can be copied within the store."


def lists(target: ProbeTarget) -> str:
    for name in ("list/a", "list/b/c", "lists"):
        target.store.put(target.key(name), b"x")
    found = set(target.store.list(target.key("list/")))
    if found != {target.key("list/a"), target.key("list/b/c")}:
        raise StoreError(f"The list of a folder with two files has {len(found)} entries that are not these two.")
    return "Folders can be listed."


def deletes(target: ProbeTarget) -> str:
    target.store.put(target.key("deleted"), b"x")
    for _ in range(2):
        target.store.delete(target.key("deleted"))
    if target.store.stat(target.key("deleted")) is not None:
        raise StoreError("A deleted file still exists.")
    return "Deletes work."


def takes_large_files(target: ProbeTarget) -> str:
    source = target.scratch / "large"
    content = os.urandom(LARGE_BYTES)
    source.write_bytes(content)
    target.store.put(target.key("large"), source)
    if target.read("large") != content:
        raise StoreError("A file that was written in several parts came back with other bytes.")
    return f"A file of {human_size(LARGE_BYTES)}, sent to a bucket in several parts, is read back."


def deletes_unfinished(target: ProbeTarget) -> str:
    try:
        target.store.delete_unfinished(older_than_s=TEN_YEARS_S)
    except StoreError as error:
        raise LimitError(
            f"Leftovers of interrupted uploads can't be listed ({error}). Add a lifecycle rule to the bucket that "
            "aborts incomplete multipart uploads after a day."
        ) from None
    return "Leftovers of interrupted uploads can be listed."


def answers_quickly(target: ProbeTarget) -> str:
    put_ms = _median_ms(lambda: target.store.put(target.key("timed"), b"x" * KIB))
    get_ms = _median_ms(lambda: target.read("timed"))
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
    "copy": copies,
    "list": lists,
    "delete": deletes,
    "large file": takes_large_files,
    "leftovers": deletes_unfinished,
    "latency": answers_quickly,
}


def _own_probes(store: Store) -> dict[str, Probe]:
    if isinstance(store, FolderStore):
        from hub.storage import folder_checks

        return folder_checks.PROBES
    from hub.storage import s3_checks  # imported here, because it loads boto3

    return s3_checks.PROBES


def _result(target: ProbeTarget, name: str, probe: Probe) -> ProbeResult:
    try:
        return ProbeResult(name, ProbeOutcome.WORKS, probe(target))
    except LimitError as error:
        return ProbeResult(name, ProbeOutcome.LIMITED, str(error))
    except StoreError as error:
        return ProbeResult(name, ProbeOutcome.BROKEN, str(error))


@contextmanager
def _probe_target(store: Store) -> Iterator[ProbeTarget]:
    folder = f"{PREFIX}/{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("check")) as scratch:
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
