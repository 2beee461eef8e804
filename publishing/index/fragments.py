"""Per-package parts of an index: the fragments of a package name (in the database) and its shard (in the store)."""

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

from django.conf import settings
from django.core.mail import mail_admins
from django.db import DatabaseError, transaction
from rattler import RepoData

from channels_app.access.actions import Action
from channels_app.audit import log
from channels_app.models import Artifact
from hub import temporary
from hub.plain_text import visible
from hub.storage import store
from publishing.index import repodata, shards
from publishing.index.repodata import Revision, Section
from publishing.index.spool import Spool
from publishing.models import Fragment, IndexedName, RetiredShard, SubdirIndex

NAMES_AT_ONCE = 200
# A document has at most 128 KiB, or 1 MiB in older rows.
DOCUMENTS_AT_ONCE = 50
PUTS_AT_ONCE = 8
# The order of sections in a shard.
SECTIONS = ("packages", "packages.conda", "v3.conda", "v3.tar.bz2")
PLACE = ("file_name", "version", "revision", "removal")
# Large columns that no record contains.
UNUSED = ("about_json", "features", "files", "licences", "provenance", "warnings")
CANARY = Revision(0, 0, 0)
# Errors of this machine, not of a record: no client's parser raises them.
MACHINE_ERRORS = (OSError, DatabaseError, MemoryError)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class IndexColumns:
    """The columns of an artifact that decide its place in an index."""

    pk: int
    name: str
    file_name: str
    version: str
    revision: int
    removal: str

    def order(self) -> tuple[int, str]:
        section, key = repodata.section_of(self)
        return SECTIONS.index(section), key


class ArtifactEntry(NamedTuple):
    """The part of one artifact: section → JSON, and its packed entry in the shard."""

    texts: dict[str, str]
    packed: bytes


class _ChangedDuringBuild(Exception):  # noqa: N818  (its name is a sentence)
    """An artifact left the index while the fragments of its name were built."""


def remake(index: SubdirIndex, names: list[str], deadline: float | None = None) -> list[str]:
    """Rebuild the fragments of `names`: first put the shards into the store, then save the rows.

    Each batch is one transaction. Returns the names that were made before time.monotonic() passed `deadline`.
    """
    return in_batches(names, NAMES_AT_ONCE, partial(_remake, index), deadline)


def in_batches(names: list[str], size: int, make: Callable[[list[str]], object], deadline: float | None) -> list[str]:
    """Call `make` with batches of `names` until the deadline, at least once. Return the names in these batches."""
    end = 0
    while end < len(names) and (end == 0 or deadline is None or time.monotonic() < deadline):
        make(names[end : end + size])
        end += size
    return names[:end]


def _remake(index: SubdirIndex, names: list[str]) -> None:
    with spooled(index, names) as spool:
        _put_shards(index, spool)
        _save(index, names, spool)


@contextmanager
def spooled(index: SubdirIndex, names: Sequence[str], *, is_checked: bool = True) -> Iterator[Spool]:
    """Build the fragments and shards of `names` from their artifacts.

    `is_checked`: quarantine records that clients can't read, and leave them out.
    """
    while True:
        with Spool() as spool:
            try:
                _make(index, names, spool, is_checked=is_checked)
            except _ChangedDuringBuild:
                continue
            yield spool
            return


def _make(index: SubdirIndex, names: Sequence[str], spool: Spool, *, is_checked: bool) -> None:
    """Fill the spool from batches of documents."""
    places = _places(index, names)
    listed = {
        name: sorted((each for each in places[name] if not each.removal), key=IndexColumns.order) for name in names
    }
    newest = {place.pk for found in listed.values() for place in repodata.newest_version(found)}
    all_listed = [place.pk for found in listed.values() for place in found]
    entries = _entries(index.subdir, all_listed, newest, is_checked=is_checked)
    for name in names:
        removed = sorted(place.file_name for place in places[name] if place.removal)
        if removed:
            spool.add("removed", repodata.removed_entry(removed))
        if listed[name]:
            counts = Counter(repodata.section_of(place)[0] for place in listed[name])
            packed = _spooled(spool, islice(entries, len(listed[name])))
            spool.add_shard(name, shards.shard_chunks(counts, packed, removed))
        spool.end(name)


def _spooled(spool: Spool, entries: Iterator[ArtifactEntry]) -> Iterator[bytes]:
    """Yield the entries of a shard. Add those of the fragments to the spool."""
    for entry in entries:
        for section, text in entry.texts.items():
            spool.add(section, text)
        yield entry.packed


def _places(index: SubdirIndex, names: Sequence[str]) -> dict[str, list[IndexColumns]]:
    places: dict[str, list[IndexColumns]] = {name: [] for name in names}
    found = Artifact.objects.filter(channel=index.channel, subdir=index.subdir, package__name__in=names)
    for values in found.filter(quarantine_reason="").values_list("pk", "package__name", *PLACE):
        place = IndexColumns(*values)
        places[place.name].append(place)
    return places


def _entries(subdir: str, pks: Sequence[int], newest: Collection[int], *, is_checked: bool) -> Iterator[ArtifactEntry]:
    """Yield the entries of these artifacts in this order. With `is_checked`, py-rattler can read all of them."""
    for start in range(0, len(pks), DOCUMENTS_AT_ONCE):
        batch = pks[start : start + DOCUMENTS_AT_ONCE]
        found = Artifact.objects.filter(quarantine_reason="").select_related("package").defer(*UNUSED).in_bulk(batch)
        if len(found) < len(batch):
            raise _ChangedDuringBuild
        rows = [found[pk] for pk in batch]
        yield from _readable(subdir, rows, newest) if is_checked else (_entry(row, newest) for row in rows)


def _entry(row: Artifact, newest: Collection[int] = ()) -> ArtifactEntry:
    return ArtifactEntry(repodata.entries(row, is_newest=row.pk in newest), shards.shard_entry(row))


def _readable(subdir: str, rows: Sequence[Artifact], newest: Collection[int]) -> list[ArtifactEntry]:
    """Quarantine records that clients can't read, and notify the administrators."""
    try:
        made = [_entry(row, newest) for row in rows]
        _parse(subdir, made)
    except MACHINE_ERRORS:
        raise
    except Exception as error:
        logger.exception("%s: a record can't be read by clients; looking for it", subdir)
        if not [row for row in rows if _is_unreadable(subdir, row)]:
            raise
        raise _ChangedDuringBuild from error
    return made


def _is_unreadable(subdir: str, row: Artifact) -> bool:
    try:
        _parse(subdir, [_entry(row)])
    except MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001  a client's parser may raise any exception
        _quarantine(row, f"{type(error).__name__}: {error}")
        return True
    return False


@transaction.atomic
def _quarantine(artifact: Artifact, reason: str) -> None:
    artifact.quarantine_reason = reason[:1000]
    artifact.save(update_fields=["quarantine_reason"])
    log.record(
        Action.ARTIFACT_SET_ASIDE, channel=artifact.channel, target=f"{artifact}", detail={"reason": reason[:1000]}
    )
    text = visible(reason)
    transaction.on_commit(lambda: mail_admins(f"{artifact} was left out of its index", text, fail_silently=True))


def _parse(subdir: str, entries: Sequence[ArtifactEntry]) -> None:
    """Parse the records as clients do.

    Raise the parser's exception on failure, and one of MACHINE_ERRORS if the file for it can't be written.
    """
    with tempfile.NamedTemporaryFile(
        dir=settings.UPLOAD_DIR, prefix=temporary.prefix("canary"), suffix=".json"
    ) as file:
        for part in repodata.repodata_layout(subdir, CANARY):
            if isinstance(part, Section):
                part = ",".join(entry.texts[part.name] for entry in entries if part.name in entry.texts)
            file.write(part.encode())
        file.flush()
        RepoData.from_path(file.name)


def _put_shards(index: SubdirIndex, spool: Spool) -> None:
    folder = f"{index.channel.name}/{index.subdir}"
    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        put = pool.map(
            lambda shard: store().put(f"{folder}/{shards.shard_file(shard.sha256)}", shard.content),
            spool.shards.values(),
        )
        list(put)


@transaction.atomic
def _save(index: SubdirIndex, names: Sequence[str], spool: Spool) -> None:
    """Replace the fragments of these names, and retire the shards that no name has any more."""
    rows = list(index.names.filter(name__in=names))
    before = {row.shard_sha256 for row in rows if row.shard_sha256}
    after = {shard.sha256 for shard in spool.shards.values()}
    index.fragments.filter(name__in=names).delete()
    for batch in spool.batches():
        Fragment.objects.bulk_create(
            Fragment(index=index, section=part.section, name=part.name, part=part.number, body=body)
            for part, body in batch
        )
    for row in rows:
        row.shard_sha256 = spool.shards[row.name].sha256 if row.name in spool.shards else ""
    IndexedName.objects.bulk_update(rows, ["shard_sha256"], batch_size=NAMES_AT_ONCE)
    index.retired_shards.filter(sha256__in=after).delete()
    retired = [RetiredShard(index=index, sha256=sha256) for sha256 in before - after]
    RetiredShard.objects.bulk_create(retired, ignore_conflicts=True)
