"""Taking packages in that lie in the store and that the database does not know: after it was lost, or after a copy.

Each package is checked as an upload is. The old index tells what packages themselves don't: when they were indexed
(CEP 47), what was yanked, which attestations they have (CEP 50). Since the first build writes over it, it is put aside
first, for as long as a package is not in: so this can be interrupted, and done again.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from channels_app import audit, packages
from channels_app.access import ANYONE
from channels_app.models import Artifact, Channel, Removal
from channels_app.names import is_subdir
from hub.errors import HubError, unprocessable
from hub.storage import NotInStore, store
from publishing import index, repodata, upload
from publishing.attestations import sidecars
from publishing.attestations.rules import Verified
from publishing.body import ReceivedFile
from publishing.operations.inventory import taken
from publishing.operations.strangers import OLD_REPODATA, PACKAGE
from publishing.upload import Upload

YANKED = "It was not in the index that it was taken in with."


@dataclass(slots=True)
class OldIndex:
    """What a subdir's old repodata.json says: file name → record, and the names of what was taken out of it."""

    records: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: taken in, or why not; `note` says what was lost on the way."""

    key: str
    refusal: str = ""
    note: str = ""


def put_old_indexes_aside(name: str) -> None:
    """Keep the repodata.json of every subdir below the folder `name`, before a build writes over it."""
    for subdir in _subdirs(name):
        target = f"{name}/{subdir}/{OLD_REPODATA}"
        if not store().stat(target):
            with suppress(NotInStore), _copied(f"{name}/{subdir}/{repodata.REPODATA}") as old:
                store().put(target, old.path, content_type="application/json")


def take_in(channel: Channel) -> Iterator[Outcome]:
    """Take in every package below the channel's folder that its database does not know, subdir by subdir."""
    for subdir in _subdirs(channel.name):
        old = _old_index(channel, subdir)
        refused = 0
        with taken(f"{channel}/{subdir}/") as inventory:
            for key in inventory.all_keys():
                if PACKAGE.match(key.rpartition("/")[2]) and not _is_known(channel, key):
                    outcome = _take_in(channel, key, old)
                    refused += bool(outcome.refusal)
                    yield outcome
            yield from _lost(channel, subdir, old)
        if not refused:
            store().delete(f"{channel}/{subdir}/{OLD_REPODATA}")


def _subdirs(name: str) -> list[str]:
    """The folders below `name` that can be subdirs and have packages, by the store's listing."""
    found = (key.split("/") for key in store().list(f"{name}/"))
    return sorted({parts[1] for parts in found if len(parts) == 3 and is_subdir(parts[1]) and PACKAGE.match(parts[2])})


def _is_known(channel: Channel, key: str) -> bool:
    _, subdir, file_name = key.split("/", 2)
    return Artifact.objects.filter(channel=channel, subdir=subdir, file_name=file_name).exists()


def _take_in(channel: Channel, key: str, old: OldIndex) -> Outcome:
    _, subdir, file_name = key.split("/", 2)
    try:
        with _copied(key) as received:
            info = upload.read(channel, received)
            if (info.subdir, info.file_name) != (subdir, file_name):
                raise unprocessable("wrong_place", f"Its own place is {info.subdir}/{info.file_name}, not here.")
            verified, note = _attestations(channel, key, received)
            _record(Upload(ANYONE, channel, received, info), old, verified)
    except NotInStore:
        return Outcome(key, "It was removed meanwhile.")
    except HubError as error:
        return Outcome(key, error.detail)
    return Outcome(key, note=note)


@contextmanager
def _copied(key: str) -> Iterator[ReceivedFile]:
    """A temporary copy of what lies at `key`, as if it had been uploaded."""
    sha256, md5, size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix="import-") as file:
        for chunk in store().open(key):
            sha256.update(chunk)
            md5.update(chunk)
            size_bytes += len(chunk)
            file.write(chunk)
        file.flush()
        yield ReceivedFile(
            Path(file.name), key.rpartition("/")[2], None, sha256.hexdigest(), md5.hexdigest(), size_bytes
        )


def _record(found: Upload, old: OldIndex, verified: list[Verified]) -> None:
    """As an upload: the name is reserved, so that no other bytes come under it meanwhile."""
    token = upload.reserve(found)
    try:
        with transaction.atomic():
            artifact = _save(found, old)
            if verified:
                sidecars.take_in(artifact, verified)
            packages.refresh(artifact.package)
            index.request(found.channel, found.info.subdir, [found.info.name])
        if verified:
            sidecars.rewrite(artifact)
    finally:
        upload.release(token)


def _save(found: Upload, old: OldIndex) -> Artifact:
    channel, received, info = found.channel, found.received, found.info
    yanked = {"removal": Removal.YANKED, "removal_reason": YANKED, "removed_at": timezone.now()}
    values = (
        upload.facts(found)
        | (yanked if info.file_name in old.removed else {})
        | {"package": packages.held(channel, info.name), "indexed_timestamp": _indexed_timestamp(old, received)}
    )
    artifact, _ = Artifact.objects.get_or_create(**found.place, defaults=values)
    audit.record(
        "artifact.import",
        channel=channel,
        target=f"{info.subdir}/{info.file_name}",
        detail={"sha256": received.sha256, "size_bytes": received.size_bytes},
    )
    return artifact


def _indexed_timestamp(old: OldIndex, received: ReceivedFile) -> int:
    """The old one where it is of these very bytes; else now, as of bytes that nobody has seen yet."""
    now = time.time_ns() // 1_000_000
    record = old.records.get(received.file_name, {})
    before = record.get("indexed_timestamp")
    is_same = record.get("sha256") == received.sha256 and type(before) is int and 0 < before <= now
    return before if is_same else now


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
