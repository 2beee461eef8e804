"""How many jobs wait, and for how long, in Redis or in the folder."""

import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from redis import Redis

TIMEOUT_S = 2.0


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
    return _in_redis() if settings.REDIS_URL else _in_folder()


def _in_redis() -> dict[str, Waiting]:
    with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S) as redis:
        pipeline = redis.pipeline(transaction=False)
        for name in names():
            pipeline.llen(name)
        return {name: Waiting(count) for name, count in zip(names(), pipeline.execute(), strict=True)}


def _in_folder() -> dict[str, Waiting]:
    """By the names that hub.folder_queue gives: `<nanoseconds>_<id>.<queue>.msg`."""
    times: dict[str, list[int]] = {name: [] for name in names()}
    for path in Path(settings.QUEUE_DIR).glob("*.msg"):
        queue = path.name.split(".")[-2]
        if queue in times:
            times[queue].append(int(path.name.partition("_")[0]))
    now = time.time_ns()
    return {name: Waiting(len(found), (now - min(found)) / 1e9 if found else None) for name, found in times.items()}
