"""Per-package parts of an index: the fragments of a package name (in the database) and its shard (in the store)."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice

from django.core.mail import mail_admins
from django.db import transaction
from django.db.models import QuerySet

from channels_app.access.actions import Action
from channels_app.audit import log
from channels_app.models import Artifact, ChannelKind
from hub.plain_text import visible
from hub.storage import store
from publishing.index import active_patches, marks, patched_packages, patching, repodata, shards, upstream_records
from publishing.index.canary import MACHINE_ERRORS, ArtifactEntry, parse_as_clients
from publishing.index.patching import Changes
from publishing.index.spool import Spool
from publishing.models import Fragment, IndexedName, RetiredShard, SubdirIndex

NAMES_AT_ONCE = 200
# A document has at most 128 KiB, or 1 MiB in older rows.
DOCUMENTS_AT_ONCE = 50
PUTS_AT_ONCE = 8
# The order of sections in a shard.
SECTIONS = ("packages", "packages.conda", "v3.conda", "v3.tar.bz2")
PLACE = ("file_name", "version", "revision", "removal", "subdir", "build")
# Large columns that no record contains.
UNUSED = ("about_json", "features", "files", "licences", "provenance", "recipe", "warnings")
# The prefix of reasons that end with the patches of the channel.
BY_PATCHES = "With the channel's patches: "

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
    subdir: str
    build: str
    timestamp: int = 0
    changes: Sequence[Changes] = ()
    is_name_patched: bool = False

    @property
    def is_listed(self) -> bool:
        """Tell whether the index has its record."""
        return not self.removal and not patching.is_removed(self.changes)

    def order(self) -> tuple[int, str]:
        section, key = repodata.section_of(self)
        return SECTIONS.index(section), key


class _ChangedDuringBuild(Exception):  # noqa: N818  (its name is a sentence)
    """An artifact left the index while the fragments of its name were built."""


class _Quarantined(_ChangedDuringBuild):
    """An artifact was quarantined, so it must leave its other indexes, too."""


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
        patched_packages.refresh(index, names, spool.names_in(repodata.unpatched("removed")))
        _save(index, names, spool)


@contextmanager
def spooled(index: SubdirIndex, names: Sequence[str], *, is_checked: bool = True) -> Iterator[Spool]:
    """Build the fragments and shards of `names` from their artifacts, or from the records of an upstream.

    `is_checked`: quarantine records that clients can't read, and leave them out. Records of an upstream were checked.
    """
    if index.channel.kind == ChannelKind.UPSTREAM:
        with Spool() as spool:
            upstream_records.make(index, names, spool)
            yield spool
        return
    while True:
        with Spool() as spool:
            try:
                _make(index, names, spool, is_checked=is_checked)
            except _Quarantined:
                marks.mark_others(index, names)
                continue
            except _ChangedDuringBuild:
                continue
            yield spool
            return


def _make(index: SubdirIndex, names: Sequence[str], spool: Spool, *, is_checked: bool) -> None:
    """Fill the spool from batches of documents. Also those that patches remove have unpatched records."""
    places = _places(index, names)
    stated = {
        name: sorted((each for each in places[name] if not each.removal), key=IndexColumns.order) for name in names
    }
    listed = {name: [place for place in found if place.is_listed] for name, found in stated.items()}
    newest = {place.pk for found in listed.values() for place in repodata.newest_version(found)}
    entries = _entries(index.platform, list(chain(*stated.values())), newest, is_checked=is_checked)
    for name in names:
        removed = _add_removed(spool, places[name])
        entries_of_name = _spooled(spool, islice(entries, len(stated[name])))
        if listed[name]:
            counts = Counter(repodata.section_of(place)[0] for place in listed[name])
            spool.add_shard(name, shards.shard_chunks(counts, entries_of_name, removed))
        deque(entries_of_name, maxlen=0)  # those after the last one of the shard
        spool.end(name)


def _add_removed(spool: Spool, places: Sequence[IndexColumns]) -> list[str]:
    """Add the sections `removed` of one name. Return the file names that left the index."""
    removed = sorted(place.file_name for place in places if not place.is_listed)
    if removed:
        spool.add("removed", repodata.removed_entry(removed))
    if any(place.is_name_patched for place in places):
        by_people = sorted(place.file_name for place in places if place.removal)
        spool.add(repodata.unpatched("removed"), repodata.removed_entry(by_people))
    return removed


def _spooled(spool: Spool, entries: Iterator[ArtifactEntry]) -> Iterator[bytes]:
    """Yield the entries of a shard. Add those of the fragments to the spool."""
    for entry in entries:
        for section, text in entry.texts.items():
            spool.add(section, text)
        if entry.packed:
            yield entry.packed


def artifacts_of(index: SubdirIndex) -> QuerySet[Artifact]:
    """Select the artifacts of the subdir that have the label of the index. Removed ones count."""
    found = Artifact.objects.filter(channel=index.channel, subdir=index.platform)
    return found.filter(labels__name=index.label) if index.label else found.filter(is_main=True)


def _places(index: SubdirIndex, names: Sequence[str]) -> dict[str, list[IndexColumns]]:
    """Return the columns of the artifacts of each name, with the changes of the channel's active patches."""
    places: dict[str, list[IndexColumns]] = {name: [] for name in names}
    found = artifacts_of(index).filter(package__name__in=names, quarantine_reason="")
    patches = active_patches.of(index.channel, names)
    times = active_patches.timestamps(found, patches)
    for values in found.values_list("pk", "package__name", *PLACE):
        place = IndexColumns(*values)
        place.timestamp = times.get(place.pk, 0)
        place.changes = () if place.removal else patching.changes_of(patches, place)
        places[place.name].append(place)
    _drop_idle_changes([place for place in chain(*places.values()) if place.changes])
    for of_name in places.values():
        is_patched = any(place.changes for place in of_name)
        for place in of_name:
            place.is_name_patched = is_patched
    return places


def _drop_idle_changes(places: Sequence[IndexColumns]) -> None:
    """Drop changes without an effect, so that exactly the names that a preview shows have unpatched fragments."""
    for start in range(0, len(places), DOCUMENTS_AT_ONCE):
        batch = places[start : start + DOCUMENTS_AT_ONCE]
        rows = Artifact.objects.only("index_json", "run_exports").in_bulk([place.pk for place in batch])
        for place in batch:
            if place.pk in rows and not patching.has_effect(rows[place.pk], place.changes):
                place.changes = ()


def _entries(
    subdir: str, places: Sequence[IndexColumns], newest: Collection[int], *, is_checked: bool
) -> Iterator[ArtifactEntry]:
    """Yield the entries of these artifacts in this order. With `is_checked`, py-rattler can read all of them."""
    for start in range(0, len(places), DOCUMENTS_AT_ONCE):
        batch = places[start : start + DOCUMENTS_AT_ONCE]
        found = Artifact.objects.filter(quarantine_reason="").select_related("package").defer(*UNUSED)
        documents = found.in_bulk([place.pk for place in batch])
        if len(documents) < len(batch):
            raise _ChangedDuringBuild
        rows = [(documents[place.pk], place) for place in batch]
        yield from _readable(subdir, rows, newest) if is_checked else (_entry(*row, newest) for row in rows)


def _entry(row: Artifact, place: IndexColumns, newest: Collection[int] = ()) -> ArtifactEntry:
    patched = patching.patched(row, place.changes)
    texts = repodata.unpatched_entries(row) if place.is_name_patched else {}
    if not place.is_listed:
        return ArtifactEntry(texts | repodata.run_exports_entry(patched), b"")
    texts |= repodata.entries(patched, is_newest=row.pk in newest)
    return ArtifactEntry(texts, shards.shard_entry(patched))


def _readable(
    subdir: str, rows: Sequence[tuple[Artifact, IndexColumns]], newest: Collection[int]
) -> list[ArtifactEntry]:
    """Quarantine records that clients can't read, and notify the administrators."""
    try:
        made = [_entry(*row, newest) for row in rows]
        parse_as_clients(subdir, made)
    except MACHINE_ERRORS:
        raise
    except Exception as error:
        logger.exception("%s: a record can't be read by clients; looking for it", subdir)
        if not [row for row in rows if _is_unreadable(subdir, *row)]:
            raise
        raise _Quarantined from error
    return made


def _is_unreadable(subdir: str, row: Artifact, place: IndexColumns) -> bool:
    if reason := _fault(subdir, row, place):
        unpatched = replace(place, changes=(), is_name_patched=False)
        is_patch_to_blame = bool(place.changes) and not _fault(subdir, row, unpatched)
        _quarantine(row, f"{BY_PATCHES}{reason}" if is_patch_to_blame else reason)
    return bool(reason)


def _fault(subdir: str, row: Artifact, place: IndexColumns) -> str:
    """Return the reason why clients can't read the record, or an empty string."""
    try:
        parse_as_clients(subdir, [_entry(row, place)])
    except MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001  a client's parser may raise any exception
        return f"{type(error).__name__}: {error}"
    return ""


@transaction.atomic
def _quarantine(artifact: Artifact, reason: str) -> None:
    artifact.quarantine_reason = reason[:1000]
    artifact.save(update_fields=["quarantine_reason"])
    log.record(
        Action.ARTIFACT_SET_ASIDE, channel=artifact.channel, target=f"{artifact}", detail={"reason": reason[:1000]}
    )
    text = visible(reason)
    transaction.on_commit(lambda: mail_admins(f"{artifact} was left out of its index", text, fail_silently=True))


def _put_shards(index: SubdirIndex, spool: Spool) -> None:
    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        put = pool.map(
            lambda shard: store().put(f"{index.folder}/{shards.shard_file(shard.sha256)}", shard.content),
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
