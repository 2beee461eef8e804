"""Comparison of every index with the database: fragments, shards and files.

Names are compared while builds may run. Names that seem to differ, and the files, are compared under the index's lock,
after a build if the index is stale. If other builds hold the lock for a minute, the index is skipped: each of these
builds writes all files.
"""

import hashlib
import io
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgpack
import zstandard
from django.conf import settings
from django.db.models import F
from rattler import Channel as ChannelAddress
from rattler import SparseRepoData

from channels_app.models import Artifact, Channel
from hub.locks import wait_for_lock
from hub.storage import NotInStore, hashed, kept, store
from publishing.index import builds, channel_files, repodata, writer
from publishing.index import fragments as index_fragments
from publishing.models import IndexedName, SubdirIndex
from publishing.verification.differences import Difference, DifferenceKind
from publishing.verification.inventory import KEYS_AT_ONCE

READS_AT_ONCE = 16
LOCK_S = 60
TRIES = 3
REPAIR = "--repair rebuilds it from the database."

Faults = dict[str, str]  # key or package name → what was found and what was expected


def check(channel: Channel) -> Iterator[Difference]:
    builds.open_channel(channel)
    # Artifacts before indexes: a subdir's first artifact is committed together with its index.
    published = set(Artifact.objects.filter(channel=channel).values_list("subdir", flat=True).distinct())
    for subdir in sorted(published - set(channel.indexes.values_list("subdir", flat=True))):
        yield Difference(DifferenceKind.INDEX, f"{channel}/{subdir}/", f"It has artifacts and no index. {REPAIR}")
    indexes = channel.indexes.select_related("channel")
    for row in indexes.exclude(subdir=builds.WHOLE_CHANNEL):
        yield from check_index(row)
    # Last, because it is made from the others and created by the first build of one of them.
    whole = indexes.filter(subdir=builds.WHOLE_CHANNEL).first()
    if whole:
        yield from check_index(whole)
    else:
        yield Difference(DifferenceKind.INDEX, f"{channel}/", f"It has no index of the whole channel. {REPAIR}")


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
    indexes = row.channel.indexes.all() if row.subdir == builds.WHOLE_CHANNEL else [row]
    changed = IndexedName.objects.filter(index__in=indexes, name__in=names, changed__gt=F("made"))
    return set(changed.values_list("name", flat=True))


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), KEYS_AT_ONCE):
        yield names[start : start + KEYS_AT_ONCE]


def _key(row: SubdirIndex, name: str = "") -> str:
    return "/".join(filter(None, (row.channel.name, row.subdir, name)))


# Names


def _differing(row: SubdirIndex, names: Sequence[str]) -> Faults:
    """Return the faults of those of `names` that have wrong fragments or a wrong shard."""
    if row.subdir == builds.WHOLE_CHANNEL:
        return _differing_summary(row, names)
    expected = index_fragments.expected(row, names)
    fragments = _fragments(row, names)
    named = dict(row.names.filter(name__in=names).values_list("name", "shard_sha256"))
    keys = {name: _key(row, repodata.shard_file(sha256)) for name, sha256 in named.items() if sha256}
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        shards = dict(zip(keys, pool.map(_bytes, keys.values()), strict=True))
    faults = {}
    for name in names:
        if fragments[name] != expected[name].fragments:
            faults[name] = "its part of the index does not match its artifacts"
        elif fault := _shard_fault(expected[name], named.get(name, ""), shards.get(name)):
            faults[name] = fault
    return faults


def _differing_summary(row: SubdirIndex, names: Sequence[str]) -> Faults:
    expected, fragments = channel_files.channeldata(row, names), _fragments(row, names)
    wanted = {name: {channel_files.SECTION: expected[name]} if name in expected else {} for name in names}
    return {
        name: "its part of channeldata.json does not match its artifacts"
        for name in names
        if fragments[name] != wanted[name]
    }


def _fragments(row: SubdirIndex, names: Sequence[str]) -> Mapping[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, section, body in row.fragments.filter(name__in=names).values_list("name", "section", "body"):
        found[name][section] = body
    return found


def _shard_fault(expected: index_fragments.PackageFragments, sha256: str, shard: bytes | None) -> str:
    """Describe the fault of a shard, or return "" if it is correct.

    `sha256`: the shard's name in the index, empty if the name has no shard. `shard`: its content in the store.
    """
    if bool(expected.shard) != bool(sha256):
        return "it has artifacts but no shard" if expected.shard else "it has a shard but no artifacts"
    if not sha256:
        return ""
    if shard is None:
        return f"its shard {sha256[:16]}… is not in the store"
    if hashlib.sha256(shard).hexdigest() != sha256:
        return f"its shard {sha256[:16]}… has bytes with another SHA-256"
    # Compared by content: the bytes may differ between releases of the compressor and orders of keys.
    if sha256 != expected.sha256 and _unpacked(shard) != _unpacked(expected.shard):
        return f"its shard {sha256[:16]}… does not match its artifacts"
    return ""


# Files


def _file_faults(row: SubdirIndex) -> Faults:
    """Return the faults of the files of a current index. Return none if each try finds it stale again."""
    for _ in range(TRIES):
        row.refresh_from_db()
        if row.wanted > row.built:
            builds.build(row)
            row.refresh_from_db()
        found = dict(_different_files(row))
        if not found or SubdirIndex.objects.filter(pk=row.pk, wanted=row.built).exists():
            return found
    return {}


def _different_files(row: SubdirIndex) -> Iterator[tuple[str, str]]:
    if row.subdir == builds.WHOLE_CHANNEL:
        yield from _json_faults(row, repodata.CHANNELDATA, channel_files.channeldata_layout(row.channel))
        notices = _bytes(_key(row, repodata.NOTICES))
        if notices != repodata.EMPTY_NOTICES:
            yield _key(row, repodata.NOTICES), _found(notices is None)
        return
    revision_3 = builds.revision_3_of(row)
    yield from _shard_index_faults(row, builds.shard_index(row, revision_3))
    for file_name, layout in builds.layouts(row, revision_3).items():
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
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix="verify-") as folder:
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
        yield frame.decompress(chunk)
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
