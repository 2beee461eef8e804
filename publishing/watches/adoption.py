"""Packages that others put into the store, checked as uploads are and recorded where they lie.

The names are claimed before the bytes are read. If the claim still stands when the rows are written, no upload has
changed the bytes. Files whose name somebody else holds at this moment wait for the next pass.
"""

import os
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock

from django.db.models import F

from channels_app.access.actions import Action
from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.models import Artifact, Channel
from channels_app.quotas import quotas
from hub.errors import HubError
from hub.storage import Entry, NotInStore, StoreError, hashed, store
from publishing.imports import imports, stored
from publishing.imports.fetched import be_nice
from publishing.imports.old_indexes import OldIndex
from publishing.imports.records import CheckedPackage, ImportOutcome, Records, recording
from publishing.models import Reservation, Watch
from publishing.uploads.policies import check_policies
from publishing.watches.comparison import Refusal
from publishing.watches.listing import Part

# Of the tokens of its reservations, by which those of a killed pass are known.
RESERVED_BY = "watch-"
THREADS_MAX = 4
# A bucket states times of listings in milliseconds, of objects in seconds.
SAME_TIME = timedelta(seconds=1)
# The reasons that the next pass may not find any more.
PASSING = ("gone", "changed_meanwhile", "being_uploaded", "store_failed", "channel_gone")


@dataclass(slots=True)
class Adopted:
    """The result for a group of files. `waits`: some are to be tried again by the next pass. `error`: of the store."""

    files: int = 0
    refused: list[Refusal] = field(default_factory=list)
    waits: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Finder:
    """The recorder of files that the hub found in the store."""

    watch: Watch
    actor: Actor = ANONYMOUS
    action: Action = Action.ARTIFACT_ADOPT

    def note(self, artifacts: Sequence[Artifact]) -> None:
        """Count the files of a batch, in the transaction that records them."""
        Watch.objects.filter(pk=self.watch.pk).update(adopted_files=F("adopted_files") + len(artifacts))


def adopt(watch: Watch, part: Part, group: Sequence[Entry]) -> Adopted:
    """Check and record a group of files. Raise HubError 413 if a quota has no room for any file."""
    channel = watch.channel
    room, refused = _with_room(channel, group)
    token = RESERVED_BY + secrets.token_hex(13)
    with recording(channel, part.subdir, OldIndex(), Lock(), Finder(watch), token=token) as records:
        entries = {f"{channel}/{part.subdir}/{entry.name}": entry for entry in room}
        claimed = [key for key in records.claim(list(entries)) if records.is_own(key)]
        outcomes = _recorded(channel, records, _checked(channel, part, {key: entries[key] for key in claimed}))
    # Names that others hold have no outcome.
    adopted = Adopted(refused=refused, waits=len(outcomes) + len(refused) < len(group))
    for outcome in outcomes:
        if not outcome.refusal:
            adopted.files += 1
        elif outcome.code in PASSING:
            adopted.waits = True
            adopted.error = outcome.refusal if outcome.code == "store_failed" else adopted.error
        else:
            adopted.refused.append(Refusal(entries[outcome.key], outcome.code or "refused", outcome.refusal))
    return adopted


def release_abandoned(channel: Channel) -> None:
    """Release the names that a killed pass has left reserved. No other pass over the channel runs."""
    abandoned, _ = Reservation.objects.filter(channel=channel, token__startswith=RESERVED_BY).delete()
    if abandoned:
        quotas.mark_outdated(channel)


def has_bytes_of(channel: Channel, subdir: str, name: str) -> bool:
    """Tell whether the store has the bytes of the channel's file, or none. Reads all of them. Raise StoreError."""
    row = Artifact.objects.filter(channel=channel, subdir=subdir, file_name=name).first()
    try:
        return row is None or hashed(store().open(str(row))) == row.sha256
    except NotInStore:
        return True


def _with_room(channel: Channel, group: Sequence[Entry]) -> tuple[Sequence[Entry], list[Refusal]]:
    """Return the first files that the quotas have room for together, and refusals of those that are too large alone.

    Raise HubError 413 if there is no room for any file.
    """
    if _refusal_by_quota(channel, group) is None:
        return group, []
    quotas.check_room(channel, 1)
    faults = [(entry, _refusal_by_quota(channel, [entry])) for entry in group]
    room = [entry for entry, fault in faults if fault is None]
    while room and _refusal_by_quota(channel, room):
        room = room[: len(room) // 2]
    return room, [Refusal(entry, fault.code, fault.detail) for entry, fault in faults if fault]


def _refusal_by_quota(channel: Channel, group: Sequence[Entry]) -> HubError | None:
    try:
        quotas.check_room(channel, sum(entry.size_bytes for entry in group))
    except HubError as error:
        return error
    return None


def _checked(channel: Channel, part: Part, entries: dict[str, Entry]) -> list[CheckedPackage | ImportOutcome]:
    with ThreadPoolExecutor(min(THREADS_MAX, os.cpu_count() or 1), "watch", be_nice) as pool:
        return list(pool.map(lambda key: _check(channel, part, key, entries[key]), entries))


def _check(channel: Channel, part: Part, key: str, entry: Entry) -> CheckedPackage | ImportOutcome:
    """Check a file. Runs in a thread and doesn't use the database."""
    try:
        result = stored.check(channel, key, has_sidecar=part.has_sidecar(entry.name))
        now = store().stat(key)
    except StoreError as error:
        return ImportOutcome(key, str(error), code="store_failed")
    is_same = now and now.size_bytes == entry.size_bytes and abs(now.modified_at - entry.modified_at) < SAME_TIME
    return result if is_same else ImportOutcome(key, stored.GONE, code="gone")


def _recorded(
    channel: Channel, records: Records, results: Iterable[CheckedPackage | ImportOutcome]
) -> list[ImportOutcome]:
    """Record the packages that the channel's policies allow. Raise HubError 413."""
    outcomes, allowed = [], []
    for each in results:
        if isinstance(each, ImportOutcome):
            outcomes.append(each)
        elif refusal := _refusal(channel, each):
            outcomes.append(refusal)
        else:
            allowed.append(each)
    recorded = records.add(_confirmed(records, allowed))
    if any(outcome.refusal for outcome in recorded):
        quotas.mark_outdated(channel)
    return outcomes + recorded


def _confirmed(records: Records, allowed: Sequence[CheckedPackage]) -> list[CheckedPackage]:
    """Return the first of the packages for which the quotas have room. Raise HubError 413 if there are none."""
    try:
        return records.confirm(allowed)
    except HubError:
        if len(allowed) <= 1:
            raise
    return _confirmed(records, allowed[: len(allowed) // 2])


def _refusal(channel: Channel, checked: CheckedPackage) -> ImportOutcome | None:
    try:
        check_policies(checked.upload)
        if not checked.verified:
            imports.check_attested(channel, checked.note)
    except HubError as error:
        return ImportOutcome.refused(checked.key, error)
    return None
