"""Rows of imported packages, written in batches: each batch is one short transaction that marks the index stale once.

Packages in the store are claimed before their bytes are read, by a reservation without SHA-256, which an upload may
take over at once. So if the claim is still valid when the rows are written, no upload has put other bytes there. An
import that is killed leaves claims that block no upload; another import joins them.

Packages from elsewhere are held instead, as an upload holds its name: for these bytes, before they go to the store.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Any, Protocol

import orjson
from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.audit import log
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, Package, Removal
from channels_app.packages import about, packages
from channels_app.quotas import channel_quotas, quotas
from hub.errors import HubError, conflict, not_found
from hub.http.request_body import ReceivedFile
from publishing.archive.reader import BadPackage, parse_file_name
from publishing.attestations import sidecars
from publishing.attestations.errors import VerifiedAttestation
from publishing.imports.old_indexes import OldIndex, OldRecord
from publishing.labels import artifact_labels
from publishing.models import Reservation
from publishing.uploads import existing_artifacts, upload
from publishing.uploads.values import Upload

YANKED = "It was not in the index that it was taken in with."
BEING_UPLOADED = "Other bytes are being uploaded by this name at this moment."
# Errors for values that a database column rejects; the checks should have refused them.
UNSTORABLE = (DataError, IntegrityError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """The result for one file. `refusal`: the reason, or "" if it was imported. `note`: omitted parts.

    `code`: that of the error, if one is the reason.
    """

    key: str
    refusal: str = ""
    note: str = ""
    facts_bytes: int = 0
    code: str = ""

    @staticmethod
    def refused(key: str, error: HubError) -> "ImportOutcome":
        return ImportOutcome(key, error.detail, code=error.code)


@dataclass(frozen=True, slots=True)
class CheckedPackage:
    """A package that passed every check, with its attestations. `facts_bytes`: approximate size of its row."""

    key: str
    upload: Upload
    verified: Sequence[VerifiedAttestation] = ()
    note: str = ""
    facts_bytes: int = 0

    @staticmethod
    def of(key: str, upload: Upload, verified: Sequence[VerifiedAttestation], note: str) -> "CheckedPackage":
        info = upload.info
        facts_bytes = len(orjson.dumps([info.index, info.about, info.run_exports, info.files]))
        return CheckedPackage(key, upload, verified, note, facts_bytes)

    @property
    def file_name(self) -> str:
        return self.upload.info.file_name


class Recorder(Protocol):
    """The user or key that imports, and the other data that are written with a batch of its files."""

    @property
    def actor(self) -> Actor: ...

    @property
    def action(self) -> Action:
        """Return the action of the events."""

    def note(self, artifacts: Sequence[Artifact]) -> None: ...


@contextmanager
def recording(
    channel: Channel, subdir: str, old: OldIndex, gate: Lock, by: Recorder | None = None, *, token: str | None = None
) -> Iterator["Records"]:
    """Yield the writer of one subdir's rows. Release at the end the claims that were not recorded.

    `token`: of the reservations; by default a new one.
    """
    records = Records(channel, subdir, old, gate, by, token)
    try:
        yield records
    finally:
        Reservation.objects.filter(token=records.token).delete()


class Records:
    """Writer of one subdir's claims and rows. It holds `gate` while it writes."""

    def __init__(
        self,
        channel: Channel,
        subdir: str,
        old: OldIndex,
        gate: Lock,
        by: Recorder | None = None,
        token: str | None = None,
    ) -> None:
        self.channel = channel
        self.subdir = subdir
        self.old = old
        self.gate = gate
        self.by = by
        self.token = token or secrets.token_hex(16)
        # Lower-case file name → token of its reservation before its bytes were read.
        self._tokens: dict[str, str] = {}

    def claim(self, keys: Sequence[str]) -> list[str]:
        """Claim the names of those of `keys` that have no row. Return these keys.

        A name that an upload has reserved stays reserved by it; the upload may have the same bytes.
        """
        self._check_channel()
        names = [key.rpartition("/")[2] for key in keys]
        known = set(self._artifacts(names).values_list("file_name", flat=True))
        unknown = [name for name in names if name not in known]
        with self._write_turn():
            self._reserve([name for name in unknown if can_be_a_package(name)])
        self._tokens |= {name: token for name, token, _ in self._reserved(unknown)}
        return [f"{self.channel}/{self.subdir}/{name}" for name in unknown]

    def is_own(self, key: str) -> bool:
        """Tell whether this import alone has claimed the name: no upload and no other import did before."""
        return self._tokens.get(key.rpartition("/")[2].lower()) == self.token

    def confirm(self, checked: Sequence[CheckedPackage]) -> list[CheckedPackage]:
        """Make the claims that still stand reservations of these bytes, and charge the quotas. Return their packages.

        Raise HubError 413 if a quota is exceeded; then nothing is changed.
        """
        wanted = {each.file_name.lower(): each for each in checked}
        with self._write_turn(), transaction.atomic():
            channel_quotas.lock(self.channel)
            mine = self._reservations(wanted).filter(token=self.token).select_for_update().order_by("pk")
            held = []
            for row in mine:
                each = wanted[row.file_name.lower()]
                Reservation.objects.filter(pk=row.pk).update(**self._mine(each.upload))
                held.append(each)
            self._charge(held)
        return held

    def hold(self, checked: Sequence[CheckedPackage]) -> tuple[list[CheckedPackage], list[ImportOutcome]]:
        """Reserve the names for these bytes and charge the quotas. Return the held packages, and refusals.

        Packages that the channel got meanwhile are in neither. Raise HubError 413 if a quota is exceeded; then no name
        is reserved. Rows are read once the names are reserved, so no later upload can have put other bytes there.
        """
        wanted = {each.file_name.lower(): each for each in sorted(checked, key=lambda each: each.key)}
        with self._write_turn(), transaction.atomic():
            channel_quotas.lock(self.channel)
            rows = (Reservation(**each.upload.place, **self._mine(each.upload)) for each in wanted.values())
            Reservation.objects.bulk_create(rows, ignore_conflicts=True)
            self._take_over(wanted)
            mine = {name for name, token, _ in self._reserved(list(wanted)) if token == self.token}
            existing = {row.file_name.lower(): row for row in self._artifacts(mine)}
            self._reservations(existing).filter(token=self.token).delete()
            held = [wanted[name] for name in sorted(mine - existing.keys())]
            self._charge(held)
        self._tokens |= {each.file_name.lower(): self.token for each in held}
        refusals = [ImportOutcome(wanted[name].key, BEING_UPLOADED) for name in sorted(wanted.keys() - mine)]
        return held, refusals + _differences([(wanted[name], row) for name, row in sorted(existing.items())])

    def _mine(self, found: Upload) -> dict[str, Any]:
        end = timezone.now() + timedelta(seconds=settings.HUB_RESERVATION_S)
        received = found.received
        return {
            "sha256": received.sha256,
            "token": self.token,
            "expires_at": end,
            "more_bytes": received.size_bytes,
        }

    def _take_over(self, wanted: Mapping[str, CheckedPackage]) -> None:
        """Take over expired reservations, claims, and those of the same bytes."""
        theirs = self._reservations(wanted).exclude(token=self.token).select_for_update().order_by("pk")
        for row in theirs:
            found = wanted[row.file_name.lower()].upload
            if row.sha256 in ("", found.received.sha256) or row.expires_at <= timezone.now():
                values = {"file_name": found.info.file_name, **self._mine(found)}
                Reservation.objects.filter(pk=row.pk).update(**values)

    def _charge(self, held: Sequence[CheckedPackage]) -> None:
        sizes = [each.upload.received.size_bytes for each in held]
        channel_quotas.check_reserved(self.channel, sum(sizes))
        if payer := quotas.payer_of(self.channel):
            for size_bytes in sizes:
                quotas.charge(quotas.Bill(payer, size_bytes))

    def add(self, found: Sequence[CheckedPackage | ImportOutcome]) -> list[ImportOutcome]:
        """Record the checked packages together or, if the database rejects a value, one by one.

        Refusals among `found` are passed through. Packages that another import recorded meanwhile are left out.
        """
        checked = [each for each in found if isinstance(each, CheckedPackage)]
        refused = [each for each in found if isinstance(each, ImportOutcome)]
        return sorted(refused + self._add(checked), key=lambda outcome: outcome.key)

    def _add(self, checked: Sequence[CheckedPackage]) -> list[ImportOutcome]:
        try:
            with self._write_turn():
                refusals, new, artifacts = self._record(checked)
        except UNSTORABLE as error:
            self._check_channel()
            if len(checked) == 1:
                return [ImportOutcome(checked[0].key, f"The database rejects it: {error}")]
            return [outcome for each in checked for outcome in self._add([each])]
        for artifact, each in zip(artifacts, new, strict=True):
            if each.verified:
                sidecars.rewrite(artifact)
        return refusals + [ImportOutcome(each.key, note=each.note) for each in new]

    @contextmanager
    def _write_turn(self) -> Iterator[None]:
        """Hold `gate` for a write, then sleep as long as it took: SQLite has no queue for its write lock.

        No check begins while `gate` is locked: it would hold the interpreter's lock while this thread holds SQLite's.
        """
        begun = time.monotonic()
        with self.gate:
            yield
        if connection.vendor == "sqlite":
            time.sleep(time.monotonic() - begun)

    @transaction.atomic
    def _record(
        self, checked: Sequence[CheckedPackage]
    ) -> tuple[list[ImportOutcome], list[CheckedPackage], list[Artifact]]:
        self._check_channel()
        refusals, new = self._split_batch(checked)
        artifacts = self._create(new) if new else []
        if self.by:
            self.by.note(artifacts)
        else:
            quotas.mark_outdated(self.channel)
        self._reservations([each.file_name for each in new]).delete()
        return refusals, new, artifacts

    def _check_channel(self) -> None:
        if not Channel.objects.filter(pk=self.channel.pk, deleted_at=None).exists():
            raise not_found("channel_gone", f"The channel '{self.channel}' was deleted during the import.")

    def _reserve(self, names: Sequence[str]) -> None:
        """Reserve `names`. Join the claims of other imports, and take over expired reservations of uploads."""
        now = timezone.now()
        mine = {"sha256": "", "token": self.token, "expires_at": now + timedelta(seconds=settings.HUB_RESERVATION_S)}
        place = {"channel": self.channel, "subdir": self.subdir}
        new = (Reservation(**place, file_name=name, **mine) for name in sorted(names, key=str.lower))
        Reservation.objects.bulk_create(new, ignore_conflicts=True)
        theirs = self._reservations(names).exclude(token=self.token)
        if theirs.exists():
            theirs.filter(sha256="").update(expires_at=mine["expires_at"])
            theirs.exclude(sha256="").filter(expires_at__lte=now).update(**mine)

    def _split_batch(self, checked: Sequence[CheckedPackage]) -> tuple[list[ImportOutcome], list[CheckedPackage]]:
        """Split a batch into refusals and packages to record, by the current rows."""
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
                refusals.append(ImportOutcome.refused(each.key, error))
        return refusals, new

    def _check_claim(self, checked: CheckedPackage, token: str, sha256: str) -> None:
        file_name, mine = checked.file_name, checked.upload.received.sha256
        if token and token == self._tokens.get(file_name.lower()) and sha256 in ("", mine):
            return
        if sha256 and sha256 != mine:
            raise conflict("being_uploaded", f"Other bytes are being uploaded as {file_name} at this moment.")
        raise conflict("changed_meanwhile", "An upload used its name during the import. Run the command again.")

    def _create(self, new: Sequence[CheckedPackage]) -> list[Artifact]:
        """Create the rows and their events, update their packages, and mark the index stale."""
        names = {each.upload.info.name for each in new}
        locked = packages.packages_for_update(self.channel, names)
        artifacts = Artifact.objects.bulk_create(self._artifact(each.upload, locked) for each in new)
        labels = ((artifact, self.old.labels_of(artifact.file_name) - {MAIN_LABEL}) for artifact in artifacts)
        artifact_labels.store(self.channel, [(artifact, frozenset(), names) for artifact, names in labels])
        targets = {f"{self.subdir}/{each.file_name}": _event_detail(each.upload) for each in new}
        log.record_each(self._action, channel=self.channel, targets=targets, by=self._actor)
        for artifact, each in zip(artifacts, new, strict=True):
            about.keep_whole(artifact, each.upload.info.about, is_new=True)
            if each.verified:
                sidecars.record_stored(artifact, each.verified)
        packages.refresh_each(locked.values())
        self._schedule_builds(artifacts)
        return artifacts

    def _schedule_builds(self, artifacts: Sequence[Artifact]) -> None:
        stale: dict[str, set[str]] = defaultdict(set)
        for artifact in artifacts:
            for label in self.old.labels_of(artifact.file_name):
                stale[label].add(artifact.package.name)
        by_label = {label: sorted(names) for label, names in stale.items()}
        artifact_labels.schedule_builds(self.channel, self.subdir, by_label)

    @property
    def _actor(self) -> Actor:
        return self.by.actor if self.by else ANONYMOUS

    @property
    def _action(self) -> Action:
        return self.by.action if self.by else Action.ARTIFACT_IMPORT

    def _artifact(self, found: Upload, locked: Mapping[str, Package]) -> Artifact:
        info = found.info
        yanked = {"removal": Removal.YANKED, "removal_reason": YANKED, "removed_at": timezone.now()}
        values = found.place | upload.artifact_columns(found) | (yanked if info.file_name in self.old.removed else {})
        values |= {"uploaded_by": self._actor.user, "uploaded_with": self._actor.key}
        values["is_main"] = MAIN_LABEL in self.old.labels_of(info.file_name)
        return Artifact(**values, package=locked[info.name], indexed_timestamp=self._indexed_timestamp(found.received))

    def _indexed_timestamp(self, received: ReceivedFile) -> int:
        """Return the time of the old index if it has the same bytes, else the current time. In ms since 1970."""
        now = time.time_ns() // 1_000_000
        sha256, before = self.old.records.get(received.file_name, OldRecord())
        return before if sha256 == received.sha256 and type(before) is int and 0 < before <= now else now

    def _artifacts(self, names: Iterable[str]) -> QuerySet[Artifact]:
        """Return the existing artifacts with these names, not case-sensitive."""
        of_subdir = Artifact.objects.filter(channel=self.channel, subdir=self.subdir)
        return of_subdir.filter(file_name__lower__in=[name.lower() for name in names])

    def _reservations(self, names: Iterable[str]) -> QuerySet[Reservation]:
        of_subdir = Reservation.objects.filter(channel=self.channel, subdir=self.subdir)
        return of_subdir.filter(file_name__lower__in=[name.lower() for name in names])

    def _reserved(self, names: Iterable[str], *, locked: bool = False) -> list[tuple[str, str, str]]:
        """Return (lower-case name, token, SHA-256) for each of `names` that is reserved."""
        found = self._reservations(names)
        if locked:
            found = found.select_for_update().order_by("pk")
        return [(each.file_name.lower(), each.token, each.sha256) for each in found]


def _differences(found: Sequence[tuple[CheckedPackage, Artifact]]) -> list[ImportOutcome]:
    """Return the refusals of packages whose names are taken, unless by the same bytes."""
    refusals = []
    for each, row in found:
        try:
            existing_artifacts.check_duplicate(each.upload, row, may_replace=False)
        except HubError as error:
            refusals.append(ImportOutcome.refused(each.key, error))
    return refusals


def can_be_a_package(file_name: str) -> bool:
    """Tell whether a package can have this file name. The checks refuse all others."""
    try:
        parse_file_name(file_name)
    except BadPackage:
        return False
    return True


def _event_detail(found: Upload) -> dict[str, Any]:
    return {"sha256": found.received.sha256, "size_bytes": found.received.size_bytes}
