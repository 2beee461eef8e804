"""Comparison of a part of the listing with the database."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.utils import timezone

from channels_app.models import Artifact, Channel
from channels_app.quotas import quotas
from hub.errors import HubError
from hub.storage import Entry
from publishing.archive.reader import BadPackage, parse_file_name
from publishing.models import Reservation, WatchedFile
from publishing.uploads.upload import over_limit, refused
from publishing.watches.listing import Part

# A file in a folder is read when nothing has changed for this time. An object in a bucket appears whole.
SETTLED_AFTER = timedelta(seconds=10)
# An upload writes its bytes within this time of its row, and listings overlap by some of it.
UPLOAD_MAX, OVERLAP = timedelta(minutes=20), timedelta(minutes=2)
# Codes of refusals that end with the row that is their reason.
OF_ROWS = ("exists", "name_deleted")
# Codes of refusals that end when a quota has room for the file.
OF_QUOTAS = ("quota_bytes", "channel_quota")
NAME_DELETED = "A file of this name was deleted. An owner must release the name before other bytes can have it."
REPLACED = (
    "Other bytes were put in the place of a file of the channel, which answers for its SHA-256. Put the file back, or "
    "publish the new one with a higher build number."
)
INTERRUPTED = "An upload through the hub put it there and did not end. Upload it again through the hub."


class Row(NamedTuple):
    """The columns of an artifact that a comparison reads."""

    file_name: str
    size_bytes: int
    md5: str
    indexed_timestamp: int
    is_purged: bool


class Refusal(NamedTuple):
    """A file that the watch does not take in, with the reason."""

    entry: Entry
    code: str
    reason: str


@dataclass(slots=True)
class Comparison:
    """The result for a part: files to take in, refusals, and names that need no refusal any more.

    `suspects`: files of the channel that were written again with the same size; their bytes are to be compared.
    `waits`: files that are being written or uploaded at this moment, so the part must be compared again.
    """

    new: list[Entry] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    suspects: list[Entry] = field(default_factory=list)
    waits: bool = False


@dataclass(slots=True)
class Room:
    """Tells whether the quotas have room for a file. It asks only for files smaller than a refused one."""

    channel: Channel
    refused_bytes: int = sys.maxsize

    def has(self, size_bytes: int) -> bool:
        if size_bytes >= self.refused_bytes:
            return False
        try:
            quotas.check_room(self.channel, size_bytes)
        except HubError:
            self.refused_bytes = size_bytes
            return False
        return True


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares parts of one channel. `remembered`: path → earlier refusal; `since`: when all files were last listed."""

    channel: Channel
    remembered: Mapping[str, WatchedFile]
    since: datetime | None
    is_folder: bool
    room: Room

    def compare(self, part: Part) -> Comparison:
        """Compare the packages of a part with the rows, by two queries.

        Reservations are read before rows: an upload that ends between the queries has left its row.
        """
        found = Comparison()
        packages = part.packages()
        names = [name.lower() for name in packages]
        reserved = _reserved(self.channel, part.subdir, names)
        rows = {row.file_name.lower(): row for row in _rows(self.channel, part.subdir, names)}
        for name, entry in packages.items():
            earlier = self.remembered.get(f"{part.subdir}/{name}")
            is_same = earlier and (earlier.size_bytes, earlier.version) == (entry.size_bytes, entry.version)
            code = earlier.code if earlier and is_same else ""
            if row := rows.get(name.lower()):
                self._judge_known(found, entry, row, code)
            elif name.lower() in reserved:
                _judge_reserved(found, entry, is_expired=reserved[name.lower()])
            elif not code or code in OF_ROWS or (code in OF_QUOTAS and self.room.has(entry.size_bytes)):
                self._judge_unknown(found, entry)
        return found

    def _judge_known(self, found: Comparison, entry: Entry, row: Row, code: str) -> None:
        """Judge a file whose name has a row. The database is the truth; other bytes are told.

        `code`: that of an earlier refusal of the same bytes. A bucket's ETag often is their MD5.
        """
        if row.file_name != entry.name:
            found.refused.append(Refusal(entry, "exists", f"The channel has {row.file_name}, with the same letters."))
        elif row.is_purged:
            found.refused.append(Refusal(entry, "name_deleted", NAME_DELETED))
        elif row.size_bytes != entry.size_bytes:
            found.refused.append(Refusal(entry, "exists", REPLACED))
        elif entry.version.partition(" ")[0] == row.md5:
            found.settled.append(entry.name)
        elif code == "exists":
            found.refused.append(Refusal(entry, code, REPLACED))
        elif self._is_suspect(entry, row):
            found.suspects.append(entry)
        else:
            found.settled.append(entry.name)

    def _is_suspect(self, entry: Entry, row: Row) -> bool:
        """Tell whether a file was written again since the last listing, and not by an upload at that time."""
        indexed_at = datetime.fromtimestamp(row.indexed_timestamp / 1000, UTC)
        return self.since is not None and entry.modified_at > max(self.since - OVERLAP, indexed_at + UPLOAD_MAX)

    def _judge_unknown(self, found: Comparison, entry: Entry) -> None:
        limit_bytes = self.channel.upload_limit_bytes
        if self.is_folder and entry.changed_at > timezone.now() - SETTLED_AFTER:
            found.waits = True
        elif entry.size_bytes > limit_bytes:
            found.refused.append(Refusal(entry, "too_large", f"It {over_limit(entry.size_bytes, limit_bytes)}"))
        elif fault := _fault_of_name(entry.name):
            found.refused.append(Refusal(entry, "bad_package", fault))
        else:
            found.new.append(entry)


def _judge_reserved(found: Comparison, entry: Entry, *, is_expired: bool) -> None:
    if is_expired:
        found.refused.append(Refusal(entry, "upload_interrupted", INTERRUPTED))
    else:
        found.waits = True


def _rows(channel: Channel, subdir: str, names: Sequence[str]) -> Iterator[Row]:
    rows = Artifact.objects.filter(channel=channel, subdir=subdir, file_name__lower__in=names)
    return (Row(*values) for values in rows.values_list(*Row._fields))


def _reserved(channel: Channel, subdir: str, names: Collection[str]) -> dict[str, bool]:
    """Return the reserved names, and whether the reservation of an upload has expired."""
    rows = Reservation.objects.filter(channel=channel, subdir=subdir, file_name__lower__in=names)
    now = timezone.now()
    return {
        name.lower(): bool(sha256) and expires_at <= now
        for name, sha256, expires_at in rows.values_list("file_name", "sha256", "expires_at")
    }


def _fault_of_name(name: str) -> str:
    try:
        parse_file_name(name)
    except BadPackage as error:
        return refused(name, error)
    return ""
