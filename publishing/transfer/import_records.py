"""The rows of packages that are taken in: many in one short transaction, with one wish for an index.

A name is claimed before its bytes are read, by a reservation that names no bytes: an upload takes it over at once. So
where the claim still stands when the rows are written, no upload has put other bytes there meanwhile. Whoever dies
leaves claims that stand in nobody's way; another import joins them.
"""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.audit import log
from channels_app.models import Artifact, Channel, Package, Removal
from channels_app.packages import about, packages
from channels_app.quotas import quotas
from hub.errors import HubError, conflict, not_found
from hub.http.request_body import ReceivedFile
from publishing.archive.reader import BadPackage, parse_file_name
from publishing.attestations import sidecars
from publishing.attestations.errors import VerifiedAttestation
from publishing.index import builds
from publishing.models import Reservation
from publishing.uploads import existing_artifacts, upload
from publishing.uploads.values import Upload

YANKED = "It was not in the index that it was taken in with."
# What a value does that no database column takes; the checks should have refused it.
UNSTORABLE = (DataError, IntegrityError, ValueError, OverflowError)


@dataclass(slots=True)
class OldIndex:
    """The content of a subdir's old repodata.json: file name → record, and the names that were removed."""

    records: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """The result for one file: taken in, or why not. `note` says what was lost on the way."""

    key: str
    refusal: str = ""
    note: str = ""
    facts_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """A package that passed every check, with its attestations; `facts_bytes` is about what its row takes."""

    key: str
    upload: Upload
    verified: Sequence[VerifiedAttestation] = ()
    note: str = ""
    facts_bytes: int = 0

    @property
    def file_name(self) -> str:
        return self.upload.info.file_name


@contextmanager
def recording(channel: Channel, subdir: str, old: OldIndex, gate: Lock) -> Iterator["Records"]:
    """The rows of one subdir; what was claimed and not recorded is given free at the end."""
    records = Records(channel, subdir, old, gate)
    try:
        yield records
    finally:
        Reservation.objects.filter(token=records.token).delete()


class Records:
    """Claims names, and writes rows, of one subdir. It holds `gate` while it writes."""

    def __init__(self, channel: Channel, subdir: str, old: OldIndex, gate: Lock) -> None:
        self.channel = channel
        self.subdir = subdir
        self.old = old
        self.gate = gate
        self.token = secrets.token_hex(16)
        # Lower-case file name → the token that its reservation had before its bytes were read.
        self._tokens: dict[str, str] = {}

    def claim(self, keys: Sequence[str]) -> list[str]:
        """Claim the names of those of `keys` that the database does not know; returns these.

        A name that an upload has reserved stays the upload's, which may turn out to be of the same bytes.
        """
        self._check_channel()
        names = [key.rpartition("/")[2] for key in keys]
        known = set(self._artifacts(names).values_list("file_name", flat=True))
        unknown = [name for name in names if name not in known]
        with self._turn():
            self._reserve([name for name in unknown if _can_be_a_package(name)])
        self._tokens |= {name: token for name, token, _ in self._reserved(unknown)}
        return [f"{self.channel}/{self.subdir}/{name}" for name in unknown]

    def add(self, found: Sequence[Checked | ImportOutcome]) -> list[ImportOutcome]:
        """Record what was checked, all of it or, where the database refuses something, one after another.

        What was refused before passes through. What another import has recorded meanwhile is left out.
        """
        checked = [each for each in found if isinstance(each, Checked)]
        refused = [each for each in found if isinstance(each, ImportOutcome)]
        return sorted(refused + self._add(checked), key=lambda outcome: outcome.key)

    def _add(self, checked: Sequence[Checked]) -> list[ImportOutcome]:
        try:
            with self._turn():
                refusals, new, artifacts = self._record(checked)
        except UNSTORABLE as error:
            self._check_channel()
            if len(checked) == 1:
                return [ImportOutcome(checked[0].key, f"The database does not take it: {error}")]
            return [outcome for each in checked for outcome in self._add([each])]
        for artifact, each in zip(artifacts, new, strict=True):
            if each.verified:
                sidecars.rewrite(artifact)
        return refusals + [ImportOutcome(each.key, note=each.note) for each in new]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Write, and then let others write for as long: those who wait for SQLite's one lock stand in no queue.

        No check begins meanwhile. It would hold the interpreter while this thread holds that lock.
        """
        begun = time.monotonic()
        with self.gate:
            yield
        if connection.vendor == "sqlite":
            time.sleep(time.monotonic() - begun)

    @transaction.atomic
    def _record(self, checked: Sequence[Checked]) -> tuple[list[ImportOutcome], list[Checked], list[Artifact]]:
        self._check_channel()
        refusals, new = self._sorted_out(checked)
        artifacts = self._create(new) if new else []
        quotas.forget(self.channel)
        self._reservations([each.file_name for each in new]).delete()
        return refusals, new, artifacts

    def _check_channel(self) -> None:
        if not Channel.objects.filter(pk=self.channel.pk, deleted_at=None).exists():
            raise not_found("channel_gone", f"The channel '{self.channel}' is deleted; expected one that is there.")

    def _reserve(self, names: Sequence[str]) -> None:
        """One that an import has claimed is joined, and one whose upload must have died is taken over."""
        now = timezone.now()
        mine = {"sha256": "", "token": self.token, "expires_at": now + timedelta(seconds=settings.HUB_RESERVATION_S)}
        place = {"channel": self.channel, "subdir": self.subdir}
        new = (Reservation(**place, file_name=name, **mine) for name in sorted(names, key=str.lower))
        Reservation.objects.bulk_create(new, ignore_conflicts=True)
        theirs = self._reservations(names).exclude(token=self.token)
        if theirs.exists():
            theirs.filter(sha256="").update(expires_at=mine["expires_at"])
            theirs.exclude(sha256="").filter(expires_at__lte=now).update(**mine)

    def _sorted_out(self, checked: Sequence[Checked]) -> tuple[list[ImportOutcome], list[Checked]]:
        """Split a batch into refusals and packages to record, by the rows as they are now."""
        names = [each.file_name for each in checked]
        reserved = {name: (token, sha256) for name, token, sha256 in self._reserved(names, locked=True)}
        artifacts = {artifact.file_name.lower(): artifact for artifact in self._artifacts(names)}
        refusals, new = [], []
        for each in checked:
            name = each.file_name.lower()
            try:
                if artifact := artifacts.get(name):
                    existing_artifacts.check_duplicate(each.upload, artifact, may_replace=False)
                else:
                    self._check_claim(each, *reserved.get(name, ("", "")))
                    new.append(each)
            except HubError as error:
                refusals.append(ImportOutcome(each.key, error.detail))
        return refusals, new

    def _check_claim(self, checked: Checked, token: str, sha256: str) -> None:
        file_name, mine = checked.file_name, checked.upload.received.sha256
        if token and token == self._tokens.get(file_name.lower()) and sha256 in ("", mine):
            return
        if sha256 and sha256 != mine:
            raise conflict("being_uploaded", f"Other bytes are being uploaded as {file_name} at this moment.")
        raise conflict("changed_meanwhile", "An upload came under its name meanwhile. Run the command again.")

    def _create(self, new: Sequence[Checked]) -> list[Artifact]:
        """The rows, their events, what lists say of their packages, and the wish for an index."""
        names = {each.upload.info.name for each in new}
        held = packages.packages_for_update(self.channel, names)
        artifacts = Artifact.objects.bulk_create(self._artifact(each.upload, held) for each in new)
        targets = {f"{self.subdir}/{each.file_name}": _event_detail(each.upload) for each in new}
        log.record_each("artifact.import", channel=self.channel, targets=targets)
        for artifact, each in zip(artifacts, new, strict=True):
            about.keep_whole(artifact, each.upload.info.about, is_new=True)
            if each.verified:
                sidecars.take_in(artifact, each.verified)
        packages.refresh_each(held.values())
        builds.schedule_build(self.channel, self.subdir, sorted(names))
        return artifacts

    def _artifact(self, found: Upload, held: Mapping[str, Package]) -> Artifact:
        info = found.info
        yanked = {"removal": Removal.YANKED, "removal_reason": YANKED, "removed_at": timezone.now()}
        values = found.place | upload.facts(found) | (yanked if info.file_name in self.old.removed else {})
        return Artifact(**values, package=held[info.name], indexed_timestamp=self._indexed_timestamp(found.received))

    def _indexed_timestamp(self, received: ReceivedFile) -> int:
        """The old one where it is of these very bytes; else now, as of bytes that nobody has seen yet."""
        now = time.time_ns() // 1_000_000
        record = self.old.records.get(received.file_name, {})
        before = record.get("indexed_timestamp")
        is_same = record.get("sha256") == received.sha256 and type(before) is int and 0 < before <= now
        return before if is_same else now

    def _artifacts(self, names: Iterable[str]) -> QuerySet[Artifact]:
        """Those of `names`, in whatever capitals, that are there already."""
        of_subdir = Artifact.objects.filter(channel=self.channel, subdir=self.subdir)
        return of_subdir.filter(file_name__lower__in=[name.lower() for name in names])

    def _reservations(self, names: Iterable[str]) -> QuerySet[Reservation]:
        of_subdir = Reservation.objects.filter(channel=self.channel, subdir=self.subdir)
        return of_subdir.filter(file_name__lower__in=[name.lower() for name in names])

    def _reserved(self, names: Iterable[str], *, locked: bool = False) -> list[tuple[str, str, str]]:
        """Of each of `names` that is reserved: the name in small letters, the token and the SHA-256."""
        found = self._reservations(names)
        if locked:
            found = found.select_for_update().order_by("pk")
        return [(each.file_name.lower(), each.token, each.sha256) for each in found]


def _can_be_a_package(file_name: str) -> bool:
    """Tell whether there can be a row for it; the checks refuse all else."""
    try:
        parse_file_name(file_name)
    except BadPackage:
        return False
    return True


def _event_detail(found: Upload) -> dict[str, Any]:
    return {"sha256": found.received.sha256, "size_bytes": found.received.size_bytes}
