"""Runs of imports. The row states the work; a run that was killed is continued by another process.

A run lists the source again and leaves out files that the channel has, or that it refused before.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import ANONYMOUS, Actor, Permission, check_still_allowed
from channels_app.models import Artifact, Channel, Removal
from channels_app.packages.queries import labeled
from channels_app.quotas import quotas
from hub.attempts import attempt_each
from hub.errors import HubError
from hub.locks import try_lock
from hub.sizes import MIB
from hub.storage import StoreError, store
from publishing.attestations import promoted
from publishing.imports import imports
from publishing.imports.fetched import Fetched, Fetcher, fetching, in_order
from publishing.imports.listing import Listed, listing_of
from publishing.imports.old_indexes import OldIndex, OldRecord
from publishing.imports.records import CheckedPackage, ImportOutcome, Records, recording
from publishing.imports.sources import Source, SourceError
from publishing.labels import artifact_labels, edits, labels
from publishing.models import Import, ImportState, RefusedFile
from publishing.record_filters import Filters
from publishing.uploads.existing_artifacts import exists, name_deleted
from publishing.uploads.policies import check_policies, check_revision

logger = logging.getLogger(__name__)

# Threads that write to the store at once: in a folder, they share the disk and the interpreter.
PUTTING, PUTTING_IN_FOLDER = 8, 4
FILES_AT_ONCE = 100
# Files that one transaction records, and their bytes that wait on disk for it.
GROUP, GROUP_BYTES = 100, 256 * MIB
# Of the workers' threads on all machines, so that imports never take those of other jobs.
RUNS_AT_ONCE = 2
# A run ends after this time if other imports wait.
TURN_S = 300.0
# Refusals in a row by the source's faults, after which the import fails.
FAULTS_MAX = 20
REASON_MAX_CHARACTERS = 500


class StoppedError(Exception):
    """The import was stopped, or it is another's turn."""


def work() -> None:
    """Continue the running imports that no process works at, the one that waits longest first."""
    waiting = Import.objects.filter(state=ImportState.RUNNING, is_by_operator=False)
    for slot in range(RUNS_AT_ONCE):
        with try_lock(f"imports-slot-{slot}") as held:
            if held:
                ordered = waiting.order_by(F("worked_at").asc(nulls_first=True), "pk").values_list("pk", flat=True)
                attempt_each(partial(run, pk) for pk in list(ordered))
                return


def run(import_id: int, source: Source | None = None, tell: Callable[[Import], None] = lambda _: None) -> None:
    """Work at the import until it ends, is stopped, or others wait. Return at once if another process works at it.

    `tell` is called after each group of files.
    """
    with try_lock(f"import-{import_id}") as held:
        job = Import.objects.select_related("channel", "created_by", "created_with").filter(pk=import_id).first()
        if not held or job is None or job.state != ImportState.RUNNING:
            return
        try:
            Run(job, source or imports.source_of(job), tell).complete()
        except StoppedError:
            return
        except HubError as error:
            imports.end(job, ImportState.FAILED, error.detail)
        except (SourceError, StoreError) as error:
            imports.end(job, ImportState.FAILED, str(error))


@dataclass(slots=True)
class Run:
    """One run of an import. It is the recorder of its batches, too."""

    job: Import
    source: Source
    tell: Callable[[Import], None]
    gate: Lock = field(default_factory=Lock)
    faults: int = 0
    began: float = field(default_factory=time.monotonic)
    due: float = field(default_factory=lambda: time.monotonic() + TURN_S)

    @property
    def actor(self) -> Actor:
        if self.job.is_by_operator:
            return ANONYMOUS
        return Actor(user=self.job.created_by, key=self.job.created_with)

    @property
    def action(self) -> Action:
        return Action.ARTIFACT_IMPORT

    @property
    def channel(self) -> Channel:
        return self.job.channel

    def complete(self) -> None:
        """Import every file that is left. Raise HubError, SourceError, StoreError or StoppedError."""
        self._check_allowed()
        job = self.job
        filters = Filters.of(job.include, job.exclude)
        with listing_of(self.source, filters, job.subdirs, job.newest_versions) as listing:
            files, size_bytes = listing.totals()
            Import.objects.filter(pk=job.pk).update(
                found_files=files, found_bytes=size_bytes, present_files=0, worked_at=timezone.now()
            )
            quotas.check_room(job.channel, 1)
            fetcher = Fetcher(self.source, job.channel, self.actor, self.gate, Event())
            with fetching(fetcher, self.source.threads) as pool:
                for batch in listing.batches(FILES_AT_ONCE):
                    self._check_running()
                    self._import(batch, in_order(pool, fetcher, self._wanted(batch)))
                    if job.label:
                        self._label(batch)
        imports.end(job, ImportState.DONE)

    def note(self, artifacts: Sequence[Artifact]) -> None:
        """Count the files of a batch, in the transaction that records them."""
        size_bytes = sum(artifact.size_bytes for artifact in artifacts)
        Import.objects.filter(pk=self.job.pk).update(
            imported_files=F("imported_files") + len(artifacts), imported_bytes=F("imported_bytes") + size_bytes
        )

    def _wanted(self, batch: Sequence[Listed]) -> list[Listed]:
        """Return the files of a batch that are neither in the channel nor refused. Refuse those of other bytes."""
        subdir, names = batch[0].subdir, [listed.file_name for listed in batch]
        rows = self.channel.artifacts.filter(subdir=subdir, file_name__lower__in=[name.lower() for name in names]).only(
            "channel", "subdir", "file_name", "sha256", "removal"
        )
        known = {row.file_name.lower(): row for row in rows.select_related("channel")}
        refused = set(self.job.refused.filter(subdir=subdir, file_name__in=names).values_list("file_name", flat=True))
        wanted, outcomes, present = [], [], 0
        for listed in batch:
            row = known.get(listed.file_name.lower())
            if listed.file_name in refused:
                continue
            if row is None or (not listed.sha256 and not listed.is_removed):
                wanted.append(listed)
            elif refusal := _difference(row, listed):
                outcomes.append(ImportOutcome(f"{self.channel}/{listed.path}", refusal.detail))
            else:
                present += 1
        self._refuse(outcomes)
        Import.objects.filter(pk=self.job.pk).update(present_files=F("present_files") + present)
        return wanted

    def _import(self, batch: Sequence[Listed], fetched: Iterator[Fetched]) -> None:
        job = self.job
        records_of = recording(self.channel, batch[0].subdir, _old_index(batch, job.label), self.gate, self)
        threads = PUTTING if settings.HUB_STORAGE == "s3" else PUTTING_IN_FOLDER
        with records_of as records, ThreadPoolExecutor(threads, "put") as putting:
            for group in _groups(fetched):
                with ExitStack() as files:
                    for each in group:
                        files.push(each.files)
                    self._count_faults(group)
                    self._record(records, group, putting)
                self._check_running()
                self._check_turn()

    def _record(self, records: Records, group: Sequence[Fetched], putting: ThreadPoolExecutor) -> None:
        """Put the bytes of a group into the store and record them, or their refusals."""
        outcomes = [each.result for each in group if isinstance(each.result, ImportOutcome) and not _is_gone(each)]
        checked, refusals = self._allowed([each.result for each in group if isinstance(each.result, CheckedPackage)])
        held, taken = records.hold(checked) if checked else ([], [])
        if held and self.job.label:
            self._ensure_label()
        list(putting.map(_put, held))
        self._refuse([*outcomes, *refusals, *taken, *records.add(held)])

    def _ensure_label(self) -> None:
        """Create the label of the import unless the channel has it. Raise HubError 403 or 409."""
        if self.job.is_by_operator:
            labels.restore(channel=self.channel, names=[self.job.label])
        else:
            labels.ensure(actor=self.actor, channel=self.channel, names=[self.job.label])

    def _label(self, batch: Sequence[Listed]) -> None:
        """Give the label to those files of a batch that the channel had before, or got meanwhile, with these bytes.

        Files of other bytes are refused, and new ones have it. Refuse those that can't get it.
        """
        subdir, names = batch[0].subdir, [listed.file_name for listed in batch if not listed.is_removed]
        refused = self.job.refused.filter(subdir=subdir, file_name__in=names).values("file_name")
        present = self.channel.artifacts.filter(subdir=subdir, file_name__in=names).exclude(file_name__in=refused)
        without = present.exclude(removal=Removal.DELETED).exclude(labeled(self.channel, self.job.label))
        if found := dict(without.values_list("file_name", "pk")):
            self._refuse(self._edited(subdir, found))

    def _edited(self, subdir: str, found: dict[str, int]) -> list[ImportOutcome]:
        """Add the label to files (file name → id) together, or after a failure one by one. Return the refusals."""
        try:
            artifact_labels.edit_selection(
                actor=self.actor,
                channel=self.channel,
                selection=self.channel.artifacts.filter(pk__in=found.values()),
                edit=edits.change([self.job.label], []),
                is_by_operator=self.job.is_by_operator,
            )
        except HubError as error:
            if len(found) == 1:
                return [ImportOutcome(f"{self.channel}/{subdir}/{name}", error.detail) for name in found]
            return [outcome for name, pk in found.items() for outcome in self._edited(subdir, {name: pk})]
        return []

    def _allowed(self, checked: Sequence[CheckedPackage]) -> tuple[list[CheckedPackage], list[ImportOutcome]]:
        """Split the packages by the channel's policies."""
        allowed, refused = [], []
        for each in checked:
            try:
                self._check_policies(each)
                allowed.append(each)
            except HubError as error:
                refused.append(ImportOutcome(each.key, error.detail))
        return allowed, refused

    def _check_policies(self, checked: CheckedPackage) -> None:
        info = checked.upload.info
        if self.job.is_by_operator:
            check_revision(self.channel, info.file_name, info.revision)
        else:
            check_policies(checked.upload)
        if not checked.verified:
            imports.check_attested(self.channel, checked.note)

    def _refuse(self, outcomes: Sequence[ImportOutcome]) -> None:
        rows = []
        for outcome in outcomes:
            _, subdir, name = outcome.key.split("/", 2)
            if reason := outcome.refusal[:REASON_MAX_CHARACTERS]:
                rows.append(RefusedFile(of_import=self.job, subdir=subdir, file_name=name, reason=reason))
        RefusedFile.objects.bulk_create(rows, ignore_conflicts=True)

    def _count_faults(self, group: Sequence[Fetched]) -> None:
        """Raise SourceError if the source has failed for many files in a row."""
        for each in group:
            self.faults = self.faults + 1 if each.is_fault else 0
            if self.faults >= FAULTS_MAX and isinstance(each.result, ImportOutcome):
                raise SourceError(f"The source failed {FAULTS_MAX} times in a row. {each.result.refusal}")

    def _check_allowed(self) -> None:
        if not self.job.is_by_operator:
            check_still_allowed(self.actor, self.channel, Permission.UPLOAD)

    def _check_running(self) -> None:
        """Note a sign of life. Raise StoppedError if the import was stopped, and HubError if the right has ended."""
        now = time.monotonic()
        mine = Import.objects.filter(pk=self.job.pk, state=ImportState.RUNNING)
        if not mine.update(worked_at=timezone.now(), worked_s=F("worked_s") + now - self.began):
            raise StoppedError
        self.began = now
        self.tell(self.job)
        self._check_allowed()

    def _check_turn(self) -> None:
        """Raise StoppedError if the turn is over and other imports wait."""
        others = Import.objects.filter(state=ImportState.RUNNING, is_by_operator=False).exclude(pk=self.job.pk)
        if time.monotonic() > self.due and not self.job.is_by_operator and others.exists():
            raise StoppedError


def _difference(row: Artifact, listed: Listed) -> HubError | None:
    """Return the refusal of a file whose name the channel has, or None if it has the same bytes."""
    if row.removal == Removal.DELETED:
        return name_deleted(row)
    is_same = row.file_name == listed.file_name and listed.sha256 in ("", row.sha256)
    return None if is_same else exists(row, listed.sha256)


def _put(checked: CheckedPackage) -> None:
    """Store a package and its attestations. Runs in a thread and doesn't use the database."""
    store().put(checked.key, checked.upload.received.path)
    if checked.verified:
        promoted.put(Artifact(**checked.upload.place), checked.verified)


def _is_gone(fetched: Fetched) -> bool:
    """Tell whether a file that the source lists as removed is absent there. That is no refusal."""
    return fetched.is_absent and fetched.listed.is_removed


def _groups(fetched: Iterator[Fetched]) -> Iterator[list[Fetched]]:
    group: list[Fetched] = []
    size_bytes = 0
    for each in fetched:
        group.append(each)
        size_bytes += each.size_bytes
        if len(group) == GROUP or size_bytes > GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _old_index(batch: Sequence[Listed], label: str) -> OldIndex:
    """Return the facts of the source, with the label that the files get."""
    records = {each.file_name: OldRecord(each.sha256, each.indexed_timestamp) for each in batch if each.sha256}
    labels_of: dict[str, tuple[str, ...]] = {each.file_name: (label,) for each in batch} if label else {}
    return OldIndex(records, {each.file_name for each in batch if each.is_removed}, labels_of)
