"""What others have yet to be told: a row each, written in the transaction of what it tells of. Jobs are wake-ups.

A row goes once its message is out. One that fails is tried again for about an hour. Meanwhile what comes after it in
its lane waits, and the other lanes go on.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from celery import current_app
from celery.signals import task_failure
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.models import Outgoing
from hub.celery import wake
from hub.locks import try_lock

WAKE_UP = "channels_app.tasks.tell_waiting"
RETRY_S = 60
RETRIES_MAX = 6
AT_ONCE = 50
# Each may take as long as the mail server does not answer.
FAILURES_AT_ONCE_MAX = 3
# A job ends after so long and sends another one: jobs of other kinds have their turn, too.
JOB_S = 5.0

Senders = Mapping[str, Callable[..., object]]

logger = logging.getLogger(__name__)


def put(task: str, *args: int, lane: str) -> None:
    """Have the sender of `task` called with `args` after the commit."""
    Outgoing.objects.create(task=task, args=[*args], lane=lane)
    transaction.on_commit(partial(wake, WAKE_UP))


def due() -> QuerySet[Outgoing]:
    """What may go out now, in order: not what comes after something that waits for its next try."""
    now = timezone.now()
    waiting = Outgoing.objects.filter(due_at__gt=now).values("lane")
    return Outgoing.objects.filter(due_at__lte=now).exclude(lane__in=waiting).order_by("pk")


def work(senders: Senders) -> None:
    """Send what is due, one at a time in the whole hub: else two workers would send one mail, or in another order."""
    ends = time.monotonic() + JOB_S
    while due().exists():
        if time.monotonic() > ends:
            wake(WAKE_UP)
            return
        with try_lock("outbox") as held:
            if not held or not _send_some(senders, ends):
                return


def _send_some(senders: Senders, ends: float) -> bool:
    """Whether to go on: after some failures the rest waits for the schedule."""
    failures = 0
    blocked: set[str] = set()
    for row in due()[:AT_ONCE]:
        if time.monotonic() > ends:
            return True
        if row.lane not in blocked and not _is_sent(senders, row):
            blocked.add(row.lane)
            failures += 1
            if failures >= FAILURES_AT_ONCE_MAX:
                return False
    return True


def _is_sent(senders: Senders, row: Outgoing) -> bool:
    try:
        senders[row.task](*row.args)
    except OSError as error:
        logger.warning("%s was not sent: %s", row, error)
        if row.tries < RETRIES_MAX:
            wait = timedelta(seconds=RETRY_S * 2**row.tries)
            Outgoing.objects.filter(pk=row.pk).update(tries=row.tries + 1, due_at=timezone.now() + wait)
        else:
            _give_up(row, error)
        return False
    except DatabaseError:
        raise
    except Exception as error:
        logger.exception("%s can't be sent", row)
        _give_up(row, error)
        return False
    row.delete()
    return True


def _give_up(row: Outgoing, error: Exception) -> None:
    """It is a failed job from then on, which administrators see and can send again."""
    row.delete()
    task: Any = current_app.tasks[row.task]
    task_failure.send(sender=task, task_id="", exception=error, args=row.args, kwargs={}, traceback=None, einfo=None)
