"""Waiting until files are in the index: in the shards and the JSON files of their subdir."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import close_old_connections
from django.db.models import F

from channels_app.access.revision import IS_CURRENT
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Channel, Removal
from hub.database import moment, prepared
from hub.errors import bad_request, conflict, not_found
from publishing.models import IndexedName

# Id of an indexed name → the revision of the index that has to be built.
Pending = Mapping[int, int]

# SQL, because hundreds of clients ask at the same moment. The time as text, as SQLite's driver is slow to parse it.
FILES = """SELECT a.subdir, a.file_name, a.sha256, i.label, a.removal, a.quarantine_reason,
n.id, n.changed, n.made, i.built_revision, i.builds, CAST(i.built_at AS TEXT)
FROM channels_app_artifact a JOIN channels_app_package p ON p.id = a.package_id {labels}
JOIN publishing_subdirindex i ON i.channel_id = a.channel_id AND {is_index}
JOIN publishing_indexedname n ON n.index_id = i.id AND n.name = p.name
WHERE a.channel_id = %s AND {condition}"""
LABELS = "JOIN channels_app_label_artifacts x ON x.artifact_id = a.id JOIN channels_app_label l ON l.id = x.label_id"
# The two kinds of indexes of a file. With OR, the database would read all indexes of the channel for each file.
IN_MAIN = {"labels": "", "is_index": "i.subdir = a.subdir AND a.is_main"}
IN_LABELS = {"labels": LABELS, "is_index": "i.subdir = 'label/' || l.name || '/' || a.subdir"}


class AwaitedFile(NamedTuple):
    """A file, the revisions of its package name in the index of one of its labels, and the index's last build."""

    subdir: str
    file_name: str
    sha256: str
    index_label: str
    removal: str
    quarantine_reason: str
    name_id: int
    changed: int
    made: int
    built_revision: int
    build_number: int
    built_at_text: str | None

    @property
    def label(self) -> str:
        return self.index_label or MAIN_LABEL

    @property
    def built_at(self) -> datetime | None:
        return moment(self.built_at_text)


class Place(NamedTuple):
    """The files of a request: their checksums, or the path of one."""

    sha256: Sequence[str] = ()
    subdir: str = ""
    file_name: str = ""


def files(channel: Channel, place: Place, access_revision: int | None = None) -> list[AwaitedFile]:
    """Return the files of `place` in each of their indexes, by one query.

    It also finds none if `access_revision` is no longer current.
    """
    values: list[str | int] = [place.subdir, place.file_name]
    condition = "a.subdir = %s AND a.file_name = %s"
    if place.sha256:
        condition, values = f"a.sha256 IN ({', '.join(['%s'] * len(place.sha256))})", [*place.sha256]
    elif not all(values):
        raise bad_request("file_missing", "Expected sha256=…, or subdir=… and file_name=….")
    if access_revision is not None:
        condition, values = f"{condition} AND {IS_CURRENT}", [*values, access_revision]
    sql = " UNION ALL ".join(FILES.format(**kind, condition=condition) for kind in (IN_MAIN, IN_LABELS))
    with prepared() as cursor:
        cursor.execute(sql, [channel.pk, *values] * 2)
        return [AwaitedFile(*row) for row in cursor.fetchall()]


def check(channel: Channel, place: Place, found: Iterable[AwaitedFile]) -> None:
    """Raise HubError 404 if a file of `place` does not exist, and 409 if one was taken out of the index."""
    existing = [file for file in found if file.removal != Removal.DELETED]
    known = {file.sha256 for file in existing} | {f"{file.subdir}/{file.file_name}" for file in existing}
    missing = set(place.sha256 or [f"{place.subdir}/{place.file_name}"]) - known
    if missing:
        raise not_found("no_such_file", f"'{channel}' has no file '{min(missing)}'.")
    for file in existing:
        if file.removal or file.quarantine_reason:
            path = f"{channel}/{file.subdir}/{file.file_name}"
            raise conflict("not_listed", f"{path} was taken out of the index, so no build will add it.")


def pending(found: Iterable[AwaitedFile], before: Pending) -> Pending:
    """Return the names whose build the files wait for.

    `before`: the names for which the same request has waited. Later changes of them don't count.
    """
    wanted = {file: before.get(file.name_id, file.changed) for file in found}
    return {
        file.name_id: revision
        for file, revision in wanted.items()
        if not _is_made(file.changed, file.made, file.built_revision, revision)
    }


def are_ready(waiting: Sequence[Pending]) -> list[bool]:
    """Tell for each of `waiting` whether all of its names are built, or gone; by one query for all.

    It is for a thread without requests.
    """
    wanted = {pk for each in waiting for pk in each}
    try:
        names = IndexedName.objects.filter(pk__in=wanted, changed__gt=F("made"))
        rows = names.values_list("pk", "changed", "made", "index__built_revision")
        stale = {pk: (changed, made, built) for pk, changed, made, built in rows}
    finally:
        close_old_connections()
    return [all(pk not in stale or _is_made(*stale[pk], revision) for pk, revision in each.items()) for each in waiting]


def _is_made(changed: int, made: int, built_revision: int, revision: int) -> bool:
    """Tell whether the index files have the name's change at `revision`."""
    return changed <= made or revision <= max(made, built_revision)
