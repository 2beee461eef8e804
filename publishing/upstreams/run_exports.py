"""run_exports.json of an upstream (CEP 12), for records that state none. The records of shards state them (CEP 21).

The row of a name keeps them beside its records, so that the channel's shards and its own run_exports.json have them.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

import msgpack
from django.db import transaction

from hub.plain_text import one_line
from hub.sizes import MIB, human_size
from publishing.archive import identity
from publishing.archive.errors import BadPackage
from publishing.index import marks, repodata, upstream_records
from publishing.json_stream import BadJson, JsonStream
from publishing.models import SubdirIndex, UpstreamName, UpstreamSubdir
from publishing.upstreams import errors, json_index, records, source
from publishing.upstreams.errors import NotThere, UpstreamError
from publishing.upstreams.transport import Answer, Transport

FORMS = (repodata.RUN_EXPORTS_ZST, repodata.RUN_EXPORTS)
# Limits of one value of the document, and of the run exports of a name, which are in memory.
VALUE_MAX_CHARACTERS, NAME_MAX_BYTES = 16 * MIB, 8 * MIB
NAMES_AT_ONCE = 200

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """A changed document: rows of (name, file name, run exports in msgpack), and its ETag."""

    rows: sqlite3.Connection
    etag: str

    def of(self, name: str) -> bytes | None:
        """Return the value of the column `run_exports` of this name."""
        selected = self.rows.execute("SELECT file_name, value FROM entry WHERE name = ? ORDER BY file_name", [name])
        stated, size_bytes = {}, 0
        for file_name, value in selected:
            size_bytes += len(value)
            if size_bytes > NAME_MAX_BYTES:
                raise errors.too_large(f"run exports of {name}", human_size(NAME_MAX_BYTES))
            stated[file_name] = msgpack.unpackb(value)
        return upstream_records.pack_run_exports(stated) if stated else None


def poll(transport: Transport, url: str, state: UpstreamSubdir, *, is_index_new: bool) -> bool:
    """Store the run exports of the subdir at `url`, and mark the names stale of which they changed.

    Return whether there are some. While the upstream fails, the last ones stay.
    """
    if state.form == repodata.SHARD_INDEX:
        return False
    # They may have been ahead of the index, which has only now some of the names.
    etag = "" if is_index_new else state.run_exports_etag
    index = SubdirIndex.objects.select_related("channel").get(channel=state.upstream.channel_id, subdir=state.subdir)
    try:
        with _changed(transport, url, etag) as found:
            if found is None:
                return False
            changed = _store(index, found)
    except UpstreamError as error:
        logger.warning("%s: %s", index, one_line(error.detail))
        return False
    UpstreamSubdir.objects.filter(pk=state.pk).update(run_exports_etag=found.etag)
    return changed


@contextmanager
def _changed(transport: Transport, url: str, etag: str) -> Iterator[Found | None]:
    """Yield the document, or None if it is as the ETag says or if the upstream has none."""
    headers = {"If-None-Match": etag} if etag else {}
    for form in FORMS:
        try:
            with transport.get(f"{url}/{form}", timeout_s=source.INDEX_TIMEOUT_S, headers=headers) as answer:
                if answer.status == 304:
                    yield None
                    return
                with _opened(form, answer) as found:
                    yield found
                    return
        except NotThere:
            continue
    yield None


@contextmanager
def _opened(form: str, answer: Answer) -> Iterator[Found]:
    with closing(sqlite3.connect("")) as rows:  # a temporary file, deleted when the connection closes
        rows.execute("CREATE TABLE entry (name TEXT, file_name TEXT, value BLOB)")
        try:
            rows.executemany("INSERT INTO entry VALUES (?, ?, ?)", _entries(source.texts(form, answer)))
        except BadJson as error:
            raise errors.unreadable(answer.url, str(error)) from error
        rows.execute("CREATE INDEX by_name ON entry (name, file_name)")
        yield Found(rows, answer.header("ETag")[:300])


def _entries(texts: Iterator[str]) -> Iterator[tuple[str, str, bytes]]:
    stream = JsonStream(texts, value_max_characters=VALUE_MAX_CHARACTERS)
    for section in stream.members():
        if section not in json_index.SECTIONS:
            stream.value()
            continue
        for file_name, entry, _ in json_index.section_entries(stream, section):
            stated = records.run_exports(entry.get("run_exports")) if isinstance(entry, dict) else None
            try:
                name = identity.parse_file_name(file_name).name
            except BadPackage:
                continue
            if stated is not None:
                yield name, file_name, msgpack.packb(stated)


def _store(index: SubdirIndex, found: Found) -> bool:
    changed = False
    names = list(index.upstream_names.values_list("name", flat=True).order_by("name"))
    for start in range(0, len(names), NAMES_AT_ONCE):
        changed |= _store_batch(index, found, names[start : start + NAMES_AT_ONCE])
    return changed


@transaction.atomic
def _store_batch(index: SubdirIndex, found: Found, names: Sequence[str]) -> bool:
    rows = index.upstream_names.select_for_update(of=("self",)).filter(name__in=names).order_by("pk")
    stale = []
    for row in rows.only("name", "run_exports"):
        stated = found.of(row.name)
        if stated != (bytes(row.run_exports) if row.run_exports else None):
            UpstreamName.objects.filter(pk=row.pk).update(run_exports=stated)
            stale.append(row.name)
    if stale:
        marks.mark_stale(index.channel, index.subdir, stale)
    return bool(stale)
