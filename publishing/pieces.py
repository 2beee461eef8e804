"""The ready pieces of an index: for each package name its fragments (in the database) and its shard (in the store)."""

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

from channels_app import audit
from channels_app.models import Artifact
from hub import temporary
from hub.plain_text import visible
from hub.storage import store
from publishing import repodata
from publishing.models import Fragment, IndexedName, RetiredShard, SubdirIndex
from publishing.repodata import Revision, Section
from publishing.spool import Spool

NAMES_AT_ONCE = 200
# A document may have 128 KiB, in older rows 1 MiB.
DOCUMENTS_AT_ONCE = 50
PUTS_AT_ONCE = 8
# In the order of a shard.
SECTIONS = ("packages", "packages.conda", "v3.conda", "v3.tar.bz2")
PLACE = ("file_name", "version", "revision", "removal")
# Wide, and in no record.
UNUSED = ("about_json", "features", "files", "licences", "provenance", "warnings")
CANARY = Revision(0, 0, 0)
# What the machine lacks says nothing of a record: a parser of clients raises none of these.
MACHINE_ERRORS = (OSError, DatabaseError, MemoryError)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """An artifact, as far as its place in an index goes."""

    pk: int
    name: str
    file_name: str
    version: str
    revision: int
    removal: str

    def order(self) -> tuple[int, str]:
        section, key = repodata.section_of(self)
        return SECTIONS.index(section), key


class Entry(NamedTuple):
    """What one artifact contributes: section → ready JSON, and its entry in the shard."""

    texts: dict[str, str]
    packed: bytes


class _ChangedMeanwhile(Exception):  # noqa: N818  (its name is a sentence)
    """An artifact has left the index while its name was made."""


def remake(index: SubdirIndex, names: list[str], deadline: float | None = None) -> list[str]:
    """Make the pieces of `names` anew: shards to the store first, then, in one transaction a batch, the rest.

    Returns the names that were made: all, or the first of them, where time.monotonic() passes `deadline`.
    """
    return in_batches(names, NAMES_AT_ONCE, partial(_remake, index), deadline)


def in_batches(names: list[str], size: int, make: Callable[[list[str]], object], deadline: float | None) -> list[str]:
    """`make` batches of `names` until the deadline; at least one. Returns the names in them."""
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
    """The pieces of `names` as their artifacts have them now.

    `is_checked`: records that clients can't read are set aside, and left out.
    """
    while True:
        with Spool() as spool:
            try:
                _make(index, names, spool, is_checked=is_checked)
            except _ChangedMeanwhile:
                continue
            yield spool
            return


def _make(index: SubdirIndex, names: Sequence[str], spool: Spool, *, is_checked: bool) -> None:
    """Fill the spool, from a batch of documents at a time."""
    places = _places(index, names)
    listed = {name: sorted((each for each in places[name] if not each.removal), key=Place.order) for name in names}
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
            spool.add_shard(name, repodata.shard_chunks(counts, packed, removed))
        spool.end(name)


def _spooled(spool: Spool, entries: Iterator[Entry]) -> Iterator[bytes]:
    """The entries of a shard; those of the fragments are added on the way."""
    for entry in entries:
        for section, text in entry.texts.items():
            spool.add(section, text)
        yield entry.packed


def _places(index: SubdirIndex, names: Sequence[str]) -> dict[str, list[Place]]:
    places: dict[str, list[Place]] = {name: [] for name in names}
    found = Artifact.objects.filter(channel=index.channel, subdir=index.subdir, package__name__in=names)
    for values in found.filter(set_aside_reason="").values_list("pk", "package__name", *PLACE):
        place = Place(*values)
        places[place.name].append(place)
    return places


def _entries(subdir: str, pks: Sequence[int], newest: Collection[int], *, is_checked: bool) -> Iterator[Entry]:
    """What these artifacts contribute, in this order, all of it readable by py-rattler."""
    for start in range(0, len(pks), DOCUMENTS_AT_ONCE):
        batch = pks[start : start + DOCUMENTS_AT_ONCE]
        found = Artifact.objects.filter(set_aside_reason="").select_related("package").defer(*UNUSED).in_bulk(batch)
        if len(found) < len(batch):
            raise _ChangedMeanwhile
        rows = [found[pk] for pk in batch]
        yield from _readable(subdir, rows, newest) if is_checked else (_entry(row, newest) for row in rows)


def _entry(row: Artifact, newest: Collection[int] = ()) -> Entry:
    return Entry(repodata.entries(row, is_newest=row.pk in newest), repodata.shard_entry(row))


def _readable(subdir: str, rows: Sequence[Artifact], newest: Collection[int]) -> list[Entry]:
    """Set aside those records that clients can't read, and tell the administrators."""
    try:
        made = [_entry(row, newest) for row in rows]
        _parse(subdir, made)
    except MACHINE_ERRORS:
        raise
    except Exception as error:
        logger.exception("%s: a record can't be read by clients; looking for it", subdir)
        if not [row for row in rows if _is_poison(subdir, row)]:
            raise
        raise _ChangedMeanwhile from error
    return made


def _is_poison(subdir: str, row: Artifact) -> bool:
    try:
        _parse(subdir, [_entry(row)])
    except MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001  whatever a client's parser may throw
        _set_aside(row, f"{type(error).__name__}: {error}")
        return True
    return False


@transaction.atomic
def _set_aside(artifact: Artifact, reason: str) -> None:
    artifact.set_aside_reason = reason[:1000]
    artifact.save(update_fields=["set_aside_reason"])
    audit.record("artifact.set_aside", channel=artifact.channel, target=f"{artifact}", detail={"reason": reason[:1000]})
    text = visible(reason)
    transaction.on_commit(lambda: mail_admins(f"{artifact} was left out of its index", text, fail_silently=True))


def _parse(subdir: str, entries: Sequence[Entry]) -> None:
    """Parse the records once as the clients will.

    Raises whatever the parser raises, and MACHINE_ERRORS where the file for it can't be written.
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
            lambda shard: store().put(f"{folder}/{repodata.shard_file(shard.sha256)}", shard.content),
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
