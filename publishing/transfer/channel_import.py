"""Import of packages that are in the store but not in the database, after a loss of the database or a copy.

Threads check each package as an upload is checked; store access, hashing and decompression release the interpreter's
lock. The rows are written in batches; see imports/records.py. Facts that packages lack come from copies of the old
indexes; see old_indexes.py. The copies are kept until every package is imported, so an import can be interrupted and
run again.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Lock

from django.conf import settings

from channels_app.models import Artifact, Channel
from hub.sizes import MIB
from hub.storage import store
from publishing.imports import old_indexes
from publishing.imports.old_indexes import OldIndex, Subdirs
from publishing.imports.records import (
    YANKED,
    CheckedPackage,
    ImportOutcome,
    Records,
    can_be_a_package,
    recording,
)
from publishing.imports.stored import check
from publishing.verification.inventory import Inventory, inventory_of
from publishing.verification.unknown_files import PACKAGE

__all__ = ["YANKED", "ImportOutcome", "import_packages"]

# Threads for a bucket, which mostly wait for responses. A folder gets one thread per processor, up to this number.
AT_ONCE = 8
# Most packages that are submitted ahead of the next one to record.
WAITING = 64
# Packages per transaction, which holds SQLite's only lock for about 35 ms.
BATCH = 100
BATCH_BYTES = 8 * MIB


def import_packages(channel: Channel) -> Iterator[ImportOutcome]:
    """Import every package below the channel's folder that has no row, subdir by subdir. Yield the outcomes.

    The labels of the old indexes exist; see old_indexes.create_labels().
    """
    at_once = AT_ONCE if settings.HUB_STORAGE == "s3" else min(AT_ONCE, os.cpu_count() or 1)
    with ThreadPoolExecutor(at_once, "import") as pool:
        try:
            labels = old_indexes.labeled_subdirs(channel.name)
            for subdir in old_indexes.package_counts(channel.name):
                yield from _import_subdir(channel, subdir, labels, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _import_subdir(channel: Channel, subdir: str, labels: Subdirs, pool: ThreadPoolExecutor) -> Iterator[ImportOutcome]:
    old = old_indexes.read(channel.name, subdir, labels)
    refused = 0
    gate = Lock()
    with inventory_of(f"{channel}/{subdir}/") as inventory, recording(channel, subdir, old, gate) as records:
        checks = (pool.submit(_check_at, gate, channel, *found) for found in _unrecorded(inventory, records))
        for batch in _batches(_in_order(checks)):
            for outcome in records.add(batch):
                refused += bool(outcome.refusal)
                yield outcome
        yield from _missing_files(channel, subdir, old)
    if not refused:
        old_indexes.remove(channel.name, subdir, labels)


def _unrecorded(inventory: Inventory, records: Records) -> Iterator[tuple[str, bool]]:
    """Yield the key of each package without a row, and whether it has a sidecar. Claims the names in batches."""
    found = (key for key in inventory.all_keys() if PACKAGE.match(key.rpartition("/")[2]))
    while keys := list(islice(found, BATCH)):
        attested = inventory.sizes(f"{key}.sigs" for key in keys)
        yield from ((key, f"{key}.sigs" in attested) for key in records.claim(keys))


def _in_order(checks: Iterator[Future[CheckedPackage | ImportOutcome]]) -> Iterator[CheckedPackage | ImportOutcome]:
    """Yield the results of the checks in order, with a bounded number of them ahead."""
    waiting = deque(islice(checks, WAITING))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(islice(checks, 1))


def _batches(found: Iterator[CheckedPackage | ImportOutcome]) -> Iterator[list[CheckedPackage | ImportOutcome]]:
    """Group results into batches that one short transaction can record."""
    batch: list[CheckedPackage | ImportOutcome] = []
    facts_bytes = 0
    for each in found:
        batch.append(each)
        facts_bytes += each.facts_bytes
        if len(batch) == BATCH or facts_bytes > BATCH_BYTES:
            yield batch
            batch, facts_bytes = [], 0
    if batch:
        yield batch


def _check_at(gate: Lock, channel: Channel, key: str, has_sidecar: bool) -> CheckedPackage | ImportOutcome:
    """Check a package as soon as no batch is being written."""
    with gate:
        pass
    return check(channel, key, has_sidecar=has_sidecar)


def _missing_files(channel: Channel, subdir: str, old: OldIndex) -> Iterator[ImportOutcome]:
    """Yield an outcome for each file that the old index lists and neither the store nor the database has."""
    known = set(Artifact.objects.filter(channel=channel, subdir=subdir).values_list("file_name", flat=True))
    for file_name in sorted(old.records.keys() - known):
        key = f"{channel}/{subdir}/{file_name}"
        if not can_be_a_package(file_name):
            yield ImportOutcome(key, "The old index lists it, and no package can have this name.")
        elif not store().stat(key):
            yield ImportOutcome(key, "The old index lists it, and it is not in the store.")
