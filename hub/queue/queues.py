"""Waiting jobs of each queue, in Redis or in the folder.

Few jobs need to wait: each job finds in the database all the work that there is.
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
# One wake-up job does all the work of its kind. Other queues hold jobs of several kinds.
MAX_WAITING = {"index": 2}
MOST_OF_OTHERS = 8
# A longer queue comes from an earlier version, which enqueued a job for each change.
SURPLUS = 20
SUFFIX = ".msg"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The waiting jobs of a queue. `oldest_s` is None with Redis, which stores no times."""

    count: int
    oldest_s: float | None = None


def names() -> list[str]:
    """Return the queues, the most urgent first."""
    return [queue.name for queue in settings.CELERY_TASK_QUEUES]


def waiting() -> dict[str, Waiting]:
    """Return the waiting jobs per queue, without those that a worker has reserved.

    Raise OSError or redis.RedisError if the queue can't be read.
    """
    if not settings.REDIS_URL:
        return {name: _in_folder(name) for name in names()}
    pipeline = _redis(settings.REDIS_URL).pipeline(transaction=False)
    for name in names():
        pipeline.llen(name)
    return {name: Waiting(count) for name, count in zip(names(), pipeline.execute(), strict=True)}


def is_full(name: str) -> bool:
    """Tell whether enough jobs wait. Raise OSError or redis.RedisError if the queue can't be read."""
    return _has(name, MAX_WAITING.get(name, MOST_OF_OTHERS))


def drop_surplus(name: str) -> None:
    """Remove surplus jobs of a long queue except the newest few: any wake-up job does the work of all."""
    if not _has(name, SURPLUS):
        return
    most = MAX_WAITING.get(name, MOST_OF_OTHERS)
    if settings.REDIS_URL:
        _redis(settings.REDIS_URL).ltrim(name, 0, most - 1)
        return
    for path in sorted(_files(name), key=lambda path: path.name)[:-most]:
        path.unlink(missing_ok=True)


def _has(name: str, count: int) -> bool:
    """Tell whether at least `count` jobs wait. The folder is read no further than that."""
    if settings.REDIS_URL:
        waiting_count: int = _redis(settings.REDIS_URL).llen(name)
        return waiting_count >= count
    return sum(1 for _ in islice(_files(name), count)) >= count


def _in_folder(name: str) -> Waiting:
    """Return the waiting jobs by their file names, `<nanoseconds>_<id>.<queue>.msg` (hub.queue.folder_queue)."""
    times = [int(path.name.partition("_")[0]) for path in _files(name)]
    return Waiting(len(times), (time.time_ns() - min(times)) / 1e9 if times else None)


def _files(name: str) -> Iterator[Path]:
    """Yield the messages of a queue, including those beside its folder, which an earlier version wrote."""
    for folder, suffix in ((settings.QUEUE_DIR / name, SUFFIX), (settings.QUEUE_DIR, f".{name}{SUFFIX}")):
        if folder.is_dir():
            with scandir(folder) as entries:
                yield from (Path(entry.path) for entry in entries if entry.name.endswith(suffix))


@cache
def _redis(url: str) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
