"""Comparison of every index with the database: fragments, shards and files.

Names are compared while builds may run. Names that seem to differ, and the files, are compared under the index's lock,
after a build if the index is stale. If other builds hold the lock for a minute, the index is skipped: each of these
builds writes all files.
"""

import hashlib
import io
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgpack
import zstandard
from django.conf import settings
from django.db.models import F
from rattler import Channel as ChannelAddress
from rattler import SparseRepoData

from channels_app.models import Artifact, Channel, Label
from hub import temporary
from hub.locks import wait_for_lock
from hub.storage import NotInStore, hashed, kept, store
from publishing.index import (
    builds,
    channel_files,
    fragments,
    merging,
    notices_file,
    repodata,
    shards,
    subdir_files,
    virtual_names,
    writer,
)
from publishing.index.spool import PARTS_AT_ONCE, Spool
from publishing.models import IndexedName, SubdirIndex, WaitingBuild
from publishing.verification.differences import Difference, DifferenceKind
from publishing.verification.inventory import KEYS_AT_ONCE

READS_AT_ONCE = 16
# Bytes of a compressed file: each record has 48 bytes of checksums that don't compress, so a slice has < 100 records.
SLICE_BYTES = 4096
LOCK_S = 60
TRIES = 3
REPAIR = "--repair rebuilds it from the database."

Faults = dict[str, str]  # key or package name → what was found and what was expected


def check(channel: Channel) -> Iterator[Difference]:
    builds.open_channel(channel)
    # Artifacts before indexes: a subdir's first artifact is committed together with its index.
    published = set(Artifact.objects.filter(channel=channel).values_list("subdir", flat=True).distinct())
    labeled = Label.objects.filter(channel=channel).exclude(artifacts=None).values_list("name", "artifacts__subdir")
    published |= {SubdirIndex.place(*each) for each in labeled.distinct()}
    if merging.is_virtual(channel):
        published |= _merged(channel)
    for subdir in sorted(published - set(channel.indexes.values_list("subdir", flat=True))):
        yield Difference(DifferenceKind.INDEX, f"{channel}/{subdir}/", f"It has packages and no index. {REPAIR}")
    indexes = channel.indexes.select_related("channel")
    for row in indexes.exclude(subdir=builds.WHOLE_CHANNEL):
        yield from check_index(row)
    # Last, because it is made from the others and created by the first build of one of them.
    whole = indexes.filter(subdir=builds.WHOLE_CHANNEL).first()
    if whole:
        yield from check_index(whole)
    else:
        yield Difference(DifferenceKind.INDEX, f"{channel}/", f"It has no index of the whole channel. {REPAIR}")


def _merged(channel: Channel) -> set[str]:
    """Return the subdirs that a virtual channel should have; none while builds of members wait to be taken in."""
    found = virtual_names.subdirs(channel)
    return set() if WaitingBuild.objects.filter(channel=channel).exists() else found


def check_index(row: SubdirIndex) -> list[Difference]:
    suspects = [name for batch in _batches(builds.all_names(row)) for name in _differing(row, batch)]
    with wait_for_lock(builds.lock_name(row.pk), timeout_s=LOCK_S) as held:
        if not held:
            return []
        found = [
            Difference(DifferenceKind.INDEX, key, f"{fault}. {REPAIR}") for key, fault in _file_faults(row).items()
        ]
        for batch in _batches(suspects):
            faults = _differing(row, batch)
            confirmed = sorted(faults.keys() - _unbuilt(row, batch))
            found += [
                Difference(DifferenceKind.INDEX, _key(row, name), f"{name}: {faults[name]}. {REPAIR}", name)
                for name in confirmed
            ]
    return found


def _unbuilt(row: SubdirIndex, names: Sequence[str]) -> set[str]:
    """Return those of `names` that changed since the last build; for the whole channel, of any of its subdirs.

    Called after the comparison, while no build can begin, so it includes every name that changed during the comparison.
    """
    if WaitingBuild.objects.filter(channel=row.channel).exists():
        return set(names)
    indexes = row.channel.indexes.all() if row.subdir == builds.WHOLE_CHANNEL else merging.indexes_of(row)
    changed = IndexedName.objects.filter(index__in=indexes, name__in=names, changed__gt=F("made"))
    return set(changed.values_list("name", flat=True))


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), KEYS_AT_ONCE):
        yield names[start : start + KEYS_AT_ONCE]


def _key(row: SubdirIndex, name: str = "") -> str:
    return "/".join(filter(None, (row.folder, name)))


# Names


def _differing(row: SubdirIndex, names: Sequence[str]) -> Faults:
    """Return the faults of those of `names` that have wrong fragments or a wrong shard."""
    if row.subdir == builds.WHOLE_CHANNEL:
        return _differing_summary(row, names)
    if merging.is_virtual(row.channel):
        return dict.fromkeys(merging.differing(row, names), "its shard is not its member's")
    found = _digests(_stored_parts(row, names))
    named = dict(row.names.exclude(shard_sha256="").filter(name__in=names).values_list("name", "shard_sha256"))
    keys = {name: _key(row, shards.shard_file(sha256)) for name, sha256 in named.items()}
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        hashes = dict(zip(keys, pool.map(_sha256, keys.values()), strict=True))
    with fragments.spooled(row, names, is_checked=False) as spool:
        expected = _digests((part.name, part.section, body) for batch in spool.batches() for part, body in batch)
        faults = dict.fromkeys(names, "its part of the index is not what its artifacts say")
        for name in names:
            if found.get(name) == expected.get(name):
                faults[name] = _shard_fault(keys.get(name, ""), named.get(name, ""), hashes.get(name), spool, name)
        return {name: fault for name, fault in faults.items() if fault}


def _differing_summary(row: SubdirIndex, names: Sequence[str]) -> Faults:
    bodies = channel_files.channeldata(row, names)
    expected = _digests((name, channel_files.SECTION, body) for name, body in bodies.items())
    found = _digests(_stored_parts(row, names))
    fault = "its part of channeldata.json is not what its artifacts say"
    return {name: fault for name in names if found.get(name) != expected.get(name)}


def _stored_parts(row: SubdirIndex, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, section and JSON of each part of the fragments, in the order of parts."""
    pks = list(row.fragments.filter(name__in=names).order_by("part").values_list("pk", flat=True))
    for start in range(0, len(pks), PARTS_AT_ONCE):
        batch = row.fragments.filter(pk__in=pks[start : start + PARTS_AT_ONCE])
        yield from batch.order_by("part").values_list("name", "section", "body")


def _digests(parts: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """Return name → section → SHA-256 of the fragment, independent of its division into parts."""
    hashes: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, section, body in parts:
        if section in hashes[name]:
            hashes[name][section].update(b",")
        hashes[name].setdefault(section, hashlib.sha256()).update(body.encode())
    return {name: {section: each.hexdigest() for section, each in found.items()} for name, found in hashes.items()}


def _shard_fault(key: str, sha256: str, stored: str | None, spool: Spool, name: str) -> str:
    """Describe the fault of a shard, or return "". `stored`: SHA-256 of the file at `key`; `sha256`: its name."""
    expected = spool.shards.get(name)
    if expected is None or not sha256:
        if expected:
            return "it has no shard though artifacts are listed"
        return "it has a shard of nothing" if sha256 else ""
    if stored is None:
        return f"its shard {sha256[:16]}… is not in the store"
    if stored != sha256:
        return f"its shard {sha256[:16]}… has other bytes than its name says"
    # Compared by content: the bytes may differ between releases of the compressor and orders of keys.
    if sha256 != expected.sha256 and _unpacked(_bytes(key) or b"") != _unpacked(expected.read()):
        return f"its shard {sha256[:16]}… is not what its artifacts say"
    return ""


def _sha256(key: str) -> str | None:
    try:
        return hashed(store().open(key))
    except NotInStore:
        return None


# Files


def _file_faults(row: SubdirIndex) -> Faults:
    """Return the faults of the files of a current index. Return none if each try finds it stale again."""
    for _ in range(TRIES):
        row.refresh_from_db()
        if row.requested_revision > row.built_revision:
            builds.build(row)
            row.refresh_from_db()
        found = dict(_different_files(row))
        is_current = SubdirIndex.objects.filter(pk=row.pk, requested_revision=row.built_revision).exists()
        if not found or (is_current and merging.are_sources_current(row)):
            return found
    return {}


def _different_files(row: SubdirIndex) -> Iterator[tuple[str, str]]:
    if row.subdir == builds.WHOLE_CHANNEL:
        yield from _json_faults(row, repodata.CHANNELDATA, channel_files.channeldata_layout(row.channel))
        notices = _bytes(_key(row, repodata.NOTICES))
        if notices != notices_file.content(row.channel):
            yield _key(row, repodata.NOTICES), _found(notices is None)
        return
    facts = (subdir_files.revision_3_of(row), subdir_files.relations_of(row))
    yield from _shard_index_faults(row, subdir_files.shard_index(row, *facts))
    for file_name, layout in subdir_files.layouts(row, *facts).items():
        yield from _json_faults(row, file_name, layout)
    # If the ETags differ, the next build of the whole channel writes the file.
    if row.current_etag == row.etag:
        yield from _json_faults(row, repodata.CURRENT, channel_files.current_layout(row))


def _shard_index_faults(row: SubdirIndex, expected: bytes) -> Iterator[tuple[str, str]]:
    key = _key(row, repodata.SHARD_INDEX)
    stored = _bytes(key)
    try:
        if stored is None or _without_date(stored) != _without_date(expected):
            yield key, _found(stored is None)
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        yield key, f"It can't be read: {error}"


def _json_faults(row: SubdirIndex, file_name: str, layout: repodata.Layout) -> Iterator[tuple[str, str]]:
    """Yield the faults of a file and of its .zst, compared with the content from the fragments."""
    expected = hashed(writer.content(row, layout))
    key = _key(row, file_name)
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("verify")) as folder:
        for each, is_compressed in ((key, False), (f"{key}.zst", True)):
            path = Path(folder, "file")
            try:
                found = hashed(kept(_plain(each, is_compressed=is_compressed), path))
                if file_name in (repodata.REPODATA, repodata.CURRENT):
                    SparseRepoData(ChannelAddress(row.channel.name), row.platform, path).close()
            except NotInStore:
                yield each, _found(True)
            except zstandard.ZstdError as error:
                yield each, f"It can't be read: {error}"
            except Exception as error:  # noqa: BLE001  a client's parser may raise any exception
                yield each, f"A client can't read it: {error}"
            else:
                if found != expected:
                    yield each, _found(False)


def _found(is_missing: bool) -> str:
    return "Found nothing, expected the file" if is_missing else "Found content that differs from the database"


def _plain(key: str, *, is_compressed: bool) -> Iterator[bytes]:
    chunks = store().open(key)
    if not is_compressed:
        yield from chunks
        return
    frame = zstandard.ZstdDecompressor().decompressobj()
    for chunk in chunks:
        for start in range(0, len(chunk), SLICE_BYTES):
            yield frame.decompress(chunk[start : start + SLICE_BYTES])
    if not frame.eof or frame.unused_data:
        raise zstandard.ZstdError("it is not one complete frame")


def _bytes(key: str) -> bytes | None:
    try:
        return b"".join(store().open(key))
    except NotInStore:
        return None


def _unpacked(content: bytes) -> dict[str, object]:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)) as plain:
        unpacked: dict[str, object] = msgpack.unpackb(plain.read())
    return unpacked


def _without_date(shard_index: bytes) -> dict[str, object]:
    content = _unpacked(shard_index)
    return content | {"info": {**content["info"], "created_at": ""}}  # type: ignore[dict-item]
