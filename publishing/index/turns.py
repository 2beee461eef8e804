"""Scheduler of index builds. It reads the stale indexes from the database; a message in the queue only starts it.

A worker builds one index for a bounded time, then selects the next one. Users take turns, and then the channels of each
user: a burst of changes in many channels of one user delays another user's index by one build. Removals go before
additions, but every other turn is for additions if any are waiting.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db.models import Case, DateTimeField, Exists, F, Max, OuterRef, Subquery, When
from django.utils import timezone
from redis import RedisError

from channels_app.models import Channel, Member, Role
from hub.celery import wake
from hub.queue import queues
from publishing import failed_jobs
from publishing.index import builds
from publishing.models import IndexedName, SubdirIndex

QUEUE = "index"
# Time that one build may spend on fragments before it writes the files.
BUILD_S = 0.5
# A job ends after this time and enqueues another, so that jobs of other kinds also run.
JOB_S = 2.0
LOOK_S = 0.1
# Indexes that are due later are left to the schedule.
WAIT_MAX_S = 1.0
CHANNELS_OPENED_AT_ONCE = 20
# The files of the whole channel wait this long while other indexes are stale.
WHOLE_CHANNEL_WAITS = timedelta(seconds=10)
# A channel with removals goes first if its last turn is older than this.
REMOVES_FIRST_AFTER = timedelta(seconds=2)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# The name of failed builds on the status page.
FAILED_BUILD = "publishing.tasks.build_index"

# The first owner of an index's channel, or NULL if that is an administrator.
FIRST_OWNER = Subquery(
    Member.objects.filter(channel=OuterRef("channel"), role=Role.OWNER)
    .order_by("pk")
    .annotate(payer=Case(When(user__is_superuser=False, then=F("user"))))
    .values("payer")[:1]
)

logger = logging.getLogger(__name__)
# In each process one thread waits for builds that are due soon, and one builds whole-channel files, which may be slow.
_waits, _builds_whole_channel = threading.Lock(), threading.Lock()
# Whether the last turn that began in this process was given priority for its removals.
_went_first = False
# The last turns of users that began in this process, for at most OWNERS_REMEMBERED users.
_owners_turns: dict[int | None, datetime] = {}
OWNERS_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """A stale index. `channel_turn_at` is the last turn of any subdir of its channel.

    `owner_id` is the first owner, or None if the channel takes turns by itself, such as an administrator's channel.
    """

    index_id: int
    owner_id: int | None
    is_whole_channel: bool
    removes: bool
    requested_at: datetime
    due_at: datetime
    turn_at: datetime
    channel_turn_at: datetime


def work() -> None:
    """Build stale indexes until none can be built, or until JOB_S is over."""
    _shorten_queue()
    ends = time.monotonic() + JOB_S
    _open_channels()
    builds.note_members()
    while time.monotonic() < ends:
        turns = stale()
        due = in_order(turns, timezone.now(), removals_first=not _went_first)
        if not _build_first_free(due) and not _wait(turns):
            return
    wake(builds.BUILD)


def retry_now(index_id: int) -> None:
    """Make a stale index due now. If it is current, delete the record of its failure."""
    builds.delayed_builds.pop(index_id, None)
    if not SubdirIndex.objects.filter(pk=index_id, requested_revision__gt=F("built_revision")).update(due_at=None):
        failed_jobs.delete_record(FAILED_BUILD, [index_id])


def stale() -> list[Turn]:
    """Return every stale index, by one query."""
    subdirs = SubdirIndex.objects.exclude(subdir=builds.WHOLE_CHANNEL)
    of_channel = subdirs.filter(channel=OuterRef("channel")).order_by().values("channel")
    last = Subquery(of_channel.annotate(last=Max("turn_at")).values("last"), output_field=DateTimeField())
    removed = IndexedName.objects.filter(index=OuterRef("pk"), removes=True, changed__gt=F("made"))
    found = SubdirIndex.objects.filter(requested_revision__gt=F("built_revision")).annotate(
        channel_turn_at=last, removes=Exists(removed)
    )
    names = ("pk", FIRST_OWNER, "subdir", "removes", "requested_at", "due_at", "turn_at", "channel_turn_at")
    return [
        Turn(
            pk,
            owner_id,
            subdir == builds.WHOLE_CHANNEL,
            removes,
            requested_at or LONG_AGO,
            max(due_at or LONG_AGO, builds.delayed_builds.get(pk, LONG_AGO)),
            *(moment or LONG_AGO for moment in moments),
        )
        for pk, owner_id, subdir, removes, requested_at, due_at, *moments in found.values_list(*names)
    ]


def in_order(turns: Sequence[Turn], now: datetime, *, removals_first: bool) -> list[Turn]:
    """Return those of `turns` that are due, the next one first.

    The caller alternates `removals_first`: otherwise removals in many channels could delay additions forever.
    """
    owners = _turns_of_owners(turns)
    due = [turn for turn in turns if turn.due_at <= now]
    return sorted(due, key=lambda turn: (has_priority(turn, now) != removals_first, *_order(turn, owners)))


def has_priority(turn: Turn, now: datetime) -> bool:
    """Tell whether the turn has priority for its removals. A channel gets that once, then waits like the others."""
    return turn.removes and turn.channel_turn_at < now - REMOVES_FIRST_AFTER


def _turns_of_owners(turns: Sequence[Turn]) -> dict[int | None, datetime]:
    """Return the last turn of each user, from stale indexes and from the turns that began in this process."""
    owners = dict(_owners_turns)
    for turn in turns:
        owners[turn.owner_id] = max(owners.get(turn.owner_id, LONG_AGO), turn.channel_turn_at)
    return owners | {None: LONG_AGO}


def _order(turn: Turn, owners: Mapping[int | None, datetime]) -> tuple[datetime, datetime, datetime, int]:
    """Return the sort key: the user, and then the channel, with the oldest last turn comes first."""
    last = turn.channel_turn_at
    if turn.is_whole_channel:
        # Ordered by its own last turn, so that it doesn't delay the subdirs of its channel.
        last = max(turn.turn_at, turn.requested_at + WHOLE_CHANNEL_WAITS)
    return max(last, owners[turn.owner_id]), last, turn.turn_at, turn.index_id


def _build_first_free(turns: Sequence[Turn]) -> bool:
    """Build the first of `turns` that no other worker is building. Return False if there is none."""
    for number, turn in enumerate(turns):
        place = _acquired(_builds_whole_channel) if turn.is_whole_channel else nullcontext(True)
        with place as is_free:
            if is_free and _build(turn, has_more=number + 1 < len(turns)):
                return True
    return False


def _build(turn: Turn, *, has_more: bool) -> bool:
    """Build the index once. Return whether a build was tried; its failure is recorded and doesn't stop others."""
    try:
        is_built = builds.build_once(turn.index_id, bound_s=BUILD_S, on_begin=partial(_begin, turn, has_more=has_more))
    except Exception as error:
        logger.exception("the build of index %s failed", turn.index_id)
        failed_jobs.record_failure(FAILED_BUILD, [turn.index_id], error)
        return True
    if is_built:
        builds.delayed_builds.pop(turn.index_id, None)
        failed_jobs.delete_record(FAILED_BUILD, [turn.index_id])
    return is_built


def _begin(turn: Turn, *, has_more: bool) -> None:
    global _went_first
    now = timezone.now()
    _went_first = has_priority(turn, now)
    if turn.owner_id:
        if len(_owners_turns) >= OWNERS_REMEMBERED:
            _owners_turns.clear()
        _owners_turns[turn.owner_id] = now
    if has_more:
        wake(builds.BUILD)


def _wait(turns: Sequence[Turn]) -> bool:
    """Wait a moment for the next of `turns` to be due. Return False if none is due soon."""
    now = timezone.now()
    soonest = min((turn.due_at for turn in turns if turn.due_at > now), default=None)
    if soonest is None or soonest > now + timedelta(seconds=WAIT_MAX_S):
        return False
    with _acquired(_waits) as is_free:
        if is_free:
            time.sleep(min((soonest - now).total_seconds(), LOOK_S))
        return is_free


@contextmanager
def _acquired(lock: threading.Lock) -> Iterator[bool]:
    """Yield whether this thread got the lock, without waiting for it."""
    is_free = lock.acquire(blocking=False)
    try:
        yield is_free
    finally:
        if is_free:
            lock.release()


def _open_channels() -> None:
    """Mark indexes of channels that have none as stale, a few channels at a time: each then has its own turns."""
    new = Channel.objects.filter(~Exists(SubdirIndex.objects.filter(channel=OuterRef("pk"))))
    for channel in new.order_by("pk")[:CHANNELS_OPENED_AT_ONCE]:
        builds.open_channel(channel)


def _shorten_queue() -> None:
    try:
        queues.drop_surplus(QUEUE)
    except (RedisError, OSError) as error:
        logger.warning("could not look into the queue %s: %s", QUEUE, error)
