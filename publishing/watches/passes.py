"""Passes over the prefixes of watched channels. Each goes on where the last one ended, and is bounded.

One process at a time works at all watches, so a backlog takes one thread of the hub's workers. A pass that is killed
leaves nothing behind that the next one does not find: adopted files have rows, claims of names block no upload.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from channels_app.access.permissions import ANONYMOUS, check_own_packages
from channels_app.models import Channel
from hub.attempts import attempt_each
from hub.celery import send
from hub.errors import HubError, conflict
from hub.locks import try_lock
from hub.observability import metrics
from hub.sizes import MIB
from hub.storage import Entry, StoreError
from publishing.models import Watch, WatchedFile
from publishing.uploads.policies import check_uploader
from publishing.watches import adoption, comparison, listing
from publishing.watches.comparison import Comparer, Refusal, Room
from publishing.watches.listing import Part

TASK = "publishing.tasks.watch_prefixes"
# Of one pass. Files are taken in by groups, which the index gets at once.
KEYS_MAX, LISTING_S, FILES_MAX, ADOPTING_S = 200_000, 60.0, 400, 6.0
GROUP, GROUP_BYTES = 50, 64 * MIB
# More refused files than this are not remembered, so the watch stops until some are gone.
REFUSED_MAX = 10_000
FORGOTTEN_AT_ONCE = 500
COMPARED_FOR = timedelta(hours=1)
REASON_MAX_CHARACTERS, VERSION_MAX_CHARACTERS = 500, 200
VALUES = ("size_bytes", "version", "code", "reason", "seen_at")
FULL = f"{REFUSED_MAX:,} files below the prefix are refused. Remove some, so that the watch goes on."


def work() -> None:
    """Make a pass over each watched channel, unless another process does. Go on at once if files are left."""
    with try_lock("watches") as held:
        if not held:
            return
        watches = Watch.objects.filter(channel__deleted_at=None).order_by(F("passed_at").asc(nulls_first=True), "pk")
        left: list[int] = []
        attempt_each(partial(_pass_over, pk, left) for pk in list(watches.values_list("pk", flat=True)))
    if left:
        send(TASK)


def _pass_over(watch_id: int, left: list[int]) -> None:
    watch = Watch.objects.select_related("channel").filter(pk=watch_id).first()
    if watch and Pass(watch).run():
        left.append(watch_id)


@dataclass(slots=True)
class Pass:
    """One pass over a watched channel. `remembered`: path → refusal; `seen`: those of them that are still there."""

    watch: Watch
    remembered: dict[str, WatchedFile] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    clean: set[str] = field(default_factory=set)
    since: datetime | None = None
    room: Room = field(init=False)
    is_complete: bool = False
    fault: HubError | None = None
    began: float = field(default_factory=time.monotonic)
    keys: int = 0
    adopted: int = 0
    adopting_s: float = 0.0

    def __post_init__(self) -> None:
        self.room = Room(self.channel)

    @property
    def channel(self) -> Channel:
        return self.watch.channel

    @property
    def comparer(self) -> Comparer:
        is_folder = settings.HUB_STORAGE != "s3"
        return Comparer(self.channel, self.remembered, self.since, is_folder, self.room)

    @property
    def is_full(self) -> bool:
        return len(self.remembered) >= REFUSED_MAX

    def run(self) -> bool:
        """Make the pass and record how it ended. Return whether it stopped before the last file of a backlog."""
        try:
            self._complete()
        except HubError as error:
            self.fault = error
        except StoreError as error:
            self.fault = conflict("store_failed", str(error))
        self._save(time.monotonic() - self.began)
        return self.fault is None and not self.is_complete

    def _complete(self) -> None:
        """Compare the parts from the cursor on. Raise HubError or StoreError."""
        _check_allowed(self.channel)
        adoption.release_abandoned(self.channel)
        self._load()
        begin = self.watch.cursor
        for part in listing.parts(self.channel, begin):
            is_late = self.keys >= KEYS_MAX or time.monotonic() > self.began + LISTING_S
            if is_late or not self._compare(part):
                break
            self.keys += part.keys
            self.watch.cursor = part.cursor
        else:
            self.is_complete, self.watch.listed_at = True, timezone.now()
        self._forget_gone(begin)
        if self.is_complete:
            self.watch.cursor = ""

    def _load(self) -> None:
        """Read the refusals, and which parts need no comparison: none of them at least once an hour."""
        self.since = self.watch.listed_at
        self.remembered = {str(row): row for row in self.watch.refused.all()}
        if self.is_full:
            self.fault = conflict("too_many_refused", FULL)
        if self.watch.compared_at is None or self.watch.compared_at < timezone.now() - COMPARED_FOR:
            self.watch.compared_at = timezone.now()
        else:
            self.clean = set(self.watch.clean)

    def _compare(self, part: Part) -> bool:
        """Compare a part if it has changed, and take in its new files. Return whether it is done."""
        paths = {f"{part.subdir}/{name}" for name in part.entries} & self.remembered.keys()
        self.seen |= paths
        digest = part.digest()
        if digest in self.clean and not paths:
            return True
        found = self.comparer.compare(part)
        self._forget(f"{part.subdir}/{name}" for name in found.settled)
        self._remember(part, found.refused)
        waits = found.waits
        for entry in found.suspects:
            if self._is_over():
                return False
            self._examine(part, entry)
        for group in _groups(found.new):
            if self.is_full:
                return True
            if self._is_over():
                return False
            waits |= self._adopt(part, group)
        if not waits and not self.is_full:
            self.clean.add(digest)
        return True

    def _is_over(self) -> bool:
        return self.adopted >= FILES_MAX or self.adopting_s > ADOPTING_S

    def _examine(self, part: Part, entry: Entry) -> None:
        """Compare the bytes of a file that was written again with its row."""
        began = time.monotonic()
        if adoption.has_bytes_of(self.channel, part.subdir, entry.name):
            self._forget([f"{part.subdir}/{entry.name}"])
        else:
            self._remember(part, [Refusal(entry, "exists", comparison.REPLACED)])
        self.adopting_s += time.monotonic() - began

    def _adopt(self, part: Part, group: Sequence[Entry]) -> bool:
        """Take in a group of files. Return whether some of them wait. Raise HubError if it is no longer allowed."""
        began = time.monotonic()
        self.watch.channel = _watched(self.watch)
        result = adoption.adopt(self.watch, part, group)
        self.adopted += result.files
        metrics.WATCHED_FILES.labels("adopted").inc(result.files)
        self._forget(f"{part.subdir}/{entry.name}" for entry in group)
        self._remember(part, result.refused)
        if result.error:
            self.fault = conflict("store_failed", result.error)
        self.adopting_s += time.monotonic() - began
        return result.waits

    def _remember(self, part: Part, refused: Sequence[Refusal]) -> None:
        """Store the refusals that are new or have changed, up to the maximum."""
        rows = [self._row(part.subdir, refusal) for refusal in refused]
        room = max(REFUSED_MAX - len(self.remembered), 0)
        late = set([str(row) for row in rows if str(row) not in self.remembered][room:])
        rows = [row for row in rows if str(row) not in late]
        changed = [row for row in rows if not _is_same(row, self.remembered.get(str(row)))]
        if changed:
            with transaction.atomic():
                _lock(self.watch)
                WatchedFile.objects.bulk_create(
                    changed, update_conflicts=True, unique_fields=("watch", "subdir", "file_name"), update_fields=VALUES
                )
            for row in changed:
                metrics.WATCHED_FILES.labels(row.code).inc()
        self.remembered |= {str(row): row for row in changed}
        self.seen |= {str(row) for row in rows}

    def _row(self, subdir: str, refusal: Refusal) -> WatchedFile:
        entry, code, reason = refusal
        values = {"size_bytes": entry.size_bytes, "version": entry.version[:VERSION_MAX_CHARACTERS], "code": code}
        values["reason"] = reason[:REASON_MAX_CHARACTERS]
        return WatchedFile(watch=self.watch, subdir=subdir, file_name=entry.name, seen_at=timezone.now(), **values)

    def _forget(self, paths: Iterable[str]) -> None:
        """Delete the refusals of these paths, if there are any."""
        gone = [self.remembered.pop(path) for path in list(paths) if path in self.remembered]
        for begin in range(0, len(gone), FORGOTTEN_AT_ONCE):
            batch = gone[begin : begin + FORGOTTEN_AT_ONCE]
            for subdir in {row.subdir for row in batch}:
                names = [row.file_name for row in batch if row.subdir == subdir]
                self.watch.refused.filter(subdir=subdir, file_name__in=names).delete()

    def _forget_gone(self, begin: str) -> None:
        """Forget the refused files between the cursor `begin` and that of now which are no longer there."""
        first, last = _place(begin), _place(self.watch.cursor)
        gone = (path for path in self.remembered.keys() - self.seen if first < _place(path))
        self._forget([path for path in gone if self.is_complete or _place(path) <= last])

    def _save(self, pass_s: float) -> None:
        """Record how the pass ended, unless the watch was turned off meanwhile."""
        watch, fault = self.watch, self.fault
        # A retry during the pass wants every file compared again.
        Watch.objects.filter(pk=watch.pk, retries=watch.retries).update(compared_at=watch.compared_at)
        Watch.objects.filter(pk=watch.pk).update(
            cursor=watch.cursor,
            clean=sorted(self.clean),
            listed_at=watch.listed_at,
            passed_at=timezone.now(),
            pass_s=pass_s,
            failing_since=(watch.failing_since or timezone.now()) if fault else None,
            error_code=fault.code if fault else "",
            error=fault.detail[:REASON_MAX_CHARACTERS] if fault else "",
        )


def _watched(watch: Watch) -> Channel:
    """Return the channel as it is now. Raise HubError if the watch is off or the channel accepts no files."""
    channel = Channel.objects.filter(watch=watch, deleted_at=None).first()
    if channel is None:
        raise conflict("watch_off", "The watch was turned off.")
    _check_allowed(channel)
    return channel


def _check_allowed(channel: Channel) -> None:
    check_own_packages(channel)
    check_uploader(ANONYMOUS, channel, "")


def _lock(watch: Watch) -> None:
    if not Watch.objects.select_for_update(no_key=True).filter(pk=watch.pk).exists():
        raise conflict("watch_off", "The watch was turned off.")


def _is_same(row: WatchedFile, earlier: WatchedFile | None) -> bool:
    return earlier is not None and all(getattr(row, name) == getattr(earlier, name) for name in VALUES[:-1])


def _place(path: str) -> tuple[str, str]:
    """Return the key that orders paths: the subdir, then the file name."""
    subdir, _, file_name = path.partition("/")
    return subdir, file_name


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    group: list[Entry] = []
    for entry in entries:
        if group and (len(group) == GROUP or sum(each.size_bytes for each in group) + entry.size_bytes > GROUP_BYTES):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
