"""Which stale index a worker builds next: it asks the database. The queue only says that there is something to build.

A worker builds one index for a bounded time, then looks again for the one that is next. Users take turns, and among the
channels of each these do: a burst of changes in many channels of one user delays the index of another's by one build.
Something to remove goes before something to add, but every other turn is for additions where one waits.
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
from hub import queues
from hub.celery import wake
from publishing import index
from publishing.models import IndexedName, SubdirIndex
from publishing.operations import jobs

QUEUE = "index"
# What one build may spend on pieces before it writes the files.
BUILD_S = 0.5
# A job ends after so long and sends another one: jobs of other kinds have their turn, too.
JOB_S = 2.0
LOOK_S = 0.1
# Longer waits are the schedule's.
WAIT_MAX_S = 1.0
CHANNELS_OPENED_AT_ONCE = 20
# The files of the whole channel wait for so long while other indexes are stale.
WHOLE_CHANNEL_WAITS = timedelta(seconds=10)
# A channel whose last turn is older goes first where it has something to remove.
REMOVES_FIRST_AFTER = timedelta(seconds=2)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# The name that failed builds have on the status page.
FAILED_BUILD = "publishing.tasks.build_index"

# The first owner of an index's channel, unless that is an administrator.
FIRST_OWNER = Subquery(
    Member.objects.filter(channel=OuterRef("channel"), role=Role.OWNER)
    .order_by("pk")
    .annotate(payer=Case(When(user__is_superuser=False, then=F("user"))))
    .values("payer")[:1]
)

logger = logging.getLogger(__name__)
# One thread of a process waits for what is not due yet, and one builds files of whole channels, which may take long.
_waits, _builds_whole_channel = threading.Lock(), threading.Lock()
# Whether the last turn that began in this process was one that went first.
_went_first = False
# The last turns of users that began in this process; at most so many.
_owners_turns: dict[int | None, datetime] = {}
OWNERS_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """A stale index. `channel_turn_at` is the last turn of any subdir of its channel.

    `owner_id` is the first owner; None where the channel has a line of its own, as one of an administrator's has.
    """

    index_id: int
    owner_id: int | None
    is_whole_channel: bool
    removes: bool
    wanted_at: datetime
    due_at: datetime
    turn_at: datetime
    channel_turn_at: datetime


def work() -> None:
    """Build stale indexes until none is left that could be built, or until it is the turn of another job."""
    _shorten_queue()
    ends = time.monotonic() + JOB_S
    _open_channels()
    while time.monotonic() < ends:
        turns = stale()
        due = in_order(turns, timezone.now(), removals_first=not _went_first)
        if not _take_one(due) and not _wait(turns):
            return
    wake(index.BUILD)


def try_again(index_id: int) -> None:
    """Let the index be due, and forget that it failed where there is nothing to build any more."""
    index.put_off.pop(index_id, None)
    if not SubdirIndex.objects.filter(pk=index_id, wanted__gt=F("built")).update(due_at=None):
        jobs.forget(FAILED_BUILD, [index_id])


def stale() -> list[Turn]:
    """Every stale index; one query."""
    subdirs = SubdirIndex.objects.exclude(subdir=index.WHOLE_CHANNEL)
    of_channel = subdirs.filter(channel=OuterRef("channel")).order_by().values("channel")
    last = Subquery(of_channel.annotate(last=Max("turn_at")).values("last"), output_field=DateTimeField())
    removed = IndexedName.objects.filter(index=OuterRef("pk"), removes=True, changed__gt=F("made"))
    found = SubdirIndex.objects.filter(wanted__gt=F("built")).annotate(channel_turn_at=last, removes=Exists(removed))
    names = ("pk", FIRST_OWNER, "subdir", "removes", "wanted_at", "due_at", "turn_at", "channel_turn_at")
    return [
        Turn(
            pk,
            owner_id,
            subdir == index.WHOLE_CHANNEL,
            removes,
            wanted_at or LONG_AGO,
            max(due_at or LONG_AGO, index.put_off.get(pk, LONG_AGO)),
            *(moment or LONG_AGO for moment in moments),
        )
        for pk, owner_id, subdir, removes, wanted_at, due_at, *moments in found.values_list(*names)
    ]


def in_order(turns: Sequence[Turn], now: datetime, *, removals_first: bool) -> list[Turn]:
    """Those of `turns` that are due, the next one first.

    Removals come first or last: by turns, since removals in many channels would put off additions for ever.
    """
    owners = _turns_of_owners(turns)
    due = [turn for turn in turns if turn.due_at <= now]
    return sorted(due, key=lambda turn: (goes_first(turn, now) != removals_first, *_order(turn, owners)))


def goes_first(turn: Turn, now: datetime) -> bool:
    """A channel has at most one turn by what it removes, then it comes in line with the others."""
    return turn.removes and turn.channel_turn_at < now - REMOVES_FIRST_AFTER


def _turns_of_owners(turns: Sequence[Turn]) -> dict[int | None, datetime]:
    """The last turn of each user: by what is stale of theirs, and as far as this process has built the rest."""
    owners = dict(_owners_turns)
    for turn in turns:
        owners[turn.owner_id] = max(owners.get(turn.owner_id, LONG_AGO), turn.channel_turn_at)
    return owners | {None: LONG_AGO}


def _order(turn: Turn, owners: Mapping[int | None, datetime]) -> tuple[datetime, datetime, datetime, int]:
    """By user and then by channel, the one whose last turn is the longest ago first."""
    last = turn.channel_turn_at
    if turn.is_whole_channel:
        # In a line of its own: it must not put off the subdirs of its channel.
        last = max(turn.turn_at, turn.wanted_at + WHOLE_CHANNEL_WAITS)
    return max(last, owners[turn.owner_id]), last, turn.turn_at, turn.index_id


def _take_one(turns: Sequence[Turn]) -> bool:
    """Build the first of `turns` that nobody else is at, and whether there was one."""
    for number, turn in enumerate(turns):
        place = _only_one(_builds_whole_channel) if turn.is_whole_channel else nullcontext(True)
        with place as is_free:
            if is_free and _build(turn, has_more=number + 1 < len(turns)):
                return True
    return False


def _build(turn: Turn, *, has_more: bool) -> bool:
    """Build the index once, and whether that was tried; one that fails stops no other."""
    try:
        is_built = index.build_once(turn.index_id, bound_s=BUILD_S, begun=partial(_begin, turn, has_more=has_more))
    except Exception as error:
        logger.exception("the build of index %s failed", turn.index_id)
        jobs.note(FAILED_BUILD, [turn.index_id], error)
        return True
    if is_built:
        index.put_off.pop(turn.index_id, None)
        jobs.forget(FAILED_BUILD, [turn.index_id])
    return is_built


def _begin(turn: Turn, *, has_more: bool) -> None:
    global _went_first
    now = timezone.now()
    _went_first = goes_first(turn, now)
    if turn.owner_id:
        if len(_owners_turns) >= OWNERS_REMEMBERED:
            _owners_turns.clear()
        _owners_turns[turn.owner_id] = now
    if has_more:
        wake(index.BUILD)


def _wait(turns: Sequence[Turn]) -> bool:
    """Wait for the next of `turns` to be due, and whether that is worth it."""
    now = timezone.now()
    soonest = min((turn.due_at for turn in turns if turn.due_at > now), default=None)
    if soonest is None or soonest > now + timedelta(seconds=WAIT_MAX_S):
        return False
    with _only_one(_waits) as is_free:
        if is_free:
            time.sleep(min((soonest - now).total_seconds(), LOOK_S))
        return is_free


@contextmanager
def _only_one(lock: threading.Lock) -> Iterator[bool]:
    """Tell whether no other thread of this process is at it."""
    is_free = lock.acquire(blocking=False)
    try:
        yield is_free
    finally:
        if is_free:
            lock.release()


def _open_channels() -> None:
    """Channels that have no index yet: a few at a time, since each has a turn of its own then."""
    new = Channel.objects.filter(~Exists(SubdirIndex.objects.filter(channel=OuterRef("pk"))))
    for channel in new.order_by("pk")[:CHANNELS_OPENED_AT_ONCE]:
        index.open_channel(channel)


def _shorten_queue() -> None:
    try:
        queues.shorten(QUEUE)
    except (RedisError, OSError) as error:
        logger.warning("could not look into the queue %s: %s", QUEUE, error)
