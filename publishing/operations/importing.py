"""Taking packages in that lie in the store and that the database does not know: after it was lost, or after a copy.

Each package is checked as an upload is, by some threads: what takes long there, the store, hashing and decompressing,
lets the other threads go on. Their rows follow in batches; see import_records.py. The old index tells what packages
themselves don't: when they were indexed (CEP 47), what was yanked, which attestations they have (CEP 50). Since the
first build writes over it, it is put aside first, for as long as a package is not in: so this can be interrupted, and
done again.
"""

import hashlib
import os
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from threading import Lock

import orjson
from django.conf import settings

from channels_app.access import ANYONE
from channels_app.models import Artifact, Channel
from channels_app.names import is_subdir
from hub import temporary
from hub.errors import HubError, unprocessable
from hub.storage import NotInStore, store
from publishing import repodata, upload
from publishing.attestations import sidecars
from publishing.attestations.rules import Verified
from publishing.body import ReceivedFile
from publishing.operations.import_records import YANKED, Checked, OldIndex, Outcome, Records, recording
from publishing.operations.inventory import Inventory, taken
from publishing.operations.strangers import OLD_REPODATA, PACKAGE
from publishing.upload import Upload

__all__ = ["YANKED", "Outcome", "put_old_indexes_aside", "take_in"]

# Threads of a bucket, most of which wait for its answers; of a folder there are as many as processors, at most as many.
AT_ONCE = 8
# Checked packages that wait for those before them, and for their rows.
WAITING = 64
# Of one transaction, which holds SQLite's only lock for some 35 ms.
BATCH = 100
BATCH_BYTES = 8 * 1024**2


def put_old_indexes_aside(name: str) -> None:
    """Keep the repodata.json of every subdir below the folder `name`, before a build writes over it."""
    for subdir in package_counts(name):
        target = f"{name}/{subdir}/{OLD_REPODATA}"
        if not store().stat(target):
            with suppress(NotInStore), _copied(f"{name}/{subdir}/{repodata.REPODATA}") as old:
                store().put(target, old.path, content_type="application/json")


def package_counts(name: str) -> dict[str, int]:
    """The folders below `name` that can be subdirs, each with the number of its packages, by the store's listing."""
    found = (key.split("/") for key in store().list(f"{name}/"))
    subdirs = (parts[1] for parts in found if len(parts) == 3 and is_subdir(parts[1]) and PACKAGE.match(parts[2]))
    return dict(sorted(Counter(subdirs).items()))


def take_in(channel: Channel) -> Iterator[Outcome]:
    """Take in every package below the channel's folder that its database does not know, subdir by subdir."""
    at_once = AT_ONCE if settings.HUB_STORAGE == "s3" else min(AT_ONCE, os.cpu_count() or 1)
    with ThreadPoolExecutor(at_once, "import") as pool:
        try:
            for subdir in package_counts(channel.name):
                yield from _take_in(channel, subdir, pool)
        finally:
            pool.shutdown(cancel_futures=True)


def _take_in(channel: Channel, subdir: str, pool: ThreadPoolExecutor) -> Iterator[Outcome]:
    old = _old_index(channel, subdir)
    refused = 0
    gate = Lock()
    with taken(f"{channel}/{subdir}/") as inventory, recording(channel, subdir, old, gate) as records:
        checks = (pool.submit(_check_at, gate, channel, *found) for found in _new(inventory, records))
        for batch in _batches(_in_order(checks)):
            for outcome in records.add(batch):
                refused += bool(outcome.refusal)
                yield outcome
        yield from _lost(channel, subdir, old)
    if not refused:
        store().delete(f"{channel}/{subdir}/{OLD_REPODATA}")


def _new(inventory: Inventory, records: Records) -> Iterator[tuple[str, bool]]:
    """The packages that the database does not know, claimed by batches: key, and whether it has a sidecar."""
    found = (key for key in inventory.all_keys() if PACKAGE.match(key.rpartition("/")[2]))
    while keys := list(islice(found, BATCH)):
        attested = inventory.sizes(f"{key}.sigs" for key in keys)
        yield from ((key, f"{key}.sigs" in attested) for key in records.claim(keys))


def _in_order(checks: Iterator[Future[Checked | Outcome]]) -> Iterator[Checked | Outcome]:
    """Yield the results of the checks in order, with a bounded number of them ahead."""
    waiting = deque(islice(checks, WAITING))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(islice(checks, 1))


def _batches(found: Iterator[Checked | Outcome]) -> Iterator[list[Checked | Outcome]]:
    """Group results into batches that one short transaction can record."""
    batch: list[Checked | Outcome] = []
    facts_bytes = 0
    for each in found:
        batch.append(each)
        facts_bytes += each.facts_bytes
        if len(batch) == BATCH or facts_bytes > BATCH_BYTES:
            yield batch
            batch, facts_bytes = [], 0
    if batch:
        yield batch


def _check_at(gate: Lock, channel: Channel, key: str, has_sidecar: bool) -> Checked | Outcome:
    """Check a package as soon as nothing is being written."""
    with gate:
        pass
    return _check(channel, key, has_sidecar)


def _check(channel: Channel, key: str, has_sidecar: bool) -> Checked | Outcome:
    """Check one package in a thread, without the database."""
    _, subdir, file_name = key.split("/", 2)
    try:
        with _copied(key) as received:
            info = upload.read(channel, received)
        if (info.subdir, info.file_name) != (subdir, file_name):
            raise unprocessable("wrong_place", f"Its own place is {info.subdir}/{info.file_name}, not here.")
        verified, note = _attestations(channel, key, received) if has_sidecar else ([], "")
    except NotInStore:
        return Outcome(key, "It was removed meanwhile.")
    except HubError as error:
        return Outcome(key, error.detail)
    facts_bytes = len(orjson.dumps([info.index, info.about, info.run_exports, info.files]))
    return Checked(key, Upload(ANYONE, channel, received, info), verified, note, facts_bytes)


@contextmanager
def _copied(key: str) -> Iterator[ReceivedFile]:
    """A temporary copy of what lies at `key`, as if it had been uploaded."""
    sha256, md5, size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("import")) as file:
        for chunk in store().open(key):
            sha256.update(chunk)
            md5.update(chunk)
            size_bytes += len(chunk)
            file.write(chunk)
        file.flush()
        yield ReceivedFile(
            Path(file.name), key.rpartition("/")[2], None, sha256.hexdigest(), md5.hexdigest(), size_bytes
        )


def _attestations(channel: Channel, key: str, received: ReceivedFile) -> tuple[list[Verified], str]:
    """What the package's sidecar holds, each verified anew; and why it was left out, where it was."""
    try:
        with _copied(f"{key}.sigs") as sidecar:
            content = sidecar.path.read_bytes()
        bundles = [orjson.dumps(bundle) for bundle in orjson.loads(content)]
        verified = [_verified(channel, bundle, received) for bundle in bundles]
    except NotInStore:
        return [], ""
    except HubError as error:
        return [], f"Its attestations were left out: {error.detail}"
    except (ValueError, TypeError) as error:
        return [], f"Its attestations were left out: the sidecar can't be read: {error}"
    if sidecars.joined([each.bundle for each in verified]) != content:
        return [], "Its attestations were left out: the sidecar is not in the form that the hub keeps."
    return verified, ""


def _verified(channel: Channel, bundle: bytes, received: ReceivedFile) -> Verified:
    from publishing.attestations.verification import verify  # with sigstore, whose import takes a second

    channel_url = f"{settings.HUB_PUBLIC_URL}/{channel}"
    place = {"file_name": received.file_name, "sha256": received.sha256}
    return verify(bundle, **place, channel_url=channel_url, expected_certificate={})


def _old_index(channel: Channel, subdir: str) -> OldIndex:
    """Empty where there is none, or none that can be read. Costs memory for one subdir's repodata.json."""
    try:
        content = orjson.loads(b"".join(store().open(f"{channel}/{subdir}/{OLD_REPODATA}")))
        revision_3 = content.get("v3", {})
        records = {
            **content.get("packages", {}),
            **content.get("packages.conda", {}),
            **{
                f"{stem}.{extension}": record
                for extension in revision_3
                for stem, record in revision_3[extension].items()
            },
        }
        return OldIndex(records, set(content.get("removed", [])))
    except (NotInStore, ValueError, TypeError, AttributeError):
        return OldIndex()


def _lost(channel: Channel, subdir: str, old: OldIndex) -> Iterator[Outcome]:
    """What the old index lists and neither the store nor the database has."""
    known = set(Artifact.objects.filter(channel=channel, subdir=subdir).values_list("file_name", flat=True))
    for file_name in sorted(old.records.keys() - known):
        key = f"{channel}/{subdir}/{file_name}"
        if not store().stat(key):
            yield Outcome(key, "The old index lists it, and it is not in the store.")
