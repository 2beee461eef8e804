"""The jobs that wait in the queues, in Redis or in the folder.

Few jobs have to wait: each finds in the database what there is to do.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from os import scandir
from pathlib import Path

from django.conf import settings
from redis import Redis

TIMEOUT_S = 2.0
# Each wake-up leads to all the work that there is. In the others jobs of several kinds wait.
MOST = {"index": 2}
MOST_OF_OTHERS = 8
# A queue of so many is one of an earlier version, which sent a job for each change.
SURPLUS = 20
SUFFIX = ".msg"


@dataclass(frozen=True, slots=True)
class Waiting:
    """`oldest_s` is None where that can't be told: Redis keeps no times."""

    count: int
    oldest_s: float | None = None


def names() -> list[str]:
    """In order of how soon somebody misses what waits there."""
    return [queue.name for queue in settings.CELERY_TASK_QUEUES]


def waiting() -> dict[str, Waiting]:
    """Queue → what waits there, jobs that a worker has taken apart. Raises OSError, redis.RedisError."""
    if not settings.REDIS_URL:
        return {name: _in_folder(name) for name in names()}
    pipeline = _redis(settings.REDIS_URL).pipeline(transaction=False)
    for name in names():
        pipeline.llen(name)
    return {name: Waiting(count) for name, count in zip(names(), pipeline.execute(), strict=True)}


def is_full(name: str) -> bool:
    """Tell whether no further job need be sent to the queue. Raises OSError, redis.RedisError."""
    return _has(name, MOST.get(name, MOST_OF_OTHERS))


def shorten(name: str) -> None:
    """Leave the newest few jobs in a queue of wake-ups, where many wait: any of them stands for all of them."""
    if not _has(name, SURPLUS):
        return
    most = MOST.get(name, MOST_OF_OTHERS)
    if settings.REDIS_URL:
        _redis(settings.REDIS_URL).ltrim(name, 0, most - 1)
        return
    for path in sorted(_files(name), key=lambda path: path.name)[:-most]:
        path.unlink(missing_ok=True)


def _has(name: str, count: int) -> bool:
    """Tell whether at least so many jobs wait. The look into the folder ends there."""
    if settings.REDIS_URL:
        waiting_count: int = _redis(settings.REDIS_URL).llen(name)
        return waiting_count >= count
    return sum(1 for _ in islice(_files(name), count)) >= count


def _in_folder(name: str) -> Waiting:
    """By the names that hub.queue.folder_queue gives: `<queue>/<nanoseconds>_<id>.<queue>.msg`."""
    times = [int(path.name.partition("_")[0]) for path in _files(name)]
    return Waiting(len(times), (time.time_ns() - min(times)) / 1e9 if times else None)


def _files(name: str) -> Iterator[Path]:
    """The messages of a queue; those beside its folder are of an earlier version."""
    for folder, suffix in ((settings.QUEUE_DIR / name, SUFFIX), (settings.QUEUE_DIR, f".{name}{SUFFIX}")):
        if folder.is_dir():
            with scandir(folder) as entries:
                yield from (Path(entry.path) for entry in entries if entry.name.endswith(suffix))


@cache
def _redis(url: str) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
