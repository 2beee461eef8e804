"""Is every index what its database says: pieces, shards, files?

The names are compared beside running builds; what seems to differ, and the files, under the index's lock, after a build
where it is stale. Where other builds hold the lock for a whole minute, the files are left out: each of these builds
writes all of them.
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

from channels_app.models import Artifact, Channel
from hub import temporary
from hub.locks import wait_for_lock
from hub.storage import NotInStore, hashed, kept, store
from publishing import files, index, pieces, repodata, summary
from publishing.models import IndexedName, SubdirIndex
from publishing.operations.differences import Difference, Kind
from publishing.operations.inventory import KEYS_AT_ONCE
from publishing.spool import PARTS_AT_ONCE, Spool

READS_AT_ONCE = 16
# Of a compressed file: each record has checksums of 48 bytes that don't compress, so this is less than 100 records.
SLICE_BYTES = 4096
LOCK_S = 60
TRIES = 3
MEND = "--repair makes it anew from the database."

Faults = dict[str, str]  # key or package name → what was found and what was expected


def check(channel: Channel) -> Iterator[Difference]:
    index.open_channel(channel)
    # In this order: an artifact's first row comes with its index's.
    published = set(Artifact.objects.filter(channel=channel).values_list("subdir", flat=True).distinct())
    for subdir in sorted(published - set(channel.indexes.values_list("subdir", flat=True))):
        yield Difference(Kind.INDEX, f"{channel}/{subdir}/", f"It has artifacts and no index. {MEND}")
    indexes = channel.indexes.select_related("channel")
    for row in indexes.exclude(subdir=index.WHOLE_CHANNEL):
        yield from check_index(row)
    # Last, since it is made from the others, and by the first build of the first of them.
    whole = indexes.filter(subdir=index.WHOLE_CHANNEL).first()
    if whole:
        yield from check_index(whole)
    else:
        yield Difference(Kind.INDEX, f"{channel}/", f"It has no index of the whole channel. {MEND}")


def check_index(row: SubdirIndex) -> list[Difference]:
    suspects = [name for batch in _batches(index.all_names(row)) for name in _differing(row, batch)]
    with wait_for_lock(index.lock_name(row.pk), timeout_s=LOCK_S) as held:
        if not held:
            return []
        found = [Difference(Kind.INDEX, key, f"{fault}. {MEND}") for key, fault in _file_faults(row).items()]
        for batch in _batches(suspects):
            faults = _differing(row, batch)
            told = sorted(faults.keys() - _unbuilt(row, batch))
            found += [Difference(Kind.INDEX, _key(row, name), f"{name}: {faults[name]}. {MEND}", name) for name in told]
    return found


def _unbuilt(row: SubdirIndex, names: Sequence[str]) -> set[str]:
    """Those of `names` that have changed since the last build, for the whole channel that of any of its subdirs.

    Asked after the comparison, while no build can begin: whatever changed during it is among them.
    """
    indexes = row.channel.indexes.all() if row.subdir == index.WHOLE_CHANNEL else [row]
    changed = IndexedName.objects.filter(index__in=indexes, name__in=names, changed__gt=F("made"))
    return set(changed.values_list("name", flat=True))


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), KEYS_AT_ONCE):
        yield names[start : start + KEYS_AT_ONCE]


def _key(row: SubdirIndex, name: str = "") -> str:
    return "/".join(filter(None, (row.channel.name, row.subdir, name)))


# Names


def _differing(row: SubdirIndex, names: Sequence[str]) -> Faults:
    """Those of `names` whose pieces are not what their artifacts say."""
    if row.subdir == index.WHOLE_CHANNEL:
        return _differing_summary(row, names)
    found = _digests(_stored_parts(row, names))
    named = dict(row.names.exclude(shard_sha256="").filter(name__in=names).values_list("name", "shard_sha256"))
    keys = {name: _key(row, repodata.shard_file(sha256)) for name, sha256 in named.items()}
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        hashes = dict(zip(keys, pool.map(_sha256, keys.values()), strict=True))
    with pieces.spooled(row, names, is_checked=False) as spool:
        expected = _digests((part.name, part.section, body) for batch in spool.batches() for part, body in batch)
        faults = dict.fromkeys(names, "its part of the index is not what its artifacts say")
        for name in names:
            if found.get(name) == expected.get(name):
                faults[name] = _shard_fault(keys.get(name, ""), named.get(name, ""), hashes.get(name), spool, name)
        return {name: fault for name, fault in faults.items() if fault}


def _differing_summary(row: SubdirIndex, names: Sequence[str]) -> Faults:
    bodies = summary.channeldata(row, names)
    expected = _digests((name, summary.SECTION, body) for name, body in bodies.items())
    found = _digests(_stored_parts(row, names))
    fault = "its part of channeldata.json is not what its artifacts say"
    return {name: fault for name in names if found.get(name) != expected.get(name)}


def _stored_parts(row: SubdirIndex, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Name, section and JSON of each part of the fragments, some at a time, in the order of parts."""
    pks = list(row.fragments.filter(name__in=names).order_by("part").values_list("pk", flat=True))
    for start in range(0, len(pks), PARTS_AT_ONCE):
        batch = row.fragments.filter(pk__in=pks[start : start + PARTS_AT_ONCE])
        yield from batch.order_by("part").values_list("name", "section", "body")


def _digests(parts: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """Name → section → SHA-256 of its fragment, whatever its parts."""
    hashes: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, section, body in parts:
        if section in hashes[name]:
            hashes[name][section].update(b",")
        hashes[name].setdefault(section, hashlib.sha256()).update(body.encode())
    return {name: {section: each.hexdigest() for section, each in found.items()} for name, found in hashes.items()}


def _shard_fault(key: str, sha256: str, stored: str | None, spool: Spool, name: str) -> str:
    """`stored` is the SHA-256 of what lies in the store at `key`, where the index names a shard by `sha256`."""
    expected = spool.shards.get(name)
    if expected is None or not sha256:
        if expected:
            return "it has no shard though artifacts are listed"
        return "it has a shard of nothing" if sha256 else ""
    if stored is None:
        return f"its shard {sha256[:16]}… is not in the store"
    if stored != sha256:
        return f"its shard {sha256[:16]}… has other bytes than its name says"
    # Not byte by byte: another release of the compressor, or another database's order of keys, is no fault.
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
    """What differs once the index is not stale; nothing where it is stale again each time, and so written anew."""
    for _ in range(TRIES):
        row.refresh_from_db()
        if row.wanted > row.built:
            index.build(row)
            row.refresh_from_db()
        found = dict(_unlike(row))
        if not found or SubdirIndex.objects.filter(pk=row.pk, wanted=row.built).exists():
            return found
    return {}


def _unlike(row: SubdirIndex) -> Iterator[tuple[str, str]]:
    if row.subdir == index.WHOLE_CHANNEL:
        yield from _json_faults(row, repodata.CHANNELDATA, summary.channeldata_layout(row.channel))
        notices = _bytes(_key(row, repodata.NOTICES))
        if notices != repodata.EMPTY_NOTICES:
            yield _key(row, repodata.NOTICES), _found(notices is None)
        return
    revision_3 = index.revision_3_of(row)
    yield from _shard_index_faults(row, index.shard_index(row, revision_3))
    for file_name, layout in index.layouts(row, revision_3).items():
        yield from _json_faults(row, file_name, layout)
    # Otherwise the next build of the whole channel writes it.
    if row.current_etag == row.etag:
        yield from _json_faults(row, repodata.CURRENT, summary.current_layout(row))


def _shard_index_faults(row: SubdirIndex, expected: bytes) -> Iterator[tuple[str, str]]:
    key = _key(row, repodata.SHARD_INDEX)
    stored = _bytes(key)
    try:
        if stored is None or _undated(stored) != _undated(expected):
            yield key, _found(stored is None)
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        yield key, f"It can't be read: {error}"


def _json_faults(row: SubdirIndex, file_name: str, layout: repodata.Layout) -> Iterator[tuple[str, str]]:
    """What is wrong with a file and with its .zst, which are compared with what the fragments make of them."""
    expected = hashed(files.content(row, layout))
    key = _key(row, file_name)
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("verify")) as folder:
        for each, is_compressed in ((key, False), (f"{key}.zst", True)):
            path = Path(folder, "file")
            try:
                found = hashed(kept(_plain(each, is_compressed=is_compressed), path))
                if file_name in (repodata.REPODATA, repodata.CURRENT):
                    SparseRepoData(ChannelAddress(row.channel.name), row.subdir, path).close()
            except NotInStore:
                yield each, _found(True)
            except zstandard.ZstdError as error:
                yield each, f"It can't be read: {error}"
            except Exception as error:  # noqa: BLE001  whatever a client's parser may throw
                yield each, f"A client can't read it: {error}"
            else:
                if found != expected:
                    yield each, _found(False)


def _found(is_missing: bool) -> str:
    return "Found nothing, expected the file" if is_missing else "Found other content than the database says"


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
        raise zstandard.ZstdError("it is not one whole frame")


def _bytes(key: str) -> bytes | None:
    try:
        return b"".join(store().open(key))
    except NotInStore:
        return None


def _unpacked(content: bytes) -> dict[str, object]:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content)) as plain:
        unpacked: dict[str, object] = msgpack.unpackb(plain.read())
    return unpacked


def _undated(shard_index: bytes) -> dict[str, object]:
    content = _unpacked(shard_index)
    return content | {"info": {**content["info"], "created_at": ""}}  # type: ignore[dict-item]
